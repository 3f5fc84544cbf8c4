"""URLs that name an account of Azure: its package drops the account from the names that it lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import register_implementation

from persqa_client.formats.export import ExportSettings
from persqa_client.formats.upload import write_export
from persqa_client.simulator.server import Simulator
from persqa_client.stores.paths import ObjectPath
from tests.formats.examples import write_run
from tests.stores.test_stored_runs import check_found, fill, folder, go, read_pictures

__all__ = ["folder"]

HOST = ".dfs.core.windows.net"
CONTAINER = f"abfs://photos@mine{HOST}"


class AccountStore(MemoryFileSystem):  # type: ignore[misc]
    """In memory, in place of adlfs (fsspec/adlfs, ``adlfs/spec.py``). Only the account ``mine`` has files."""

    protocol = "abfs"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def __init__(self, account_name: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.account_name = account_name

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        container, _, rest = path.removeprefix("abfs://").partition("/")
        return str(MemoryFileSystem._strip_protocol(f"{container.partition('@')[0]}/{rest}"))

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        account = path.partition("@")[2].partition(HOST)
        return {"account_name": account[0]} if account[1] else {}

    def info(self, path: str, **more: Any) -> Any:
        if self.account_name != "mine":
            raise FileNotFoundError(path)
        return super().info(path, **more)


@pytest.fixture
def account() -> Iterator[AccountStore]:
    register_implementation("abfs", AccountStore, clobber=True)
    AccountStore.clear_instance_cache()
    yield AccountStore("mine")
    AccountStore.store.clear()
    register_implementation("abfs", "adlfs.AzureBlobFileSystem", clobber=True)


@pytest.mark.parametrize("place", ["photos", "photos/*.png"])
def test_pictures_are_listed_and_read(place: str, account: AccountStore, simulator: Simulator) -> None:
    fill(account, CONTAINER)
    assert go(f"{CONTAINER}/{place}", "out/qa.jsonl", simulator).tally.succeeded == 3
    assert read_pictures("out/qa.jsonl") == [[f"{CONTAINER}/photos/{number}.png"] for number in range(3)]
    check_found([names[0] for names in read_pictures("out/qa.jsonl")])


def test_an_export_is_replaced(account: AccountStore, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", [{"image": "a.png"}])
    for force in (False, True):
        write_export([output], ExportSettings("llava", ObjectPath(f"{CONTAINER}/sets/data"), force=force))
    assert [name for name in account.find("photos/sets") if "export" in name] == ["/photos/sets/data/export.json"]

"""What goes wrong in a store: each picture has its reason, and an input is one sentence."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import register_implementation

from persqa_client.api.finished_outputs import report_results
from persqa_client.cli.usage import path as parse_path
from persqa_client.errors import RowError, SettingsError
from persqa_client.fetching.fetcher import PictureFetcher
from persqa_client.fetching.policy import AllowedHosts, FetchLimits
from persqa_client.fetching.stored_pictures import PARTS, AllowedStores, drop_old_members
from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.images.references import read_reference
from persqa_client.inputs.opening import open_inputs
from persqa_client.stores.access import describe_store_reason
from persqa_client.types import START_POSITION
from tests.stores.conftest import draw_png, write_tar

LINES = b'{"image": "a.png"}\n' * 100_000


class TroubledStore(MemoryFileSystem):  # type: ignore[misc]
    """In memory, in place of the package for ``gs://``. The names of its files say what goes wrong."""

    protocol = "gs"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    requests: ClassVar[Counter[str]] = Counter()
    released = threading.Event()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("gs://", "memory://")))

    def info(self, path: str, **more: Any) -> Any:
        if path.endswith("stuck.tar"):
            self.released.wait(30)
        if "#denied" in path:
            raise PermissionError("Forbidden")
        return super().info(path, **more)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        name = path.rpartition("/")[2]
        self.requests[name] += 1
        if name == "denied.png":
            raise PermissionError("Forbidden")
        if name == "slow.png":
            time.sleep(0.5)
        if name.startswith("stuck"):
            self.released.wait(5)
        if name == "lost.png" or (name == "again.png" and self.requests[name] == 1):
            raise ConnectionError("the connection was closed")
        return bytes(super().cat_file(path, start=start, end=end, **more))

    def _open(self, path: str, *args: Any, **more: Any) -> Any:
        file = super()._open(path, *args, **more)
        return CutFile(file.getvalue()) if path.endswith("cut.jsonl") else file


class CutFile:
    """Fails behind the first megabyte."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int = -1) -> bytes:
        if self._at >= 1 << 20:
            raise ConnectionError("the connection was closed")
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        pass


@pytest.fixture
def troubled() -> Iterator[TroubledStore]:
    register_implementation("gs", TroubledStore, clobber=True)
    TroubledStore.clear_instance_cache()
    store = TroubledStore()
    store.requests.clear()
    store.released.clear()
    yield store
    TroubledStore.store.clear()
    register_implementation("gs", "gcsfs.GCSFileSystem", clobber=True)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def make_fetcher(folder: Path, threads: ThreadPoolExecutor, limits: FetchLimits) -> PictureFetcher:
    stores = AllowedStores(frozenset({"gs://bucket"}))
    return PictureFetcher(
        folder / FETCHED_FOLDER, (folder,), threads, allowed=AllowedHosts(), limits=limits, stores=stores
    )


async def fetch(name: str, folder: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        fetcher = make_fetcher(folder, threads, FetchLimits(max_bytes=100_000, timeout=0.2, first_wait=0.001))
        try:
            await fetcher.fetch(f"gs://bucket/{name}")
        finally:
            await fetcher.aclose()


@pytest.mark.parametrize(
    ("name", "content", "code", "requests"),
    [
        ("missing.png", None, "fetch_missing", 0),
        ("denied.png", b"", "fetch_denied", 2),  # and once for the reason
        ("slow.png", b"", "fetch_timeout", 1),
        ("lost.png", b"", "fetch_failed", 3),
        ("large.png", bytes(100_001), "image_too_large", 0),
        ("page.png", b"<!doctype html>", "image_not_a_picture", 1),
    ],
)
async def test_each_failure_has_its_code(
    name: str, content: bytes | None, code: str, requests: int, troubled: TroubledStore, tmp_path: Path
) -> None:
    if content is not None:
        troubled.pipe_file(f"gs://bucket/{name}", content or draw_png())
    with pytest.raises(RowError) as caught:
        await fetch(name, tmp_path)
    assert caught.value.code == code, caught.value.message
    assert caught.value.message.startswith(f"gs://bucket/{name} ")
    assert troubled.requests[name] == requests


async def test_an_attempt_is_repeated(troubled: TroubledStore, tmp_path: Path) -> None:
    troubled.pipe_file("gs://bucket/again.png", draw_png())
    await fetch("again.png", tmp_path)
    assert read_reference("gs://bucket/again.png", [tmp_path]) == draw_png()


async def test_pictures_that_never_arrive_do_not_hold_up_others(
    troubled: TroubledStore, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    names = ["stuck-1.png", "stuck-2.png", "a.png"]
    for name in names:
        troubled.pipe_file(f"gs://bucket/{name}", draw_png())
    limits = FetchLimits(timeout=0.2, per_host=2)
    fetcher = make_fetcher(tmp_path, threads, limits)
    try:
        results = await asyncio.gather(
            *[fetcher.fetch(f"gs://bucket/{name}") for name in names], return_exceptions=True
        )
    finally:
        troubled.released.set()
        await fetcher.aclose()
    assert [getattr(each, "code", None) for each in results] == ["fetch_timeout", "fetch_timeout", None]


async def test_an_archive_whose_version_never_arrives_does_not_hold_up_its_rows(
    troubled: TroubledStore, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    troubled.pipe_file("gs://bucket/stuck.tar", write_tar())
    fetcher = make_fetcher(tmp_path, threads, FetchLimits(timeout=0.2))
    try:
        await asyncio.wait_for(fetcher.fetch("gs://bucket/stuck.tar#0.png"), 20)
    finally:
        troubled.released.set()
        await fetcher.aclose()
    assert read_reference("gs://bucket/stuck.tar#0.png", [tmp_path]) == draw_png("red")


async def test_a_picture_that_an_archive_lacks_is_missing_where_nothing_may_be_listed(
    troubled: TroubledStore, tmp_path: Path
) -> None:
    troubled.pipe_file("gs://bucket/a.tar", write_tar())
    with pytest.raises(RowError, match=r"does not exist: its file has no 'denied\.png'"):
        await fetch("a.tar#denied.png", tmp_path)


def test_processes_that_meet_a_file_for_the_first_time_keep_their_pictures(tmp_path: Path) -> None:
    def read(number: int) -> None:
        """As processes of several shards do."""
        barrier.wait(5)
        drop_old_members(folder, "1", tmp_path / PARTS)
        (folder / str(number)).write_bytes(b"a picture")

    for turn in range(20):
        folder, barrier = tmp_path / str(turn) / "1", threading.Barrier(8)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(read, range(8)))
        assert len(list(folder.iterdir())) == 9


def test_an_input_that_is_cut_off_is_one_sentence(troubled: TroubledStore) -> None:
    troubled.pipe_file("gs://bucket/cut.jsonl", LINES)
    lines = open_inputs(["gs://bucket/cut.jsonl"], "image").lines(START_POSITION)
    read = [line for line, _ in islice(lines, 50_000)]
    with pytest.raises(SettingsError, match=r"^gs://bucket/cut\.jsonl can't be read: the connection was closed\.$"):
        list(lines)
    # What was read before is used.
    assert len(read) == 50_000


@pytest.mark.parametrize("name", ["rows.jsonl", "photos", "*.png"])
def test_a_password_in_a_url_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"gs://…@bucket/{re.escape(name)} has a password") as caught:
        open_inputs([f"gs://me:secret@bucket/{name}"], "image")
    assert "secret" not in str(caught.value)


async def test_a_password_in_the_url_of_a_picture_is_not_shown(tmp_path: Path) -> None:
    for stores in (AllowedStores(), AllowedStores(any_store=True)):
        with ThreadPoolExecutor(1) as threads:
            fetcher = PictureFetcher(
                tmp_path, (tmp_path,), threads, allowed=AllowedHosts(), limits=FetchLimits(), stores=stores
            )
            with pytest.raises(RowError) as caught:
                await fetcher.fetch("gs://me:secret@bucket/a.png")
            await fetcher.aclose()
        assert "secret" not in caught.value.message
        assert "has a password" in caught.value.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(22, "Bad Request"), "Bad Request"),
        (
            ValueError("Parameter validation failed:\nInvalid bucket name.\nMore"),
            "Parameter validation failed: Invalid",
        ),
        (PermissionError("Forbidden."), "Forbidden"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_reason_of_a_store_is_one_line(error: Exception, reason: str) -> None:
    assert describe_store_reason(error).startswith(reason)
    assert "\n" not in describe_store_reason(error)


def test_other_flags_and_arguments_take_no_urls(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"page s3://bucket/report\.html names a file in an object store"):
        report_results(tmp_path / "qa.jsonl", "s3://bucket/report.html")
    with pytest.raises(typer.BadParameter, match="names a file in an object store"):
        parse_path("s3://bucket/report.html")

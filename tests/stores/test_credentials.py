"""Credentials that expire during a run stop it. A file that they may not read fails its row only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.registry import register_implementation
from typer.testing import CliRunner

from persqa_client.cli.main import app
from persqa_client.errors import UnusableInput
from persqa_client.simulator.server import Simulator
from tests.stores.conftest import draw_png
from tests.stores.test_store_faults import TroubledStore
from tests.stores.test_stored_runs import COLOURS, folder, go, write_lines

__all__ = ["folder"]


class ClientError(Exception):
    """As that of botocore."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


class ExpiringStore(TroubledStore):
    """Answers so many requests for content. Then it refuses the credentials: without a reason for a size, as S3."""

    left = 0

    def info(self, path: str, **more: Any) -> Any:
        if not type(self).left and path.endswith(".png"):
            raise PermissionError("Forbidden")
        return super().info(path, **more)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        if not type(self).left:
            raise PermissionError("The provided token has expired.") from ClientError("ExpiredToken")
        type(self).left -= 1
        if "secret" in path:
            raise PermissionError("Access Denied") from ClientError("AccessDenied")
        return bytes(super().cat_file(path, start=start, end=end, **more))


@pytest.fixture
def expiring() -> Iterator[ExpiringStore]:
    register_implementation("gs", ExpiringStore, clobber=True)
    ExpiringStore.clear_instance_cache()
    yield ExpiringStore()
    ExpiringStore.store.clear()
    register_implementation("gs", "gcsfs.GCSFileSystem", clobber=True)


@pytest.mark.parametrize("flags", [{"image_root": "gs://bucket"}, {"fetch": True, "fetch_per_host": 1}])
def test_a_run_whose_credentials_expire_is_continued(
    flags: dict[str, Any], expiring: ExpiringStore, folder: Path, simulator: Simulator
) -> None:
    names = [f"gs://bucket/{colour}.png" for colour in COLOURS]
    for name, colour in zip(names, COLOURS, strict=True):
        expiring.pipe_file(name, draw_png(colour))
    Path("rows.jsonl").write_bytes(write_lines(names))
    assert go_on("rows.jsonl", simulator, left=1, limit=1, **flags).tally.succeeded == 1
    # With a picture that was read before, and without one.
    for left in (1, 0)[: 2 if "image_root" in flags else 1]:
        with pytest.raises(UnusableInput, match=r"gs://bucket does not accept the credentials .*token has expired\)"):
            go_on("rows.jsonl", simulator, left=left, **flags)
        assert not Path("out/qa.failed.jsonl").exists()
    assert go_on("rows.jsonl", simulator, left=9, **flags).tally.succeeded == 3


def test_a_file_that_is_denied_fails_its_row(expiring: ExpiringStore, folder: Path, simulator: Simulator) -> None:
    for colour in (*COLOURS, "secret"):
        expiring.pipe_file(f"gs://bucket/{colour}.png", draw_png("red"))
    Path("rows.jsonl").write_bytes(write_lines([f"{colour}.png" for colour in ("secret", *COLOURS)]))
    summary = go_on("rows.jsonl", simulator, left=9, image_root="gs://bucket")
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (3, {"fetch_denied": 1})


def go_on(rows: str, simulator: Simulator, *, left: int, **flags: Any) -> Any:
    ExpiringStore.left = left
    return go(rows, "out/qa.jsonl", simulator, concurrency=1, **flags)


def test_a_dry_run_says_so_in_one_sentence(expiring: ExpiringStore, folder: Path) -> None:
    Path("rows.jsonl").write_bytes(write_lines(["red.png"]))
    ExpiringStore.left = 0
    flags = ["--dry-run", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--image-root", "gs://bucket"]
    expiring.pipe_file("gs://bucket/red.png", draw_png("red"))
    result = CliRunner().invoke(app, ["run", "rows.jsonl", *flags])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "Error: gs://bucket does not accept the credentials" in result.output

"""The same at a server that speaks S3 (moto's)."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client import SettingsError
from persqa_client.simulator.server import Simulator
from tests.stores.conftest import draw_png, write_tar
from tests.stores.test_stored_files import write_parquet
from tests.stores.test_stored_runs import COLOURS, check_found, fill, folder, go, read_pictures, write_lines

__all__ = ["folder"]


@pytest.mark.slow
def test_runs_over_lines_listings_parquet_and_tar(s3: Any, simulator: Simulator) -> None:
    fill(s3, "s3://bucket")
    s3.pipe_file("s3://bucket/rows.jsonl", write_lines([f"photos/{n}.png" for n in range(3)]))
    assert go("s3://bucket/rows.jsonl", "out/qa.jsonl", simulator, limit=1).tally.succeeded == 1
    assert go("s3://bucket/rows.jsonl", "out/qa.jsonl", simulator).tally.succeeded == 3
    check_found([f"s3://bucket/photos/{n}.png" for n in range(3)])
    assert go("s3://bucket/photos/*.png", "out/pattern.jsonl", simulator).tally.succeeded == 3
    pictures = [[{"bytes": draw_png(colour), "path": None}] for colour in COLOURS]
    for name, content in (("a.parquet", write_parquet(image=pictures)), ("a.tar", write_tar())):
        s3.pipe_file(f"s3://bucket/{name}", content)
        assert go(f"s3://bucket/{name}", f"out/{name}.jsonl", simulator).tally.succeeded == 3
        check_found([names[0] for names in read_pictures(f"out/{name}.jsonl")])


@pytest.mark.slow
def test_slashes_that_are_written_twice(s3: Any, simulator: Simulator) -> None:
    fill(s3, "s3://bucket")
    assert go("s3://bucket//photos", "out/qa.jsonl", simulator).tally.succeeded == 3


@pytest.mark.slow
def test_failures_have_reasons(s3: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(s3, "s3://bucket")
    s3.pipe_file("s3://bucket/page.png", b"<!doctype html>")
    s3.pipe_file("s3://bucket/empty.png", b"")
    s3.pipe_file("s3://bucket/large.png", bytes(1_000_001))
    names = ("photos/0.png", "none.png", "page.png", "empty.png", "large.png")
    s3.pipe_file("s3://bucket/rows.jsonl", write_lines([*names, "s3://none/a.png"]))
    summary = go("s3://bucket/rows.jsonl", "out/qa.jsonl", simulator, fetch_max_mb=1, fetch=True)
    assert dict(summary.tally.failed) == {
        "fetch_missing": 2,
        "image_not_a_picture": 1,
        "image_empty": 1,
        "image_too_large": 1,
    }
    with pytest.raises(SettingsError, match="does not exist: there is no s3://none"):
        go("s3://none/rows.jsonl", "out/other.jsonl", simulator)

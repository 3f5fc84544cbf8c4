"""Files of many rows with their pictures in an object store, read in parts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client import SettingsError
from persqa_client.images.fetched_files import find_fetched
from persqa_client.simulator.server import Simulator
from tests.stores.conftest import draw_png, write_tar
from tests.stores.test_stored_runs import COLOURS, check_found, folder, go, read_pictures

pytest.importorskip("pyarrow")
import pyarrow
from pyarrow import parquet

__all__ = ["folder"]


def write_parquet(**columns: Any) -> bytes:
    """In row groups of two rows."""
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, row_group_size=2)
    return file.getvalue()


def test_pictures_in_parquet(store: Any, simulator: Simulator) -> None:
    pictures = [[{"bytes": draw_png(colour), "path": f"{colour}.png"}] for colour in COLOURS]
    url = "memory://bucket/data/train.parquet"
    store.pipe_file(url, write_parquet(images=pictures, id=[1, 2, 3]))
    assert go(url, "out/qa.jsonl", simulator, image_key="images", limit=1).tally.succeeded == 1
    assert go("memory://bucket", "out/folder.jsonl", simulator, image_key="images").tally.succeeded == 3
    assert go(url, "out/qa.jsonl", simulator, image_key="images").tally.succeeded == 3
    written = read_pictures("out/qa.jsonl", "images")
    assert written == [[f"{url}#images/{number}/1"] for number in (1, 2, 3)]
    check_found([names[0] for names in written])


def test_pictures_of_a_file_that_was_replaced_are_downloaded_again(store: Any, simulator: Simulator) -> None:
    url = "memory://bucket/train.parquet"
    for colours in (COLOURS, COLOURS[::-1]):
        pictures = [{"bytes": draw_png(colour), "path": ""} for colour in colours]
        store.pipe_file(url, write_parquet(image=pictures))
        assert go(url, "out/qa.jsonl", simulator, fresh=True).tally.succeeded == 3
        # The second row has the same picture in both; the first and the last are exchanged.
        for number, colour in enumerate(colours, 1):
            found = find_fetched(f"{url}#image/{number}/1", [Path("out")])
            assert found is not None
            assert Path(found[0]).read_bytes() == draw_png(colour)


def test_paths_in_parquet_start_at_the_file(store: Any, simulator: Simulator) -> None:
    store.pipe_file("memory://bucket/photos/a.png", draw_png())
    pictures: list[dict[str, Any]] = [
        {"bytes": None, "path": path} for path in ("../photos/a.png", "memory://other/a.png")
    ]
    pictures.append({"bytes": draw_png(), "path": None})
    store.pipe_file("memory://other/a.png", draw_png())
    store.pipe_file("memory://bucket/data/train.parquet", write_parquet(image=pictures))
    summary = go("memory://bucket/data/train.parquet", "out/qa.jsonl", simulator)
    assert summary.tally.succeeded == 2
    # A file can't name one of another bucket.
    assert dict(summary.tally.failed) == {"fetch_missing": 1}
    confined = go("memory://bucket/data/train.parquet", "confined/qa.jsonl", simulator, confine_images=True)
    assert dict(confined.tally.failed) == {"image_outside": 1, "fetch_missing": 1}


def test_pictures_in_a_tar_archive(store: Any, simulator: Simulator) -> None:
    url = "memory://bucket/train-000000.tar"
    store.pipe_file(url, write_tar())
    assert go(url, "out/qa.jsonl", simulator, limit=2).tally.succeeded == 2
    assert go(url, "out/qa.jsonl", simulator).tally.succeeded == 3
    written = read_pictures("out/qa.jsonl")
    assert written == [[f"{url}#{number}.png"] for number in range(3)]
    assert [json.loads(line)["id"] for line in Path("out/qa.jsonl").read_bytes().splitlines()] == [7, 7, 7]
    check_found([names[0] for names in written])


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
def test_a_broken_file_is_one_sentence(name: str, store: Any, simulator: Simulator) -> None:
    whole = write_tar()[:1000] if name.endswith("tar") else write_parquet(id=[1])[:-20]
    store.pipe_file(f"memory://bucket/{name}", whole)
    with pytest.raises(SettingsError, match=f"The input memory://bucket/{name} is .* but can't be read"):
        go(f"memory://bucket/{name}", "out/qa.jsonl", simulator)


def test_names_that_look_like_pictures_in_a_file(store: Any, simulator: Simulator) -> None:
    for name in ("x.tar#y.png", "x.parquet#y.png", "y#x.png"):
        store.pipe_file(f"memory://bucket/photos/{name}", draw_png())
    assert go("memory://bucket/photos", "out/qa.jsonl", simulator).tally.succeeded == 3


def test_a_file_that_is_not_there_is_not_a_broken_one(store: Any, simulator: Simulator) -> None:
    lines = [{"image": f"photos/none.{kind}#{name}"} for kind, name in (("tar", "1.png"), ("parquet", "image/1/1"))]
    Path("rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store.pipe_file("memory://bucket/photos/1.png", draw_png())
    flags = {"image_root": "memory://bucket", "max_bad_rows": 0}
    assert dict(go("rows.jsonl", "out/qa.jsonl", simulator, **flags).tally.failed) == {"fetch_missing": 2}

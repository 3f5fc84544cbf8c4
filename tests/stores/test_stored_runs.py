"""Runs whose rows and pictures are in an object store."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client import Endpoint, SettingsError, generate
from persqa_client.images.fetched_files import find_fetched
from persqa_client.inputs.opening import open_inputs
from persqa_client.run.input_survey import RowMeter, survey_input
from persqa_client.run.run_input import plan_for_source
from persqa_client.run.settings import make_run_settings
from persqa_client.simulator.server import Simulator
from tests.stores.conftest import draw_png

COLOURS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(store: Any, bucket: str = "memory://bucket") -> None:
    for number, colour in enumerate(COLOURS):
        store.pipe_file(f"{bucket}/photos/{number}.png", draw_png(colour))


def write_lines(pictures: list[str]) -> bytes:
    return b"".join(json.dumps({"image": [picture]}).encode() + b"\n" for picture in pictures)


def go(rows: Any, output: str | None, simulator: Simulator, **flags: Any) -> Any:
    known: dict[str, Any] = {"probes": False, **flags}
    return generate(rows, output, base_url=simulator.base_url, model="persqa-simulator", **known)


def read_pictures(path: str, field: str = "image") -> list[Any]:
    return [json.loads(line)[field] for line in Path(path).read_bytes().splitlines()]


def check_found(pictures: list[str]) -> None:
    """Without a connection, in the order of the colours."""
    for picture, colour in zip(pictures, COLOURS, strict=True):
        found = find_fetched(picture, [Path("out")])
        assert found is not None
        assert Path(found[0]).read_bytes() == draw_png(colour)


def test_relative_paths_start_at_the_prefix_of_the_rows(store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/sets/rows.jsonl", write_lines([f"../photos/{n}.png" for n in range(3)]))
    Path("photos").mkdir()
    assert go("memory://bucket/sets/rows.jsonl", "out/qa.jsonl", simulator).tally.succeeded == 3
    # As they were given, and found again by the export and by the report.
    assert read_pictures("out/qa.jsonl") == [[f"../photos/{n}.png"] for n in range(3)]
    check_found([f"memory://bucket/photos/{n}.png" for n in range(3)])


def test_a_run_goes_on_where_it_stopped_and_notices_changes(store: Any, simulator: Simulator) -> None:
    fill(store)
    lines = write_lines([f"memory://bucket/photos/{n}.png" for n in range(3)]).splitlines(keepends=True)
    store.pipe_file("memory://bucket/rows.jsonl", b"".join(lines[:2]))
    assert go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator, limit=1).tally.succeeded == 1
    assert go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator).tally.succeeded == 2
    store.pipe_file("memory://bucket/rows.jsonl", b"".join(lines))
    assert go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator).tally.succeeded == 3
    store.pipe_file("memory://bucket/rows.jsonl", b"".join([lines[1], lines[0], lines[2]]))
    with pytest.raises(SettingsError, match=r"The input memory://bucket/rows.jsonl has changed in its first 3 lines"):
        go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator)


def test_a_folder_and_a_pattern_are_listed(store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/photos/notes.txt", b"no picture")
    for name in ("memory://bucket/photos/", "memory://bucket/ph*/*.png"):
        output = f"out/{len(name)}.jsonl"
        assert go(name, output, simulator, limit=2).tally.succeeded == 2
        store.pipe_file("memory://bucket/photos/00.png", draw_png())
        # It is new, so its row comes behind the others, and those before keep their questions.
        assert go(name, output, simulator).tally.succeeded == 4
        assert [names[0].rpartition("/")[2] for names in read_pictures(output)] == ["0.png", "1.png", "2.png", "00.png"]
        store.rm_file("memory://bucket/photos/00.png")


def test_a_listed_name_is_no_path_of_this_machine(store: Any, folder: Path, simulator: Simulator) -> None:
    """A key may have two slashes one after the other."""
    private = folder / "private.png"
    private.write_bytes(draw_png("blue"))
    store.pipe_file(f"memory://bucket/photos/{private}", draw_png("red"))
    summary = go("memory://bucket/photos", "out/qa.jsonl", simulator)
    assert summary.tally.succeeded == 1
    (written,) = read_pictures("out/qa.jsonl")
    assert written == [f"memory://bucket/photos/{private}"]
    found = find_fetched(written[0], [Path("out")])
    assert found is not None
    assert Path(found[0]).read_bytes() == draw_png("red")


def test_a_scheme_in_upper_case(store: Any, simulator: Simulator) -> None:
    fill(store)
    Path("rows.jsonl").write_bytes(write_lines(["Memory://bucket/photos/0.png"]))
    flags = {"image_root": "memory://bucket/photos", "confine_images": True}
    assert go("rows.jsonl", "out/qa.jsonl", simulator, **flags).tally.succeeded == 1


@pytest.mark.parametrize(
    "name", ["memory:///bucket/photos", "memory:///bucket/photos/*", "memory:///bucket/rows.jsonl"]
)
def test_a_slash_before_the_bucket_changes_nothing(name: str, store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/rows.jsonl", write_lines([f"photos/{n}.png" for n in range(3)]))
    assert go(name, "out/qa.jsonl", simulator).tally.succeeded == 3


def test_a_table_and_a_compressed_file(store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/photos/rows.csv", b"image,id\n0.png,1\n1.png,2\n2.png,3\n")
    assert go("memory://bucket/photos/rows.csv", "out/table.jsonl", simulator).tally.succeeded == 3
    # Rows that are made of others name their pictures wherever the output lies.
    assert read_pictures("out/table.jsonl") == [f"memory://bucket/photos/{n}.png" for n in range(3)]
    store.pipe_file("memory://bucket/photos/rows.gz", gzip.compress(write_lines(["0.png", "1.png"])))
    assert go("memory://bucket/photos/rows.gz", "out/gzip.jsonl", simulator).tally.succeeded == 2


def test_the_image_root_may_be_in_a_store(store: Any, simulator: Simulator) -> None:
    fill(store)
    Path("rows.jsonl").write_bytes(write_lines(["0.png", "./1.png", "none.png"]))
    summary = go("rows.jsonl", "out/qa.jsonl", simulator, image_root="memory://bucket/photos")
    assert summary.tally.succeeded == 2
    assert dict(summary.tally.failed) == {"fetch_missing": 1}
    with pytest.raises(SettingsError, match="memory://none does not exist"):
        go("rows.jsonl", "out/other.jsonl", simulator, image_root="memory://none/photos")


def test_other_buckets_are_read_with_fetch_only(store: Any, simulator: Simulator) -> None:
    fill(store, "memory://other")
    store.pipe_file("memory://bucket/rows.jsonl", write_lines([f"memory://other/photos/{n}.png" for n in range(2)]))
    summary = go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator, max_bad_rows=0)
    assert dict(summary.tally.failed) == {"fetch_refused": 2}
    assert (
        go("memory://bucket/rows.jsonl", "out/qa.jsonl", simulator, retry_failed=True, fetch=True).tally.succeeded == 2
    )
    # No bucket is named by rows of this machine.
    Path("rows.jsonl").write_bytes(write_lines(["memory://other/photos/2.png"]))
    assert dict(go("rows.jsonl", "out/local.jsonl", simulator).tally.failed) == {"image_remote": 1}


def test_confined_pictures_lie_below_the_root(store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/1.png", draw_png())
    pictures = ["0.png", "../1.png", "memory://bucket/1.png", "memory://bucket/photos/../1.png"]
    Path("rows.jsonl").write_bytes(write_lines(pictures))
    summary = go("rows.jsonl", None, simulator, image_root="memory://bucket/photos", confine_images=True)
    assert summary.tally.succeeded == 1
    assert dict(summary.tally.failed) == {"image_outside": 3}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("memory://bucket/none.jsonl", "does not exist in memory://bucket; correct the URL"),
        ("memory://none/rows.jsonl", "does not exist: there is no memory://none"),
        ("memory://bucket/photos/*.jpg", "matches no file"),
        ("memory://bucket/empty", "has no images"),
        ("memory://bucket/photos/0.arrow", "is read from a disk only"),
        # Not those of which the name is left if empty ones are dropped.
        ("memory://bucket/photos//9.png", "photos//9.png has an empty name"),
        ("memory://bucket//twice", "bucket//twice has an empty name .* give memory://bucket/twice, which exists"),
        ("memory://bucket/./twice", "the name '.' .* give memory://bucket/twice, which exists"),
        ("memory://bucket//alone", "bucket//alone has an empty name .* correct the URL, or"),
        ("memory://bucket//none", "bucket/none does not exist in memory://bucket"),
        ("memory://bucket/sets/**", "sets//rows.jsonl has an empty name"),
    ],
)
def test_what_can_not_be_read_is_one_sentence(name: str, words: str, store: Any, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/empty/a.txt", b"text")
    store.pipe_file("memory://bucket/photos/0.arrow", b"ARROW1\0\0")
    for place in ("photos//9.png", "twice/0.png", "/twice/0.png", "./twice/0.png", "/alone/0.png"):
        store.pipe_file(f"memory://bucket/{place}", draw_png())
    for place in ("sets", "sets/"):
        store.pipe_file(f"memory://bucket/{place}/rows.jsonl", write_lines(["memory://bucket/photos/0.png"]))
    with pytest.raises(SettingsError, match=words):
        go(name, "out/qa.jsonl", simulator)


@pytest.mark.parametrize("name", ["memory://bucket//photos", "memory://bucket/./photos/", "memory://bucket//photos//"])
def test_slashes_that_are_written_twice_are_those_of_the_only_folder(
    name: str, store: Any, simulator: Simulator
) -> None:
    """A run that was started with the one goes on with the other."""
    fill(store)
    assert go(name, "out/qa.jsonl", simulator, limit=1).tally.succeeded == 1
    assert go("memory://bucket/photos", "out/qa.jsonl", simulator).tally.succeeded == 3
    assert read_pictures("out/qa.jsonl") == [[f"memory://bucket/photos/{n}.png"] for n in range(3)]
    store.pipe_file("memory://bucket/rows.jsonl", write_lines(["photos/0.png"]))
    assert go("memory://bucket//rows.jsonl", "out/rows.jsonl", simulator).tally.succeeded == 1


def test_an_estimate_measures_the_pictures_and_leaves_none(store: Any, folder: Path, simulator: Simulator) -> None:
    fill(store)
    store.pipe_file("memory://bucket/rows.jsonl", write_lines([f"photos/{n}.png" for n in range(4)]))
    settings = make_run_settings([Endpoint(base_url=simulator.base_url, model="persqa-simulator")], {})
    source = open_inputs(["memory://bucket/rows.jsonl"], "image")
    survey = survey_input(source, RowMeter(plan_for_source(settings, source)), None)
    assert (survey.usable, survey.different_pictures) == (3, 3)
    assert survey.picture_problems.counts == {"fetch_missing": 1}
    assert list(folder.iterdir()) == []


def test_the_files_of_a_run_are_on_a_disk(simulator: Simulator) -> None:
    with pytest.raises(SettingsError, match=r"memory://bucket/qa.jsonl: the files of a run are on a disk"):
        go("rows.jsonl", "memory://bucket/qa.jsonl", simulator)


def test_a_file_url_is_a_path(folder: Path, simulator: Simulator) -> None:
    Path("a.png").write_bytes(draw_png())
    Path("rows.jsonl").write_bytes(write_lines(["a.png"]))
    assert go(f"file://{folder}/rows.jsonl", None, simulator).tally.succeeded == 1


@pytest.mark.parametrize(
    ("rows", "flags"),
    [("memory://bucket/rows.jsonl", {}), ("rows.jsonl", {"image_root": "memory://bucket/photos"})],
)
def test_local_only_refuses_a_store_before_it_is_asked(rows: str, flags: dict[str, Any]) -> None:
    Path("rows.jsonl").write_bytes(write_lines(["0.png"]))
    with pytest.raises(SettingsError, match=r"local.only: memory://bucket/\S+ is in an object store; copy it"):
        generate(rows, "qa.jsonl", base_url="http://127.0.0.1:9/v1", model="m", local_only=True, **flags)


def test_local_only_reads_no_picture_of_a_store(store: Any, simulator: Simulator) -> None:
    fill(store)
    Path("rows.jsonl").write_bytes(write_lines(["memory://bucket/photos/0.png"]))
    result = go("rows.jsonl", "qa.jsonl", simulator, fetch=True, fetch_allow=["127.0.0.1"], local_only=True)
    assert result.tally.failed == {"fetch_refused": 1}

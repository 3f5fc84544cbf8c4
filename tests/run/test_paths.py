"""The paths in the files of a run can be read from where those files lie."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.run.recheck import recheck_run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator

MODEL = "persqa-simulator"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with rows in ``in`` whose pictures are there and in the working directory."""
    folder = tmp_path / "work"
    (folder / "in" / "photos").mkdir(parents=True)
    for name, colour in (("in/red.png", "red"), ("green.png", "green"), ("in/photos/blue.png", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / name)
    rows = ["red.png", "green.png", "photos/blue.png", "missing.png"]
    (folder / "in" / "rows.jsonl").write_text("".join(f'{{"image": ["{name}"]}}\n' for name in rows))
    monkeypatch.chdir(folder)
    return folder


def go(rows: str | Path | list[str], output: str | Path, server: Simulator, **flags: Any) -> Summary:
    return generate(rows, output, base_url=server.base_url, model=MODEL, probes=False, **flags)


def images(path: str | Path) -> list[str]:
    return [name for line in Path(path).read_bytes().splitlines() for name in orjson.loads(line)["image"]]


def test_paths_are_written_as_given_in_rows_of_the_user(work: Path, simulator: Simulator) -> None:
    go("in/rows.jsonl", "out/qa.jsonl", simulator)
    assert images("out/qa.jsonl") == ["red.png", "green.png", "photos/blue.png"]
    folders = orjson.loads(Path("out/qa.run.json").read_bytes())["folders"]
    assert folders == {
        "working_directory": str(work),
        "image_roots": [str(work / "in"), str(work)],
        "paths": "as-given",
    }


def test_a_confined_run_reads_no_picture_of_other_folders(work: Path, simulator: Simulator) -> None:
    """The picture of --reference may lie anywhere. The setting is a part of the run's identity."""
    Path("green.png").rename("own.png")
    Path("in/photos/blue.png").rename("blue.png")
    flags: dict[str, Any] = {"image_root": Path("in"), "reference": Path("own.png")}
    rows = Path("in/rows.jsonl")
    rows.write_text('{"image": "red.png"}\n{"image": "../blue.png"}\n')
    go(rows, "free.jsonl", simulator, **flags)
    assert len(Path("free.jsonl").read_bytes().splitlines()) == 2
    go(rows, "confined.jsonl", simulator, confine_images=True, **flags)
    assert [orjson.loads(line)["image"] for line in Path("confined.jsonl").read_bytes().splitlines()] == ["red.png"]
    (failed,) = Path("confined.failed.jsonl").read_bytes().splitlines()
    assert orjson.loads(failed)["error"]["code"] == "image_outside"
    with pytest.raises(SettingsError, match="confine"):
        go(rows, "confined.jsonl", simulator, retry_failed=True, **flags)


@pytest.mark.parametrize("paths", ["relative", "absolute"])
def test_written_paths_are_read_from_the_folder_of_the_output(paths: str, work: Path, simulator: Simulator) -> None:
    go("in/rows.jsonl", "out/qa.jsonl", simulator, paths=paths)
    go("in/rows.jsonl", "given.jsonl", simulator)
    written = images("out/qa.jsonl")
    assert all((work / "out" / name).is_file() for name in written)
    assert {Path(name).is_absolute() for name in written} == {paths == "absolute"}
    start = "../" if paths == "relative" else f"{work}/"
    assert images("out/qa.failed.jsonl") == [f"{start}in/missing.png"]
    # Only the paths differ: the questions and the answers are the same.
    given = [orjson.loads(line) for line in Path("given.jsonl").read_bytes().splitlines()]
    rows = [orjson.loads(line) for line in Path("out/qa.jsonl").read_bytes().splitlines()]
    assert [row["pers_qa"] for row in rows] == [row["pers_qa"] for row in given]


@pytest.mark.parametrize("paths", [None, "relative", "absolute"])
def test_a_failure_file_is_an_input_from_wherever_it_lies(
    paths: str | None, work: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("in/rows.jsonl", "out/qa.jsonl", simulator, paths=paths)
    shutil.copy("in/red.png", "in/missing.png")
    (work.parent / "elsewhere").mkdir()
    monkeypatch.chdir(work.parent / "elsewhere")
    summary = go(work / "out" / "qa.failed.jsonl", "again.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (1, 0)
    # An output with its run file may be an input, too.
    summary = go(work / "out" / "qa.jsonl", "third.jsonl", simulator, output_key="again")
    assert (summary.tally.succeeded, summary.tally.failed_total) == (3, 0)


def test_a_picture_beside_the_failure_file_does_not_take_the_place_of_the_row_s_own(
    work: Path, simulator: Simulator
) -> None:
    go("in/rows.jsonl", "out/qa.jsonl", simulator)
    shutil.copy("green.png", "out/missing.png")
    Image.new("RGB", (60, 50), "red").save("in/missing.png")
    go("out/qa.failed.jsonl", "again.jsonl", simulator, details=True)
    [meta] = [orjson.loads(line)["pers_qa_meta"] for line in Path("again.jsonl").read_bytes().splitlines()]
    assert (meta["pictures"][0]["width"], meta["pictures"][0]["height"]) == (60, 50)


def test_the_paths_of_a_folder_s_pictures_resolve_from_the_output(work: Path, simulator: Simulator) -> None:
    go("in", "out/qa.jsonl", simulator)
    assert images("out/qa.jsonl") == ["../in/red.png", "../in/photos/blue.png"]
    go("in", "qa.jsonl", simulator)
    assert images("qa.jsonl") == ["in/red.png", "in/photos/blue.png"]
    go(work / "in", "out/absolute.jsonl", simulator)
    assert images("out/absolute.jsonl") == [f"{work}/in/red.png", f"{work}/in/photos/blue.png"]
    go("in", "out/given.jsonl", simulator, paths="as-given")
    assert images("out/given.jsonl") == ["in/red.png", "in/photos/blue.png"]


@pytest.mark.parametrize("kind", ["rows.json", "rows.csv", "list.txt", "photos/*.png", "photos/blue.png"])
def test_the_paths_of_rows_that_are_made_resolve_from_the_output(kind: str, work: Path, simulator: Simulator) -> None:
    Path("in/rows.json").write_text('[{"image": "red.png"}, {"image": ["photos/blue.png"]}]')
    Path("in/rows.csv").write_text("image\nred.png\nphotos/blue.png\n")
    Path("in/list.txt").write_text("red.png\nphotos/blue.png\n")
    go(f"in/{kind}", "out/qa.jsonl", simulator)
    fields = [orjson.loads(line)["image"] for line in Path("out/qa.jsonl").read_bytes().splitlines()]
    written = [name for field in fields for name in ([field] if isinstance(field, str) else field)]
    assert written[-1] == "../in/photos/blue.png"
    assert set(written) <= {"../in/red.png", "../in/photos/blue.png"}
    assert go(f"in/{kind}", "out/qa.jsonl", simulator).state == "already"


def test_rows_of_several_files_are_the_user_s_own(work: Path, simulator: Simulator) -> None:
    Path("in/more.jsonl").write_text('{"image": ["photos/blue.png"]}\n')
    go(["in/rows.jsonl", "in/more.jsonl"], "out/qa.jsonl", simulator)
    assert images("out/qa.jsonl") == ["red.png", "green.png", "photos/blue.png", "photos/blue.png"]


def test_failure_files_of_one_run_s_folders_are_read_together(
    work: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        go("in/rows.jsonl", f"out/{name}.jsonl", simulator)
    shutil.copy("green.png", "in/missing.png")
    monkeypatch.chdir(work / "out")
    summary = go(["one.failed.jsonl", "two.failed.jsonl"], "qa.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (2, 0)


def test_files_of_runs_with_other_folders_are_not_read_together(work: Path, simulator: Simulator) -> None:
    Path("out").mkdir(exist_ok=True)
    Path("out/rows.jsonl").write_text(
        '{"image": ["nowhere.png"]}\n{"image": ["../red.png"]}\n{"image": ["../green.png"]}\n'
    )
    go("in/rows.jsonl", "out/one.jsonl", simulator)
    go("out/rows.jsonl", "out/two.jsonl", simulator)
    for other in ("out/two.failed.jsonl", "out/rows.jsonl"):
        inputs = ["out/one.failed.jsonl", other]
        with pytest.raises(
            SettingsError, match=r"one.failed.jsonl and out/\S+ start in different folders, .*image_root"
        ):
            go(inputs, "out/qa.jsonl", simulator)
    assert go(inputs, "out/qa.jsonl", simulator, image_root=Path("in")).tally.rows == 4
    assert go(["out/two.failed.jsonl", "out/rows.jsonl"], "out/all.jsonl", simulator).tally.rows == 5


def test_the_choice_belongs_to_the_run(work: Path, simulator: Simulator) -> None:
    go("in/rows.jsonl", "qa.jsonl", simulator, paths="absolute", limit=1)
    with pytest.raises(SettingsError, match='the setting paths was "absolute" in this run and is not set now'):
        go("in/rows.jsonl", "qa.jsonl", simulator)
    go("in/rows.jsonl", "qa.jsonl", simulator, paths="absolute")
    assert images("qa.jsonl") == [f"{work}/in/red.png", f"{work}/green.png", f"{work}/in/photos/blue.png"]
    assert images("qa.failed.jsonl") == [f"{work}/in/missing.png"]


def test_a_folder_run_of_an_earlier_version_goes_on_as_it_began(work: Path, simulator: Simulator) -> None:
    go("in", "out/qa.jsonl", simulator, limit=1)
    lines = Path("out/qa.jsonl").read_bytes()
    Path("out/qa.jsonl").write_bytes(lines.replace(b"../in", b"in"))
    run = orjson.loads(Path("out/qa.run.json").read_bytes())
    del run["folders"]
    run["lengths"]["output"] -= 3
    Path("out/qa.run.json").write_bytes(orjson.dumps(run))
    go("in", "out/qa.jsonl", simulator)
    assert images("out/qa.jsonl") == ["in/red.png", "in/photos/blue.png"]
    assert orjson.loads(Path("out/qa.run.json").read_bytes())["folders"]["paths"] == "as-given"


@pytest.mark.parametrize("without_details", [False, True])
def test_a_retry_and_a_recheck_keep_the_written_paths(without_details: bool, work: Path, simulator: Simulator) -> None:
    go("in/rows.jsonl", "out/qa.jsonl", simulator, paths="relative")
    shutil.copy("in/red.png", "in/missing.png")
    go("in/rows.jsonl", "out/qa.jsonl", simulator, paths="relative", retry_failed=True)
    expected = ["../in/red.png", "../green.png", "../in/photos/blue.png", "../in/missing.png"]
    assert images("out/qa.jsonl") == expected
    if without_details:
        Path("out/qa.details.jsonl").unlink()
    report = recheck_run(Path("out/qa.jsonl"))
    assert (report.questions, report.tally.succeeded) == (4, 4)
    assert images("out/qa.jsonl") == expected


def test_relative_to_an_output_that_there_is_not_is_refused(simulator: Simulator) -> None:
    with pytest.raises(SettingsError, match='paths="relative" needs an output file'):
        generate([{"image": "a.png"}], base_url=simulator.base_url, model=MODEL, paths="relative")

"""Exports of runs: what is in them, what is left out, and that nothing is lost or half done."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.registry import LAYOUTS
from persqa_client.formats.splits import Split, parse_parts
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.rows import parse_line
from persqa_client.outcomes import Outcome
from persqa_client.records.data_record import DataRecord
from persqa_client.types import START_POSITION, Row
from tests.formats.examples import draw_picture, list_files, make_rows, read_rows, write_run
from tests.report.runs import QUESTION, WrittenRun, make_failure, make_record
from tests.support.commands import python


def export(output: Path, target: Path, name: str = "llava", **settings: Any) -> ExportReport:
    return export_runs([output], ExportSettings(name, target, **settings))


def describe(target: Path) -> dict[str, Any]:
    return dict(json.loads((target / "export.json").read_text()))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_same_run_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", [*make_rows(6), {"image": "missing.png"}])
    split = Split(parse_parts("train=0.5,val=0.5"))
    for target in ("one", "two"):
        export(output, tmp_path / target, name, split=split)
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")


def test_the_description_says_where_the_rows_come_from(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [make_record(1), make_failure(2), make_record(3)]
    output = write_run(tmp_path / "run", make_rows(3), outcomes=outcomes)
    export(output, tmp_path / "data")
    found = describe(tmp_path / "data")
    assert (found["tool"], found["format"], found["licence"]) == ("persqa_client", "llava", "")
    assert found["files"] == {"train.json": 2}
    assert found["counts"] == {"rows": 2, "failed": 1, "left_out": {}}
    (run,) = found["runs"]
    assert (run["output"], run["state"], run["model"]) == ("qa.jsonl", "finished", "m")
    assert run["settings"]["tag"] == "mam"


def test_rows_whose_pictures_are_missing_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [{"image": ["1.png"]}, {"image": ["2.png", "missing.png"]}, {"image": ["3.png"]}]
    report = export(write_run(tmp_path / "run", rows), tmp_path / "data")
    assert report.left_out == {"image_missing": 1}
    assert len(read_rows(tmp_path / "data" / "train.json")) == 2
    assert {path.name for path in (tmp_path / "data" / "images").iterdir()} == {"1.png", "3.png"}
    (left,) = describe(tmp_path / "data")["left_out"]
    assert (left["id"], left["code"]) == ("qa-2", "image_missing")
    assert "missing.png" in left["message"]


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - {"jsonl"}))
def test_a_mark_in_the_text_is_never_counted_as_a_picture(name: str, tmp_path: Path) -> None:
    asked = ["<image>\nWhat is it?", "What does <image> mean?", "What is it?"]
    outcomes = [make_record(number, asked=question) for number, question in enumerate(asked, 1)]
    outcomes.append(make_record(4, "<mam> is an <image> tag."))
    report = export(write_run(tmp_path / "run", make_rows(4), outcomes=outcomes), tmp_path / "data", name)
    found: Any = read_rows(tmp_path / "data" / next(iter(report.files)))
    by_picture = [{image: pairs} for image, pairs in found.items()] if isinstance(found, dict) else found
    rows = [LAYOUTS[name].read(row) for row in by_picture]
    plain = [(row.question, row.answer) for row in rows]
    expected = [("What is it?", "<mam> holds a cup."), ("What is it?", "<mam> holds a cup.")]
    if LAYOUTS[name].marks:
        assert (plain, report.left_out) == (expected, {"mark_in_text": 2})
    else:
        expected.insert(1, (asked[1], "<mam> holds a cup."))
        assert (plain, report.left_out) == ([*expected, (QUESTION, "<mam> is an <image> tag.")], {})


def test_decisions_replace_and_leave_out_records(tmp_path: Path) -> None:
    def decide(record: DataRecord, output: Path) -> DataRecord | None:
        return None if record.provenance.row == 2 else replace(record, answer=record.answer.replace("cups", "mugs"))

    output = write_run(tmp_path / "run", make_rows(3))
    report = export_runs([output], ExportSettings("llava", tmp_path / "data"), decide)
    answers = [row["conversations"][1]["value"] for row in read_rows(tmp_path / "data" / "train.json")]
    assert answers == ["<mam> holds 1 mugs.", "<mam> holds 3 mugs."]
    assert report.left_out == {"decision": 1}


def test_several_runs_are_one_export_with_their_own_pictures(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", make_rows(1))
    draw_picture(tmp_path / "b" / "1.png", 77)
    second = write_run(tmp_path / "b", make_rows(1))
    export_runs([first, second], ExportSettings("llava", tmp_path / "data"))
    rows = read_rows(tmp_path / "data" / "train.json")
    assert [row["id"] for row in rows] == ["qa-1", "qa-2-1"]
    written = [(tmp_path / "data" / row["image"]).read_bytes() for row in rows]
    assert written == [(tmp_path / folder / "1.png").read_bytes() for folder in "ab"]


def test_an_unfinished_run_is_exported_as_far_as_it_is(tmp_path: Path) -> None:
    for number in (1, 2):
        draw_picture(tmp_path / f"{number}.png", number)
    output = WrittenRun(tmp_path).leave_unfinished([make_record(1), make_record(2)], torn=b'{"row":3,')
    report = export(output, tmp_path / "data")
    assert (report.runs[0].state, report.row_count) == ("unfinished", 2)
    assert describe(tmp_path / "data")["runs"][0]["state"] == "unfinished"


def test_a_folder_is_refused_unless_it_is_new_empty_or_an_earlier_export_with_force(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(2))
    target = tmp_path / "data"
    target.mkdir()
    export(output, target)
    with pytest.raises(SettingsError, match=r"has an export.*--force"):
        export(output, target)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"also has 'notes.txt'"):
        export(output, target, force=True)
    (target / "notes.txt").rename(target / "images" / "notes.txt")
    with pytest.raises(SettingsError, match=r"also has 'images/notes.txt'"):
        export(output, target, force=True)
    (target / "images" / "notes.txt").unlink()
    export(output, target, "swift", force=True)
    assert {path.name for path in target.iterdir()} == {"train.jsonl", "images", "export.json"}
    before = list_files(tmp_path / "run")
    with pytest.raises(SettingsError, match="not empty"):
        export(output, tmp_path / "run", force=True)
    assert list_files(tmp_path / "run") == before


@pytest.mark.parametrize("way", ["made/../photos", "photos/../photos", "one/two/../../photos"])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_found_by_any_way_to_it(way: str, force: bool, tmp_path: Path) -> None:
    draw_picture(tmp_path / "photos" / "cat.png", 1)
    with pytest.raises(SettingsError, match="is not empty: give -o a new folder"):
        export(write_run(tmp_path / "run", make_rows(1)), tmp_path / way, force=force)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.png"]
    assert not (tmp_path / "made").exists()


def test_a_place_where_nothing_can_be_made_is_refused(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SettingsError, match="file is a file, not a folder: choose another -o"):
        export(output, tmp_path / "file" / "data")
    with pytest.raises(SettingsError, match="no file can be made in /proc"):
        export(output, Path("/proc/data"))


def test_a_file_of_an_export_that_was_changed_is_not_replaced(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(2))
    export(output, tmp_path / "data", "llamafactory")
    index = tmp_path / "data" / "dataset_info.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"mine": {"hf_hub_url": "me/mine"}}))
    before = list_files(tmp_path / "data")
    with pytest.raises(SettingsError, match=r"dataset_info\.json was changed since it was exported"):
        export(output, tmp_path / "data", "llamafactory", force=True)
    assert list_files(tmp_path / "data") == before


@pytest.mark.parametrize("entries", [None, 7, [["a"]], ["train.json", None]])
def test_a_description_with_other_entries_makes_all_files_foreign(entries: Any, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    export(output, tmp_path / "data")
    path = tmp_path / "data" / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"entries": entries, "digests": entries}))
    with pytest.raises(SettingsError, match="which no export wrote"):
        export(output, tmp_path / "data", force=True)


def test_a_file_and_its_description_are_replaced_only_if_an_export_wrote_them(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    target, description = tmp_path / "rows.json", tmp_path / "rows.json.export.json"
    description.write_text('{"mine": 1}')
    for force in (False, True):
        with pytest.raises(SettingsError, match=r"described in .*rows\.json\.export\.json, which no export"):
            export(output, target, force=force)
    description.rename(target)
    with pytest.raises(SettingsError, match="was not written by an export"):
        export(output, target, force=True)
    assert target.read_text() == '{"mine": 1}'
    target.unlink()
    export(output, target)
    export(output, tmp_path / "rows.jsonl", "swift")
    assert json.loads(description.read_text())["format"] == "llava"
    export(output, target, force=True)
    target.write_text(target.read_text().replace("cups", "mugs"))
    with pytest.raises(SettingsError, match=r"rows\.json was changed since"):
        export(output, target, force=True)


@pytest.mark.parametrize("target", [".", "..", "/"])
def test_the_folder_that_one_is_in_is_refused(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(SettingsError, match="give -o a new folder"):
        export(output, Path(target), force=True)


def test_the_licence_that_the_user_filled_in_is_kept(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    export(output, tmp_path / "data")
    path = tmp_path / "data" / "export.json"
    path.write_text(path.read_text().replace('"licence": ""', '"licence": "CC-BY-4.0"'))
    export(output, tmp_path / "data", force=True)
    assert describe(tmp_path / "data")["licence"] == "CC-BY-4.0"


def stop_at_the_third(record: DataRecord, output: Path) -> DataRecord | None:
    if record.provenance.row == 3:
        raise KeyboardInterrupt
    return record


def test_an_export_that_is_stopped_leaves_what_was_there(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(4))
    export(output, tmp_path / "data", "swift")
    before = list_files(tmp_path / "data")
    for target in ("data", "new"):
        with pytest.raises(KeyboardInterrupt):
            export_runs([output], ExportSettings("llava", tmp_path / target, force=True), stop_at_the_third)
    assert list_files(tmp_path / "data") == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "data"}


# Exports, and is killed at the third row.
KILLED = """
import os, signal, sys
from pathlib import Path
from persqa_client.formats.export import ExportSettings, export_runs

def decide(record, output):
    if record.provenance.row == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return record

export_runs([Path("run/qa.jsonl")], ExportSettings("llava", Path(sys.argv[1]), force=True), decide)
"""


@pytest.mark.parametrize("target", ["data", "data.json"])
def test_a_killed_export_leaves_nothing_that_looks_whole(target: str, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(4))
    assert python(KILLED, target, cwd=tmp_path).returncode not in (0, 1, 2)
    assert not (tmp_path / target).exists()
    assert {path.name for path in tmp_path.iterdir()} > {"run", f".{target}.exporting"}
    export(output, tmp_path / target)
    assert {path.name for path in tmp_path.iterdir()} - {"data.json.export.json"} == {"run", target}
    if target == "data":
        assert len(list((tmp_path / "data" / "images").iterdir())) == 4


def test_two_exports_to_one_place_are_refused(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(2))

    def decide(record: DataRecord, output: Path) -> DataRecord | None:
        with pytest.raises(SettingsError, match="another export is writing"):
            export(output, tmp_path / "data")
        return record

    assert export_runs([output], ExportSettings("llava", tmp_path / "data"), decide).row_count == 2


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    answer = f"<mam> holds {'a very ' * 1200}large cup."
    outcomes = [make_record(number, answer) for number in range(1, 401)]
    output = write_run(tmp_path / "run", [{"image": "1.png"}] * len(outcomes), outcomes=outcomes)
    del outcomes
    tracemalloc.start()
    try:
        export(output, tmp_path / "data", split=Split(parse_parts("train=0.5,val=0.5"), "row"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "data").glob("*.json"))
    assert written > 3_000_000 > peak + 1_000_000


@pytest.mark.parametrize(("name", "suffix"), [("llava", ".json"), ("llava", ".jsonl"), ("openai", ".jsonl")])
def test_a_file_has_the_rows_alone_and_names_the_originals(name: str, suffix: str, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(2))
    target = tmp_path / f"export{suffix}"
    export(output, target, name)
    rows = read_rows(target)
    assert len(rows) == 2
    if name == "llava":
        assert [row["image"] for row in rows] == [str(tmp_path / "run" / f"{number}.png") for number in (1, 2)]
    description = f"{target.name}.export.json"
    assert json.loads((tmp_path / description).read_text())["files"] == {target.name: 2}
    assert {path.name for path in tmp_path.iterdir()} == {"run", target.name, description}
    with pytest.raises(SettingsError, match="exists"):
        export(output, target, name)


@pytest.mark.parametrize(
    ("name", "target", "settings", "message"),
    [
        ("llava", "a.json", {"pictures": "copy"}, "needs a folder"),
        ("llava", "data", {"pictures": "embed"}, "copy or link or leave only"),
        ("openai", "data", {"pictures": "copy"}, "embed only"),
        ("llava", "data", {"pictures": "link", "sent": True}, "use copy"),
        ("llamafactory", "a.jsonl", {}, "several files"),
        ("llava", "a.json", {"split": Split(parse_parts("a=1"))}, "--split writes several files"),
        ("llava", "a.parquet", {}, r"\.parquet files are not written"),
        ("llava", "a.html", {}, r"\.html files are not written"),
        ("llava", "run/qa.run.json", {"force": True}, "one of the files of the output"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    name: str, target: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    before = list_files(tmp_path)
    with pytest.raises(SettingsError, match=message):
        export(output, tmp_path / target, name, **settings)
    assert list_files(tmp_path) == before


def test_a_run_without_anything_to_export_leaves_no_folder(tmp_path: Path) -> None:
    for rows, outcomes, message in (
        (make_rows(1), [make_failure(1)], "has no accepted answer"),
        ([{"image": "missing.png"}], None, "no row of .* can be exported; qa-1: .*missing.png"),
    ):
        output = write_run(tmp_path / "run", rows, outcomes=outcomes)
        with pytest.raises(SettingsError, match=message):
            export(output, tmp_path / "data")
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize(
    ("name", "image_key"),
    [("jsonl", "image"), ("llava", "image"), ("llamafactory", "images"), ("swift", "images"), ("trl", "images")],
)
def test_a_run_reads_an_export_again_with_the_same_pictures(name: str, image_key: str, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", [{"image": "1.png"}, {"image": ["2.png", "3.png"]}])
    report = export(output, tmp_path / "data", name)
    file = tmp_path / "data" / next(iter(report.files))
    source = open_inputs([str(file)], image_key)
    lines = [line for line, _ in source.lines(START_POSITION) if line.strip()]
    rows = [parse_line(number, line, image_key=image_key, output_key="new") for number, line in enumerate(lines, 1)]
    references = [row.images for row in rows if isinstance(row, Row)]
    assert references == [("images/1.png",), ("images/2.png", "images/3.png")]
    assert all((file.parent / each).exists() for images in references for each in images)


def test_the_reference_pictures_of_rows_are_in_an_export_of_lines_only(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": ["1.png", "2.png"], "ref": "3.png"},
        {"image": "2.png", "ref": None},
        {"image": "2.png"},
    ]
    output = write_run(tmp_path / "run", rows, settings={"reference-key": "ref"})
    draw_picture(tmp_path / "run" / "3.png", 3)
    export(output, tmp_path / "lines", "jsonl")
    written = read_rows(tmp_path / "lines" / "train.jsonl")
    assert [(row["image"], row.get("ref")) for row in written] == [
        (["images/1.png", "images/2.png"], "images/3.png"),
        ("images/2.png", None),
        ("images/2.png", None),
    ]
    assert (tmp_path / "lines/images/3.png").read_bytes() == (tmp_path / "run/3.png").read_bytes()
    (tmp_path / "run" / "3.png").unlink()
    assert export(output, tmp_path / "again", "jsonl").left_out == {"image_missing": 1}
    export(output, tmp_path / "llava")
    assert not (tmp_path / "llava/images/3.png").exists()

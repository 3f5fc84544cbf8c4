"""Exports of pictures with a text file beside each, by the rules that ``formats/captions.py`` names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.splits import Split, parse_parts
from tests.formats.examples import draw_picture, list_files, make_rows, read_rows, write_run
from tests.report.runs import make_record


def export(output: Path, target: Path, **settings: Any) -> ExportReport:
    return export_runs([output], ExportSettings("captions", target, **settings))


def test_each_picture_has_its_answers_beside_it(tmp_path: Path) -> None:
    draw_picture(tmp_path / "run" / "a.b.png", 1)
    draw_picture(tmp_path / "run" / "x" / "a-b.jpg", 2)
    rows: list[dict[str, Any]] = [{"image": "a.b.png"}, {"image": ["a.b.png", "x/a-b.jpg"]}]
    rows += [{"image": "x/a-b.jpg"}, {"image": "a.b.png"}]
    outcomes = [make_record(number, f"<mam> holds\n{number} cups.") for number in range(1, 5)]
    report = export(write_run(tmp_path / "run", rows, outcomes=outcomes), tmp_path / "data")
    files = list_files(tmp_path / "data" / "train")
    assert files.keys() == {"a-b.png", "a-b.txt", "a-b-2.jpg", "a-b-2.txt", "metadata.jsonl"}
    assert files["a-b.txt"] == b"<mam> holds 1 cups.\n<mam> holds 4 cups.\n"
    assert files["a-b-2.txt"] == b"<mam> holds 3 cups.\n"
    assert files["a-b-2.jpg"] == (tmp_path / "run" / "x" / "a-b.jpg").read_bytes()
    assert (report.files, report.left_out) == ({"train/metadata.jsonl": 3}, {"too_many_images": 1})
    index = read_rows(tmp_path / "data" / "train" / "metadata.jsonl")
    assert [row["file_name"] for row in index] == ["a-b.png", "a-b-2.jpg", "a-b.png"]
    assert index[0]["text"] == "<mam> holds\n1 cups."


def test_a_picture_is_not_taken_for_its_text_file(tmp_path: Path) -> None:
    draw_picture(tmp_path / "run" / "a.png", 1)
    (tmp_path / "run" / "a.png").rename(tmp_path / "run" / "a.txt")
    export(write_run(tmp_path / "run", [{"image": "a.txt"}]), tmp_path / "data")
    files = list_files(tmp_path / "data" / "train")
    assert files.keys() == {"a.png", "a.txt", "metadata.jsonl"}
    assert files["a.png"] == (tmp_path / "run" / "a.txt").read_bytes()


def test_an_export_is_the_same_again_and_is_replaced(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(6))
    split = Split(parse_parts("train=0.5,val=0.5"), by="row")
    for target in ("one", "two"):
        export(output, tmp_path / target, split=split)
    files = list_files(tmp_path / "one")
    assert files == list_files(tmp_path / "two")
    assert set(json.loads(files["export.json"])["entries"]) == files.keys() - {"export.json"}
    export(output, tmp_path / "two", force=True)
    (tmp_path / "two" / "train" / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"also has 'train/mine\.txt'"):
        export(output, tmp_path / "two", force=True)


def test_it_has_no_place_for_details(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the format captions has no columns for them"):
        export(write_run(tmp_path / "run", make_rows(1)), tmp_path / "data", details=True)

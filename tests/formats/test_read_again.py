"""``persqa run`` over what ``persqa export`` wrote: the same pictures, questions and tags in each trainer's format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.images.references import read_reference
from persqa_client.inputs.opening import open_source
from persqa_client.inputs.rows import parse_line
from persqa_client.types import START_POSITION, Row
from tests.formats.examples import write_run
from tests.report.runs import make_record

TRAINERS = ["axolotl", "llamafactory", "llava", "openai", "swift", "trl"]
QUESTIONS = ["What does <mam> hold?", "Where is <bo>?"]


@pytest.mark.parametrize("name", TRAINERS)
def test_a_run_reads_an_export_again(name: str, tmp_path: Path) -> None:
    outcomes = [make_record(number, "<mam> holds a cup.", asked=text) for number, text in enumerate(QUESTIONS, 1)]
    output = write_run(tmp_path / "run", [{"image": "a.png"}, {"image": ["a.png", "b.png"]}], outcomes=outcomes)
    export_runs([output], ExportSettings(name, tmp_path / "data"))
    source = open_source(next((tmp_path / "data").glob("train.*")), "image")
    rows = [
        parse_line(position.number, line, image_key="image", output_key="pers_qa")
        for line, position in source.lines(START_POSITION)
    ]
    assert all(isinstance(row, Row) for row in rows)
    pictures = [(tmp_path / "run" / f"{name}.png").read_bytes() for name in ("a", "b")]
    found = [
        ([read_reference(image, [tmp_path / "data"]) for image in row.images], row.question, row.tag)
        for row in rows
        if isinstance(row, Row)
    ]
    assert found == [(pictures[:1], QUESTIONS[0], "<mam>"), (pictures, QUESTIONS[1], "<bo>")]
    if name != "llava":
        assert json.loads(next(iter(rows)).line)["old_answer"] == "<mam> holds a cup."

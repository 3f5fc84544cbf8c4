"""``persqa run`` over what ``persqa export`` wrote: the same pictures, questions and tags in each trainer's format."""

from __future__ import annotations

import json
from dataclasses import replace
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
PACKED = [("parquet", "image"), ("parquet", "images"), ("webdataset", "image")]
QUESTIONS = ["What does <mam> hold?", "Where is <bo>?"]


@pytest.mark.parametrize(("name", "image_key"), [*((name, "image") for name in TRAINERS), *PACKED])
def test_a_run_reads_an_export_again(name: str, image_key: str, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    outcomes = [
        replace(make_record(number, f"{tag} holds a cup.", asked=text), tag=tag)
        for number, (text, tag) in enumerate(zip(QUESTIONS, ("<mam>", "<bo>"), strict=True), 1)
    ]
    output = write_run(tmp_path / "run", [{"image": "a.png"}, {"image": ["a.png", "b.png"]}], outcomes=outcomes)
    export_runs([output], ExportSettings(name, tmp_path / "data"))
    file = next((tmp_path / "data").rglob("train[.-]*"))
    source = open_source(file, image_key)
    assert name == "llava" or not source.warnings()
    rows = [
        parse_line(position.number, line, image_key=image_key, output_key="pers_qa")
        for line, position in source.lines(START_POSITION)
    ]
    assert all(isinstance(row, Row) for row in rows)
    pictures = [(tmp_path / "run" / f"{name}.png").read_bytes() for name in ("a", "b")]
    found = [
        ([read_reference(image, [file.parent]) for image in row.images], row.question, row.tag)
        for row in rows
        if isinstance(row, Row)
    ]
    assert found == [(pictures[:1], QUESTIONS[0], "<mam>"), (pictures, QUESTIONS[1], "<bo>")]
    if name in TRAINERS and name != "llava":
        assert json.loads(next(iter(rows)).line)["old_answer"] == "<mam> holds a cup."


@pytest.mark.parametrize(("name", "image_key"), PACKED)
@pytest.mark.parametrize("question", ["What is in the background?", "Where is <mi>, and where is <bo>?"])
def test_the_tag_of_a_packed_row_is_that_of_the_run(name: str, image_key: str, question: str, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    outcome = replace(make_record(1, "<bo> holds a cup.", asked=question), tag="<bo>")
    output = write_run(tmp_path / "run", [{"image": "a.png"}], outcomes=[outcome])
    export_runs([output], ExportSettings(name, tmp_path / "data"))
    source = open_source(next((tmp_path / "data").rglob("train[.-]*")), image_key)
    ((line, _),) = source.lines(START_POSITION)
    row = parse_line(1, line, image_key=image_key, output_key="pers_qa")
    assert isinstance(row, Row)
    assert (row.question, row.tag) == (question, "<bo>")

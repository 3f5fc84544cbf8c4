"""What the numbers of rows count in messages: lines of a file that people can open there, otherwise rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from persqa_client.inputs.files import name_counted_by
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.preview import Sample
from persqa_client.run.run_input import plan_for_source
from persqa_client.run.settings import make_run_settings
from persqa_client.types import BadRow
from tests.run.test_fields_of_pictures import ENDPOINT

LINES = '{"image": 5}\n{"image": ["a.jpg"]}\n'
FILES = {
    "rows.jsonl": (LINES.encode(), "line"),
    "rows.jsonl.gz": (gzip.compress(LINES.encode()), "line"),
    "rows.json": (json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1).encode(), "row"),
    "rows.csv": (b"image,question\n,What does <mam> hold?\na.jpg,\n", "row"),
    "list.txt": (b"a.jpg\nb.jpg\n", "row"),
}


@pytest.mark.parametrize("name", FILES)
def test_rows_of_a_file_are_counted_as_its_kind_has_them(name: str, tmp_path: Path) -> None:
    content, counted_as = FILES[name]
    (tmp_path / name).write_bytes(content)
    source = open_inputs([tmp_path / name], "image")
    settings = make_run_settings([ENDPOINT], {})
    assert plan_for_source(settings, source).counted_as == counted_as
    assert plan_for_source(settings, Sample(source, 1)).counted_as == counted_as
    assert name_counted_by(source.fingerprint()) == counted_as


def test_numbers_that_go_on_from_file_to_file_are_no_lines(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        path.write_text(LINES)
    plan = plan_for_source(make_run_settings([ENDPOINT], {}), source := open_inputs(paths, "image"))
    row = plan.make_row_reader().parse(3, b'{"image": 5}')
    assert isinstance(row, BadRow)
    assert row.message == "Row 3: the field 'image' must be a path or a list of paths."
    assert name_counted_by(source.fingerprint()) == "row"


def test_objects_of_a_caller_are_rows() -> None:
    plan = plan_for_source(make_run_settings([ENDPOINT], {}), InMemorySource([{"image": 5}]))
    assert plan.counted_as == "row"

"""Files of each kind that are continued after they were read, or while they are read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_source
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.types import START_POSITION


class Kind(NamedTuple):
    """How a file begins, what is between its rows, its rows, and one of which only a part is written."""

    begin: str
    between: str
    rows: tuple[str, ...]
    part: str


TABLE_ROWS = ("a.png,Who?", 'b.png,"What, now?"', "c.png,", 'd.png,"1\n2"')
OBJECTS = tuple(f'{{"image": "{name}.png"}}' for name in "abcd")
KINDS = {
    "lines": Kind("", "\n", OBJECTS, '{"image": "b.p'),
    "list": Kind("", "\n", ("a.png", "b.png", '"c.png"', "d.png"), "b.p"),
    "list, CRLF": Kind("", "\r\n", ("a.png", "b.png", '"c.png"', "d.png"), "b.p"),
    "list, byte order mark": Kind("\ufeff", "\n", ("a.png", "b.png", "c.png", "d.png"), "b"),
    "table": Kind("image,question\n", "\n", TABLE_ROWS, "b.png,What"),
    "table, quotation mark": Kind("image,question\n", "\n", TABLE_ROWS, 'b.png,"What'),
    "table, cell of two lines": Kind("image,question\n", "\n", TABLE_ROWS, 'b.png,"What\n'),
    "table, CRLF": Kind("image,question\r\n", "\r\n", TABLE_ROWS, "b.png,What"),
    "array": Kind("[", ", ", OBJECTS, '{"image": "b.p'),
    "array over several lines": Kind("[\n", ",\n", ('"a.png"', *OBJECTS[1:]), '"b.p'),
    "objects over several lines": Kind("", "\n", tuple(text.replace(" ", "\n") for text in OBJECTS), '{\n"im'),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def write(path: Path, kind: Kind, *rows: str, end: str = "") -> Path:
    path.write_bytes((kind.begin + kind.between.join(rows) + end).encode())
    return path


def whole_lines(path: Path, kind: Kind, count: int) -> list[bytes]:
    return [line for line, _ in open_source(write(path, kind, *kind.rows[:count]), "image").lines(START_POSITION)]


@each_kind
def test_reading_continues_behind_a_last_row_without_a_line_end(kind: Kind, tmp_path: Path) -> None:
    path, at, read = tmp_path / "rows", START_POSITION, list[bytes]()
    for before, count in pairwise((0, 1, 2, 4)):
        source = open_source(write(path, kind, *kind.rows[:count]), "image")
        assert (at.number, source.digest_at(at)) == (before, at.digest)
        added = list(source.lines(at))
        read += [line for line, _ in added]
        at = added[-1][1]
    assert read == whole_lines(path, kind, 4)


@pytest.mark.parametrize("kind", [KINDS["array"], KINDS["array over several lines"]])
def test_reading_continues_in_an_array_that_was_closed(kind: Kind, tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "rows", kind, *kind.rows[:2], end="\n]\n"), "image")
    at = list(source.lines(START_POSITION))[-1][1]
    source = open_source(write(tmp_path / "rows", kind, *kind.rows, end="\n]\n"), "image")
    assert source.digest_at(at) == at.digest
    assert [line for line, _ in source.lines(at)] == whole_lines(tmp_path / "rows", kind, 4)[2:]


@each_kind
def test_a_row_that_is_being_written_is_left_to_a_later_run(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, lines = tmp_path / "rows", whole_lines(tmp_path / "rows", kind, 4)
    source = open_source(write(path, kind, kind.rows[0], end=kind.between), "image")
    write(path, kind, kind.rows[0], kind.part)
    ((line, at),) = source.lines(START_POSITION)
    assert (line, at.number, source.digest_at(at)) == (lines[0], 1, at.digest)
    assert list(source.lines(at)) == []
    assert [record.getMessage().count(", 2, is not complete and was not read") for record in caplog.records] == [1]
    write(path, kind, *kind.rows, end=kind.between)
    assert [line for line, _ in source.lines(at)] == lines[1:]


@each_kind
def test_a_file_that_does_not_grow_is_read_whole(kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = open_source(write(tmp_path / "rows", kind, kind.rows[0], kind.part), "image")
    assert [at.number for _, at in source.lines(START_POSITION)] == [1, 2]
    assert not caplog.records


@each_kind
def test_a_row_that_became_another_is_a_changed_input(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    at = list(open_source(write(path, kind, kind.rows[0], kind.part), "image").lines(START_POSITION))[-1][1]
    assert at.number == 2
    source = open_source(write(path, kind, *kind.rows), "image")
    assert source.digest_at(at) != at.digest


def test_a_row_that_goes_on_after_it_was_read_stops_the_run(tmp_path: Path) -> None:
    kind = KINDS["list"]
    source = open_source(write(tmp_path / "rows", kind, *kind.rows[:2]), "image")
    at = list(source.lines(START_POSITION))[-1][1]
    write(tmp_path / "rows", kind, *kind.rows[:2], end=".jpg\n")
    with pytest.raises(SettingsError, match="has changed: row 2 was its last one, had no line end, and goes on now"):
        list(source.lines(at))


def test_a_header_that_is_being_written_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("image,ques")
    source = open_source(tmp_path / "rows", "image")
    (tmp_path / "rows").write_text("image,quest")
    assert list(source.lines(START_POSITION)) == []
    (tmp_path / "rows").write_text("image,question\na.png,Who?\n")
    assert [line for line, _ in source.lines(START_POSITION)] == [b'{"image": "a.png", "question": "Who?"}']


run_kinds = pytest.mark.parametrize("kind", [KINDS[name] for name in ("list", "table", "array")])


def go(rows: Path, server: Simulator, **flags: Any) -> Summary:
    output = rows.with_name("qa.jsonl")
    return generate(rows, output, base_url=server.base_url, model="persqa-simulator", **flags)


@run_kinds
def test_runs_continue_a_file_whose_rows_are_added_one_by_one(kind: Kind, tmp_path: Path) -> None:
    for name in "abd":
        Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / f"{name}.png")
    rows = tmp_path / "rows"
    with run_simulator(SimSettings(latency=0.0)) as server:
        for count in (2, 3, 4):
            summary = go(write(rows, kind, *kind.rows[:count]), server)
        assert (summary.tally.succeeded, dict(summary.tally.failed)) == (3, {"image_missing": 1})
        Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "c.png")
        assert go(rows, server, retry_failed=True).tally.succeeded == 4


@run_kinds
def test_a_run_on_a_row_that_became_another_asks_nothing(kind: Kind, tmp_path: Path) -> None:
    for name in "abcd":
        Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / f"{name}.png")
    rows = tmp_path / "rows"
    with run_simulator(SimSettings(latency=0.0)) as server:
        go(write(rows, kind, kind.rows[0], kind.part), server)
        asked = server.stats()["requests"]
        with pytest.raises(SettingsError, match=r"has changed in its first 2 (rows|lines), which are already finished"):
            go(write(rows, kind, *kind.rows), server)
        assert server.stats()["requests"] == asked

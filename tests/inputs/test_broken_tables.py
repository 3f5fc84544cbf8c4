"""Tables whose quoting is broken: each row is read, or named as a bad row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_source
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import SeveralSource, extend_digest
from persqa_client.inputs.tables import TableSource
from persqa_client.jsonl import dump_spaced
from persqa_client.outcomes import Failure
from persqa_client.storage.records import render_failure
from persqa_client.types import START_POSITION, BadRow, Position, TaskId

NOT_CLOSED = "opens a quotation mark that is not closed"
BEHIND = "has text behind the quotation mark that closes a cell"


def read_rows(source: object) -> list[object]:
    """The fields of good rows, the messages of bad ones."""
    rows: list[object] = []
    for line, position in source.lines(START_POSITION):  # type: ignore[attr-defined]
        row = parse_line(position.number, line, image_key="image", output_key="out", counted_as="row")
        rows.append(row.message if isinstance(row, BadRow) else orjson.loads(row.line))
    return rows


def write_table(folder: Path, content: str) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(content.encode())
    return path


CAT, DOG = {"image": "cat.jpg", "q": "x"}, {"image": "dog.jpg", "q": "y"}


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(
            'image,q\ncat.jpg,x\n"coffee.jpg,cup\ndog.jpg,y\n', [CAT, (3, NOT_CLOSED), DOG], id="open to the end"
        ),
        pytest.param('image,q\ncat.jpg,x\ncoffee.jpg,"cup', [CAT, (3, NOT_CLOSED)], id="in the last line"),
        pytest.param(
            'image,q\ncoffee.jpg,"5 inch cup\ncat.jpg,x\ndog.jpg,y\n', [(2, NOT_CLOSED), CAT, DOG], id="a stray mark"
        ),
        pytest.param(
            'image,q\r\ncoffee.jpg,"5 inch cup\r\ncat.jpg,"x"\r\ndog.jpg,y',
            [(2, NOT_CLOSED), CAT, DOG],
            id="closed by the next record",
        ),
        pytest.param(
            'image,q,n\ncoffee.jpg,"cup\ncat.jpg,x,\nmilk.jpg,4 inch"\ndog.jpg,y\n',
            [(2, NOT_CLOSED), {"image": "cat.jpg", "q": "x", "n": ""}, {"image": "milk.jpg", "q": '4 inch"'}, DOG],
            id="closed, but with too few cells",
        ),
        pytest.param(
            'id,image,q\n1,img_1,"cup\n2,img_2,x"z\n',
            [(2, NOT_CLOSED), {"id": "2", "image": "img_2", "q": 'x"z'}],
            id="names without suffixes",
        ),
        pytest.param(
            'image\ncat.jpg\n"b.jpg\ndog.jpg\n',
            [{"image": "cat.jpg"}, (3, NOT_CLOSED), {"image": "dog.jpg"}],
            id="one column",
        ),
        pytest.param('image,q\ncoffee.jpg,"a"b"\ncat.jpg,x\n', [(2, BEHIND), CAT], id="text behind a quotation mark"),
        pytest.param('image,q\na\rb,"x"\ncat.jpg,x\n', [(2, "has a carriage return"), CAT], id="carriage return"),
        pytest.param("image,q\na\rb,x\ncat.jpg,x\n", [(2, "has a carriage return"), CAT], id="without marks"),
        pytest.param(
            'image,q\na","b\nc","d\ncat.jpg,x\n',
            [(2, "closed too late"), (3, NOT_CLOSED), CAT],
            id="marks that open and close again",
        ),
    ],
)
def test_no_row_is_swallowed(content: str, rows: list[object], tmp_path: Path) -> None:
    path = write_table(tmp_path, content)
    source = open_source(path, "image")
    found = read_rows(source)
    assert len(found) == len(rows)
    for row, expected in zip(found, rows, strict=True):
        if isinstance(expected, tuple):
            line, reason = expected
            assert isinstance(row, str)
            assert f"line {line} of the table {reason}" in row or (reason in row and f"line {line} " in row)
        else:
            assert row == expected
    # It resumes by position, and names the same lines.
    whole = list(source.lines(START_POSITION))
    for number, (_, position) in enumerate(whole, 1):
        rest = list(source.lines(position))
        assert rest == whole[number:]
        assert [getattr(line, "reason", None) for line, _ in rest] == [
            getattr(line, "reason", None) for line, _ in whole[number:]
        ]
        assert source.digest_at(position) == position.digest


def test_text_of_several_lines_stays_a_cell(tmp_path: Path) -> None:
    text = "one, two\nthree,\n\nfour.jpg\nHello, world"
    path = write_table(tmp_path, f'image,q\ncat.jpg,"{text}"\n"[\n""a.jpg"",\n""b.jpg""\n]",x\n')
    assert read_rows(open_source(path, "image")) == [
        {"image": "cat.jpg", "q": text},
        {"image": ["a.jpg", "b.jpg"], "q": "x"},
    ]


@pytest.mark.parametrize(
    ("header", "before", "text"),
    [
        ("image,q", "cat.jpg,", "similar pictures:\ndog.jpg,very\ncup.jpg,a bit"),
        ("q,image", "", "cat.jpg\ndog.jpg"),
        ("image", "", "cat.jpg\ndog.jpg\n"),
        ("id,image,q", "1,img_1,", "cup\n2,img_2,x"),
        ("image;q", "cat.jpg;", 'see:\n""dog.jpg"";""very""\ncup.jpg;a bit'),
    ],
)
def test_lines_like_records_are_text_in_a_cell_that_closes(header: str, before: str, text: str, tmp_path: Path) -> None:
    """As RFC 4180 describes a record: at the end of a cell, with as many cells as the header has."""
    delimiter = ";" if ";" in header else ","
    behind = "" if header.endswith("q") or header == "image" else f"{delimiter}d.jpg"
    record = f'{before}"{text}"{behind}\n'
    path = write_table(tmp_path, f"{header}\n{record}{record}")
    [expected] = csv.reader(io.StringIO(record), delimiter=delimiter)
    assert read_rows(open_source(path, "image")) == [dict(zip(header.split(delimiter), expected, strict=True))] * 2


def test_reading_ahead_is_bounded(tmp_path: Path) -> None:
    path = write_table(tmp_path, 'image,q\n"b.jpg\n' + "word\n" * 1000 + "x" * 2000 + "\ncat.jpg,x\n")
    rows = read_rows(TableSource(path, ",", "image", max_record=1000))
    assert len(rows) == 1003
    assert rows[0] == (
        "Row 1: line 2 of the table opens a quotation mark that is not closed; close it, or double a quotation mark "
        'that belongs to the text ("").'
    )
    assert "line 1003 of the table is longer than 0 MiB" in str(rows[1001])
    assert rows[1002] == CAT


def test_a_header_with_broken_quoting_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path, 'image,"q\ncat.jpg,x\n')
    with pytest.raises(SettingsError, match=r"can't be read as a table: its header, line 1, opens a quotation mark"):
        open_source(path, "image")


def test_too_many_cells_are_named_and_kept_as_they_are_written(tmp_path: Path) -> None:
    source = open_source(write_table(tmp_path, 'image;q\r\ncat.jpg;"a;b";c\r\n'), "image")
    [(line, position)] = source.lines(START_POSITION)
    row = parse_line(1, line, image_key="image", output_key="out", counted_as="row")
    assert isinstance(row, BadRow)
    assert (row.code, row.message) == (
        "bad_line",
        "Row 1: it has 3 cells, and the header has 2; write a cell that contains ';' in quotation marks.",
    )
    failure = Failure(TaskId(1), row.code, row.message, whole_row=True)
    assert orjson.loads(render_failure(row.line, failure))["line"] == 'cat.jpg;"a;b";c'
    # It counts as in earlier versions.
    assert row.given == b'["cat.jpg", "a;b", "c"]'
    assert position.digest == extend_digest("", row.given)
    assert SeveralSource([source], ["rows.csv"]).digest_at(position) == position.digest


def test_blanks_around_quoted_cells_are_no_text(tmp_path: Path) -> None:
    path = write_table(tmp_path, 'image,q\n"cat.jpg" ,x\n  "dog.jpg"\t,"y" \n"it""s.jpg"  ,"z"\t\r\n')
    assert read_rows(open_source(path, "image")) == [CAT, DOG, {"image": 'it"s.jpg', "q": "z"}]


def test_the_first_line_of_excel_names_the_delimiter(tmp_path: Path) -> None:
    for separator in ";", "\t", "^":
        path = write_table(tmp_path, f"\ufeffsep={separator}\r\nimage{separator}q\r\ncat.jpg{separator}x\r\n")
        source = open_source(path, "image")
        assert read_rows(source) == [CAT]
        [(_, position)] = source.lines(START_POSITION)
        assert list(source.lines(position)) == []
    path = write_table(tmp_path, "sep=;\npath;q\ncat.jpg;x\n")
    with pytest.raises(SettingsError, match="no column 'image', only 'path', 'q'; add --image-key path"):
        open_source(path, "image")


@pytest.mark.parametrize(
    "content",
    [
        "image,q\rcat.jpg,x\rdog.jpg,y\r",
        "path,q\rcat.jpg,x\rdog.jpg,y\r",
        "cat.jpg\rdog.jpg\r",
        '{"image": "cat.jpg"}\r{"image": "dog.jpg"}\r',
        "image,q\r" + "cat.jpg,x\r" * 10_000,
    ],
)
def test_lines_that_end_with_carriage_returns_are_named(content: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ends its lines with lone carriage returns, as old Macs did; save it with"):
        open_source(write_table(tmp_path, content), "image")


def test_json_over_lines_that_end_with_carriage_returns_is_read(tmp_path: Path) -> None:
    assert read_rows(open_source(write_table(tmp_path, '[\r{"image":\r"cat.jpg", "q": "x"}\r]\r'), "image")) == [CAT]


CELLS = st.text(st.sampled_from('ab",; \n\té'), max_size=6)


# A picture in quotation marks of its own is not read as csv does.
RECORDS = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=5).filter(
    lambda records: all(len(record) < 2 or not record[1].strip().startswith('"') for record in records)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS, line_end=st.sampled_from(["\n", "\r\n"]))
def test_readable_tables_keep_rows_positions_and_digests(
    records: list[list[str]], line_end: str, tmp_path: Path
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows([["q", "image", "note"], *records])
    path = write_table(tmp_path, text.getvalue())
    offset, digest, expected = 0, "", []

    def take_lines() -> Iterator[str]:
        nonlocal offset
        for raw in path.read_bytes().splitlines(keepends=True):
            offset += len(raw)
            yield raw.decode()

    for number, record in enumerate(csv.reader(take_lines())):
        if number:
            line = dump_spaced(dict(zip(["q", "image", "note"], record, strict=False))) if any(record) else b""
            digest = extend_digest(digest, line)
            expected.append((line, Position(offset, number, digest)))
    assert list(TableSource(path, ",", "image").lines(START_POSITION)) == expected

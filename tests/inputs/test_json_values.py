"""JSON arrays and objects over several lines: their rows, positions, and what is broken in them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persqa_client.errors import SettingsError
from persqa_client.inputs import json_values
from persqa_client.inputs.json_values import JsonValuesSource
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import BrokenLine
from persqa_client.types import START_POSITION, BadRow
from tests.support.cases import each_case


def lines_of(path: Path, content: bytes) -> list[bytes]:
    path.write_bytes(content)
    return [line for line, _ in JsonValuesSource(path).lines(START_POSITION)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param(
            b'[{"image": "a.jpg"}, {"image":"b.jpg"}]', [b'{"image": "a.jpg"}', b'{"image":"b.jpg"}'], id="one line"
        ),
        pytest.param(
            b'\xef\xbb\xbf[\r\n  {\r\n    "image": "a.jpg",\r\n    "n": 1.10\r\n  },\r\n  "b.jpg"\r\n]\r\n',
            [b'{"image": "a.jpg", "n": 1.10}', b'"b.jpg"'],
            id="byte order mark, CRLF",
        ),
        pytest.param(
            b'{\n  "image": ["a.jpg"],\n  "turns": [\n    {}\n  ]\n}\n{\n  "image": "b.jpg"\n}\n',
            [b'{"image": ["a.jpg"], "turns": [{}]}', b'{"image": "b.jpg"}'],
            id="objects, each over several lines",
        ),
        pytest.param(
            b'[{"n": 123456789012345678901234567890, "b": 1, "a": NaN}]',
            [b'{"n": 123456789012345678901234567890, "b": 1, "a": NaN}'],
            id="numbers and the order of members",
        ),
        pytest.param(
            b'[{"q": "a ] } \\" \\\\", "image": "a.jpg"}]',
            [b'{"q": "a ] } \\" \\\\", "image": "a.jpg"}'],
            id="brackets in text",
        ),
        pytest.param(b"[]", [], id="no rows"),
        pytest.param(
            b'["a.jpg", 5, {"image": x}, {"image": "b.jpg"} {"image": "c.jpg"}, {"image": "d',
            [b'"a.jpg"', b"5", b'{"image": x}', b'{"image": "b.jpg"}', b'{"image": "c.jpg"}', b'{"image": "d'],
            id="broken elements",
        ),
        pytest.param(b'["a.jpg"]\n["b.jpg"]', [b'"a.jpg"', b'["b.jpg"]'], id="text behind the array"),
    ],
)
def test_each_element_is_a_line(content: bytes, lines: list[bytes], tmp_path: Path) -> None:
    assert lines_of(tmp_path / "rows.json", content) == lines


ROWS = [{"image": f"{number}.jpg", "turns": [{"a": {"n": 1}}, ["x, y"]], "q": "x"} for number in range(4)]
LAYOUTS = {
    "one per line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "at the brackets": "[" + ",\n ".join(map(json.dumps, ROWS)) + "]",
    "the last bracket": "[" + ",\r\n".join(map(json.dumps, ROWS)) + "\r\n]",
    "indented": json.dumps(ROWS, indent=2),
    "braces together": json.dumps(ROWS, indent=2).replace("},\n  {", "}, {"),
    "no array": "\n".join(json.dumps(row, indent=1) for row in ROWS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@given(place=st.integers(1, 400), change=st.sampled_from(["", '"', "{", "}", "]", '",', "x"]), size=st.integers(1, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_a_broken_element_fails_alone_where_elements_begin_on_lines_of_their_own(
    layout: str, place: int, change: str, size: int, tmp_path: Path
) -> None:
    """One character of an element is replaced. The others stay rows, wherever the file is cut."""
    text = LAYOUTS[layout]
    first = text.index('"1.jpg"')
    begin, end = text.rindex("{", 0, first) + 1, text.rindex('"x"', 0, text.index('"2.jpg"'))
    place = begin + place % (end - begin)
    path = tmp_path / "rows.json"
    path.write_text(text[:place] + change + text[place + 1 :], newline="")
    source = JsonValuesSource(path)
    whole = list(source.lines(START_POSITION))
    good = []
    for line, _ in whole:
        with suppress(ValueError):
            good.append(json.loads(line))
    expected = [row for row in ROWS if row is not ROWS[1]]
    assert [row for row in good if row in expected] == expected
    with path.open("rb") as file:
        begin, is_array = json_values.find_first_element(file)
        file.seek(begin)
        cut = list(json_values.split_values(file, begin, is_array=is_array, size=size))
    assert [json_values.write_on_one_line(value.line) for value in cut] == [bytes(line) for line, _ in whole]
    assert [value.end for value in cut] == [position.offset for _, position in whole]
    for number, (_, position) in enumerate(whole, 1):
        assert list(source.lines(position)) == whole[number:]


@pytest.mark.parametrize(
    ("content", "lines", "reason"),
    [
        pytest.param(
            '["a.jpg", {"image": "b.jpg}, {"image": "c.jpg"}]',
            ['"a.jpg"', '{"image": "b.jpg}, {"image": "c.jpg"}]'],
            "the value that begins in line 1 is not closed, so nothing behind it was read; close it",
            id="on one line",
        ),
        pytest.param(
            '[\n"a.jpg",  {"image": ["b.jpg"},\n {"image": "c.jpg"}]',
            ['"a.jpg"', '{"image": ["b.jpg"}, {"image": "c.jpg"}]'],
            "the value that begins in line 2 is not JSON, and elements behind it may have been read as a part of it",
            id="not on lines of their own",
        ),
    ],
)
def test_a_broken_element_that_takes_in_others_says_so(
    content: str, lines: list[str], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(content)
    found = [line for line, _ in JsonValuesSource(tmp_path / "rows.json").lines(START_POSITION)]
    assert found == [line.encode() for line in lines]
    row = parse_line(2, found[-1], image_key="image", output_key="out")
    assert isinstance(row, BadRow)
    assert (row.code, reason in row.message) == ("bad_line", True), row.message


@each_case(
    "content, reason",
    [
        pytest.param(
            # Python 3.13 names the place of the comma, and earlier versions that of the bracket.
            '[\n{\n"turns": [\n\n1,]\n}\n]',
            "in line 5 of the file; remove the comma before",
            id="a comma before a bracket",
        ),
        pytest.param(
            '["a.jpg",\n {"image": "b.jpg",}]',
            "in line 2 of the file; remove the comma",
            id="a comma before a brace",
        ),
        pytest.param(
            '[\n{"image": "a.jpg"},\n\n ...\n]',
            "Expecting value at character 1, in line 4 of the file",
            id="an ellipsis",
        ),
        pytest.param(
            "[\n{\n'image': 'a.jpg'\n}\n]",
            "line 3 of the file; write texts in double quotes",
            id="as Python prints it",
        ),
        pytest.param(
            '[\n{\n"image": "x\\p.jpg"\n}\n]', "line 3 of the file; write a path with / or with", id="an escape"
        ),
        pytest.param('[\n{"image": "a.jpg"}\n]\nthe end', "in line 4 of the file", id="behind an array"),
    ],
)
def test_a_broken_element_is_named_by_its_line_in_the_file(content: str, reason: str, tmp_path: Path) -> None:
    """Also behind the elements at which an earlier run has ended."""
    path = tmp_path / "rows.json"
    path.write_text(content)
    whole = list(JsonValuesSource(path).lines(START_POSITION))
    rows = [parse_line(1, line, image_key="image", output_key="out") for line, _ in whole]
    assert [reason in row.message for row in rows if isinstance(row, BadRow)] == [True], rows
    for number, (_, position) in enumerate(whole, 1):
        again = [line for line, _ in JsonValuesSource(path).lines(position)]
        assert [vars(line) for line in again if isinstance(line, BrokenLine)] == [
            vars(line) for line, _ in whole[number:] if isinstance(line, BrokenLine)
        ]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param('["a.jpg",\n"b.jpg,\n"c.jpg",\n"d.jpg"]', ['"a.jpg"', '"b.jpg', '"c.jpg"', '"d.jpg"'], id="end"),
        pytest.param('["a.jpg",\nb.jpg",\n"c.jpg",\n"d.jpg"]', ['"a.jpg"', 'b.jpg"', '"c.jpg"', '"d.jpg"'], id="begin"),
        pytest.param('["a.jpg",\r\n"b.jpg', ['"a.jpg"', '"b.jpg'], id="cut off"),
        pytest.param(
            '[{"n": 1},\n"image": "b.jpg"},\n{"n": 3}]', ['{"n": 1}', '"image": "b.jpg"}', '{"n": 3}'], id="no brace"
        ),
    ],
)
def test_broken_strings_and_members_are_no_paths(content: str, lines: list[str], tmp_path: Path) -> None:
    assert lines_of(tmp_path / "rows.json", content.encode()) == [line.encode() for line in lines]


VALUES = st.dictionaries(
    st.text(max_size=4), st.text(max_size=8) | st.integers() | st.lists(st.text(max_size=3), max_size=3), max_size=3
)


@given(rows=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 0, 2]), size=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_rows_and_positions_do_not_depend_on_where_the_file_is_cut(
    rows: list[dict[str, Any]], indent: int | None, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    with path.open("rb") as file:
        file.seek(1)
        cut = list(json_values.split_values(file, 1, is_array=True, size=size))
    assert [json.loads(value.line) for value in cut] == rows
    source = JsonValuesSource(path)
    whole = list(source.lines(START_POSITION))
    assert [position.offset for _, position in whole] == [value.end for value in cut]
    for number, (_, position) in enumerate(whole, 1):
        assert list(source.lines(position)) == whole[number:]
        assert source.digest_at(position) == position.digest


def test_rows_may_be_longer_than_the_buffer(tmp_path: Path) -> None:
    rows = [{"n": number, "image": "data:image/png;base64," + "A" * 3_000_000} for number in range(3)]
    assert [orjson.loads(line) for line in lines_of(tmp_path / "rows.json", orjson.dumps(rows))] == rows


def test_a_bracket_that_is_not_closed_does_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_bytes(b'[{"n": 1}, \n{"a": [' + b"1, " * 1000)
    with (
        (tmp_path / "rows.json").open("rb") as file,
        pytest.raises(SettingsError, match=r"rows.json .* from byte \d+ on: .* not closed"),
    ):
        list(json_values.split_values(file, 0, is_array=True, size=100, max_bytes=1000))

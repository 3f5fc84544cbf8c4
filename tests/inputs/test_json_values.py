"""JSON arrays and objects over several lines: their rows, positions, and what is broken in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persqa_client.errors import SettingsError
from persqa_client.inputs import json_values
from persqa_client.inputs.json_values import JsonValuesSource
from persqa_client.types import START_POSITION


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

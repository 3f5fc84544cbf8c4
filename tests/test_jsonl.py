"""Lines are edited as bytes, and no byte outside the edited member changes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.json_members import add_member, cut_last_member, replace_texts, replace_value
from persqa_client.jsonl import dump_compact, dump_spaced, load_object
from tests.support.cases import each_case

SPACE = st.text(" \t\r", max_size=2)
KEYS = st.sampled_from(["error", "image", 'a"b', "ключ", "{", "x\\y", ""])


@st.composite
def json_texts(draw: st.DrawFn, value: Any) -> str:
    """``value`` as JSON with irregular whitespace, with and without escapes."""
    if isinstance(value, dict):
        parts = [f"{draw(SPACE)}{draw(json_texts(k))}{draw(SPACE)}:{draw(json_texts(v))}" for k, v in value.items()]
        return f"{draw(SPACE)}{{{','.join(parts)}{draw(SPACE)}}}{draw(SPACE)}"
    if isinstance(value, list):
        return f"{draw(SPACE)}[{','.join(draw(json_texts(v)) for v in value)}{draw(SPACE)}]{draw(SPACE)}"
    return draw(SPACE) + json.dumps(value, ensure_ascii=draw(st.booleans())) + draw(SPACE)


SCALARS = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
LINES = OBJECTS.flatmap(json_texts).map(str.encode)


@settings(max_examples=50)
@given(LINES, KEYS, VALUES)
def test_cutting_undoes_adding(line: bytes, key: str, value: Any) -> None:
    """Also if the line has a member with that key already."""
    assert cut_last_member(add_member(line, key, value), key) == line


@settings(max_examples=50)
@given(LINES, KEYS, VALUES)
def test_an_added_member_is_read_last(line: bytes, key: str, value: Any) -> None:
    before = json.loads(line)
    after = json.loads(add_member(line, key, value))
    assert list(after.items()) == list({**before, key: after[key]}.items())
    assert dump_compact(after[key]) == dump_compact(value)


@settings(max_examples=50)
@given(LINES, KEYS)
def test_cutting_leaves_the_other_members_unchanged(line: bytes, key: str) -> None:
    before = json.loads(line)
    after = json.loads(cut_last_member(line, key))
    before.pop(key, None)
    assert after == before


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(b"{}", b'{"k": "v"}', id="empty object"),
        pytest.param(b"{ }", b'{ "k": "v"}', id="empty object with a space"),
        pytest.param(b'{"a": 1.0}', b'{"a": 1.0, "k": "v"}', id="one member"),
        pytest.param(b'{"a":{}}', b'{"a":{}, "k": "v"}', id="empty value"),
        pytest.param(b'{"a":"}"}\r', b'{"a":"}", "k": "v"}\r', id="carriage return"),
    ],
)
def test_a_member_is_added_before_the_closing_brace(line: bytes, expected: bytes) -> None:
    assert add_member(line, "k", "v") == expected


@pytest.mark.parametrize("line", [b"", b"[1]", b'"a.jpg"', b"{", b"7"])
def test_only_objects_can_have_members_added(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        add_member(line, "k", 1)


def test_only_lone_surrogates_are_escaped() -> None:
    assert add_member(b"{}", "k", "élan 😀") == '{"k": "élan 😀"}'.encode()
    line = add_member(b"{}", "k", "é\ud800")
    assert line == '{"k": "é\\ud800"}'.encode()
    assert load_object(line) == {"k": "é\ud800"}


@each_case(
    ("line", "expected"),
    [
        pytest.param(b'{"error": 1, "a": 2}', b'{"a": 2}', id="first"),
        pytest.param(b'{"a": 2 , "error" : {"b": [1]} }', b'{"a": 2  }', id="last"),
        pytest.param(b'{"error": 1, "a": 2, "error": 3, "b": 4}', b'{"error": 1, "a": 2, "b": 4}', id="twice"),
        pytest.param(b'{"a": {"error": 1}}', b'{"a": {"error": 1}}', id="only at the top"),
        pytest.param(b'{"err\\u006fr": 1}', b"{}", id="escaped name"),
        pytest.param(b'{"a": 1}', b'{"a": 1}', id="not there"),
    ],
)
def test_the_last_member_of_a_name_is_cut(line: bytes, expected: bytes) -> None:
    assert cut_last_member(line, "error") == expected


@each_case("line", [b"[]", b"{", b'{"a" 1}', b'{"a":1} x', b"\xff", b'{"a":' + b"[" * 5000])
def test_cutting_needs_an_object(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        cut_last_member(line, "error")


@each_case(
    ("line", "expected"),
    [
        pytest.param(
            b'{"n": 1e400, "conversation" : [ {"from":"human", "value" : "old"} ,{"value":"b"}] }',
            '{"n": 1e400, "conversation" : [ {"from":"human", "value" : "né\\"w"} ,{"value":"b"}] }'.encode(),
            id="only the value changes",
        ),
        pytest.param(
            b'{"conversation": 1, "conversation": [{"value": {"x": []}}]}',
            '{"conversation": 1, "conversation": [{"value": "né\\"w"}]}'.encode(),
            id="the last of two counts",
        ),
        pytest.param(b'{"a": 1}', b'{"a": 1}', id="no such key"),
        pytest.param(b'{"conversation": []}', b'{"conversation": []}', id="no such element"),
        pytest.param(b'{"conversation": {"0": 1}}', b'{"conversation": {"0": 1}}', id="no array"),
        pytest.param(b'{"conversation": ["value"]}', b'{"conversation": ["value"]}', id="no object"),
        pytest.param(b"{}", b"{}", id="empty"),
    ],
)
def test_a_value_is_replaced_in_place(line: bytes, expected: bytes) -> None:
    assert replace_value(line, ("conversation", 0, "value"), 'né"w') == expected


@each_case(
    ("line", "reason"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"[1]", "not a JSON object", id="array"),
        pytest.param(b'{"a": 1', "not JSON", id="torn"),
        pytest.param(rb'{"a": "C:\photos"}', r"character 10; write a path with / or with \\\\$", id="Windows path"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8 at byte 8", id="latin-1"),
        pytest.param(b'{"a":' + b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(b'{"a": ' + b"1" * 5000 + b"}", "a number is too long", id="long number"),
    ],
)
def test_other_lines_are_refused_with_a_short_reason(line: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        load_object(line)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": b"a"}, "image is of the type bytes, which JSON does not have"),
        ({"a": {"b": [1, object()]}}, "a.b.2 is of the type object, which JSON does not have"),
        ({1, 2}, "it is of the type set, which JSON does not have"),
        ({"a": {(1, 2): 3}}, "the name (1, 2) of a field is of the type tuple, not text"),
    ],
)
def test_what_json_does_not_have_is_named(row: object, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        dump_spaced(row)


def test_nan_and_lone_surrogates_are_read() -> None:
    """Python's json module writes both."""
    row = load_object(b'{"a": NaN, "b": "\\ud800"}')
    assert row["a"] != row["a"]
    assert row["b"] == "\ud800"


@given(st.data())
def test_texts_are_replaced_in_one_pass_like_one_by_one(data: st.DataObject) -> None:
    """Also where another string, an escape or a nested object has the name of the key."""
    texts = st.text(max_size=4) | KEYS
    old = data.draw(st.lists(texts, min_size=1, max_size=5))
    new = [data.draw(st.just(text) | texts) for text in old]
    is_text = len(old) == 1 and data.draw(st.booleans())
    members = data.draw(st.dictionaries(KEYS, VALUES, max_size=4)) | {"image": old[0] if is_text else old}
    shuffled = data.draw(st.permutations(list(members.items())))
    line = data.draw(json_texts(dict(shuffled))).encode("utf-8", "surrogatepass")
    expected = line
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        if before != after:
            expected = replace_value(expected, ("image",) if is_text else ("image", number), after)
    assert replace_texts(line, "image", old, new) == expected


def test_the_texts_of_a_repeated_key_are_those_of_the_last_one() -> None:
    line = b'{"image": ["a"], "n": {"image": "b"}, "image": ["b", "c"]}'
    assert (
        replace_texts(line, "image", ["b", "c"], ["d", "c"])
        == b'{"image": ["a"], "n": {"image": "b"}, "image": ["d", "c"]}'
    )

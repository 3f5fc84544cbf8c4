"""JSON that other clients accept and orjson refuses."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.json_text import load_json
from tests.support.cases import each_case


@each_case(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": [NaN, Infinity, -Infinity, 1e400, 1.5]}', {"a": [None, None, None, None, 1.5]}),
        (b'{"a": 1}\0', {"a": 1}),
        (b'\x1e{"a": 1}\n\0\0', {"a": 1}),
        (b'{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        (b'{"a": "red \xf0\x9f."}', {"a": "red \ufffd."}),
        (b'{"a": "red \\ud83d."}', {"a": "red \ufffd."}),
        (b'{"a": "\\ud83d\\ude00", "b": NaN}', {"a": "\U0001f600", "b": None}),
    ],
)
def test_spoilt_json_is_read(body: bytes, value: Any) -> None:
    read = load_json(body)
    assert read == value
    assert orjson.loads(orjson.dumps(read)) == value


@pytest.mark.parametrize(
    "body",
    [b"", b"NaN", b"<html>", b'{"a": NaN', b'{"a": NaN} x', b'{"a": 1}\0{"a": 1}', b"\0", b"[" * 100_000, b'{"a" NaN}'],
)
def test_other_bodies_are_no_json(body: bytes) -> None:
    assert load_json(body) is None

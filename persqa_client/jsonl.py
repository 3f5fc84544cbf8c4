"""Reads and writes JSON lines, and edits single members without changing other bytes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

# Numbers are not converted: int() rejects more than 4,300 digits.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
WHITESPACE = re.compile(r"[ \t\n\r]*")
WHITESPACE_BYTES = b" \t\n\r"


class Member(NamedTuple):
    key: str
    start: int
    value: int
    end: int


def dump_compact(value: object) -> bytes:
    """Compact UTF-8 JSON. Lone surrogates are written as escapes."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def dump_spaced(value: object) -> bytes:
    """JSON with spaces after commas and colons. Paths become strings; other types raise ValueError."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=os.fspath)
    except TypeError as error:
        raise ValueError(f"{error}") from error
    return text.encode("utf-8", "backslashreplace")


def load_value(line: bytes) -> Any:
    """Accepts NaN and lone surrogates. Raises ValueError with a short reason."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return _load_leniently(line)


def load_object(line: bytes) -> dict[str, Any]:
    value = load_value(line)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _load_leniently(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        raise ValueError("a number is too long") from error


def add_member(line: bytes, key: str, value: object) -> bytes:
    """Raises ValueError if the line is not an object."""
    body = line.rstrip(WHITESPACE_BYTES)
    if not body.endswith(b"}") or not line.lstrip(WHITESPACE_BYTES).startswith(b"{"):
        raise ValueError("not a JSON object")
    head = body[:-1]
    # In a valid object, "{" right before the closing brace means that the object is empty.
    comma = b"" if head.rstrip(WHITESPACE_BYTES).endswith(b"{") else b", "
    return b"".join((head, comma, dump_compact(key), b": ", dump_compact(value), b"}", line[len(body) :]))


def cut_last_member(line: bytes, key: str) -> bytes:
    text = line.decode()
    found, before, last = None, None, None
    for member in _iter_members(text, _find_object(text)):
        if member.key == key:
            found, before = member, last
        last = member
    if found is None:
        return line
    start, end = found.start, found.end
    if before is not None:
        start = text.index(",", before.end)
    elif found is not last:
        end = _skip_whitespace(text, text.index(",", end) + 1)
    return (text[:start] + text[end:]).encode()


def replace_value(line: bytes, path: Sequence[str | int], value: object) -> bytes:
    """``path`` is, for example, ``("conversation", 0, "value")``; does nothing if it does not exist.

    Of duplicate keys the last one is replaced. Raises ValueError if the line is not JSON.
    """
    text = line.decode()
    start = _skip_whitespace(text, 0)
    end = _find_value_end(text, start)
    for step in path:
        span = _find_child(text, start, step)
        if span is None:
            return line
        start, end = span
    return text[:start].encode() + dump_compact(value) + text[end:].encode()


def keep_elements(line: bytes, path: Sequence[str | int], count: int) -> bytes:
    """Removes all but the first ``count`` elements, at least one, of the array at ``path``."""
    text = line.decode()
    start = _skip_whitespace(text, 0)
    for step in path:
        span = _find_child(text, start, step)
        if span is None:
            return line
        start = span[0]
    ends = [end for _, end in _iter_elements(text, start)]
    return (text[: ends[count - 1]] + text[ends[-1] :]).encode() if count < len(ends) else line


def _find_child(text: str, at: int, step: str | int) -> tuple[int, int] | None:
    if isinstance(step, str):
        spans = [(member.value, member.end) for member in _iter_members(text, at) if member.key == step]
        return spans[-1] if spans else None
    return next((span for number, span in enumerate(_iter_elements(text, at)) if number == step), None)


def _iter_members(text: str, at: int) -> Iterator[Member]:
    if text[at] != "{":
        return
    start = _skip_whitespace(text, at + 1)
    while text[start] == '"':
        key, end = _scan_value(text, start)
        colon = _skip_whitespace(text, end)
        value = _skip_whitespace(text, colon + 1)
        end = _find_value_end(text, value)
        yield Member(key, start, value, end)
        comma = _skip_whitespace(text, end)
        if text[comma] != ",":
            return
        start = _skip_whitespace(text, comma + 1)


def _iter_elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    start = _skip_whitespace(text, at + 1)
    if text[at] != "[" or text[start] == "]":
        return
    while True:
        end = _find_value_end(text, start)
        yield start, end
        comma = _skip_whitespace(text, end)
        if text[comma] != ",":
            return
        start = _skip_whitespace(text, comma + 1)


def _find_object(text: str) -> int:
    start = _skip_whitespace(text, 0)
    if not text.startswith("{", start) or _skip_whitespace(text, _find_value_end(text, start)) != len(text):
        raise ValueError("not a JSON object")
    return start


def _skip_whitespace(text: str, at: int) -> int:
    match = WHITESPACE.match(text, at)
    return match.end() if match else at


def _find_value_end(text: str, start: int) -> int:
    return _scan_value(text, start)[1]


def _scan_value(text: str, start: int) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(text, start)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error

"""JSON lines as bytes: reading them, and editing one member without touching any other byte. Pure."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

# Numbers stay text: only where they end matters here, and int() refuses more than 4,300 digits.
SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)
SPACE = re.compile(r"[ \t\n\r]*")
SPACE_BYTES = b" \t\n\r"


class Member(NamedTuple):
    """Where a member of an object lies, in characters: from its key's opening quote to the end of its value."""

    key: str
    start: int
    value: int
    end: int


def dump_compact(value: object) -> bytes:
    """``value`` as compact JSON in UTF-8. Lone surrogates, which UTF-8 has no bytes for, are written as escapes."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def dump_spaced(value: object) -> bytes:
    """``value`` as people write JSON lines, with a space after commas and colons; paths become their text.

    Raises ValueError where a value has no form in JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=os.fspath)
    except TypeError as error:
        raise ValueError(f"{error}") from error
    return text.encode("utf-8", "backslashreplace")


def load_value(line: bytes) -> Any:
    """The JSON value that is the whole line; lone surrogate escapes and NaN are let pass. Raises ValueError."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return load_leniently(line)


def load_object(line: bytes) -> dict[str, Any]:
    """Like ``load_value``, and raises ValueError with a short reason where the line is no object."""
    value = load_value(line)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def load_leniently(line: bytes) -> Any:
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
    """The object ``line`` with ``, "key": value`` before its closing brace. Raises ValueError where it is no object."""
    body = line.rstrip(SPACE_BYTES)
    if not body.endswith(b"}") or not line.lstrip(SPACE_BYTES).startswith(b"{"):
        raise ValueError("not a JSON object")
    head = body[:-1]
    # In a valid object an opening brace can stand before the closing one only where the object is empty.
    comma = b"" if head.rstrip(SPACE_BYTES).endswith(b"{") else b", "
    return b"".join((head, comma, dump_compact(key), b": ", dump_compact(value), b"}", line[len(body) :]))


def cut_last_member(line: bytes, key: str) -> bytes:
    """The object ``line`` without its last member of that name; undoes ``add_member`` to the byte.

    A line without such a member comes back as it is. Raises ValueError where it is no object.
    """
    text = line.decode()
    found, before, last = None, None, None
    for member in members(text, opening(text)):
        if member.key == key:
            found, before = member, last
        last = member
    if found is None:
        return line
    start, end = found.start, found.end
    if before is not None:
        start = text.index(",", before.end)
    elif found is not last:
        end = skip_space(text, text.index(",", end) + 1)
    return (text[:start] + text[end:]).encode()


def replace_value(line: bytes, path: Sequence[str | int], value: object) -> bytes:
    """The line with another value at ``path``, such as ``("conversation", 0, "value")``; unchanged if it is not there.

    Where a key stands twice, the last one counts, as for every JSON reader. Raises ValueError where it is no JSON.
    """
    text = line.decode()
    start = skip_space(text, 0)
    end = value_end(text, start)
    for step in path:
        span = child(text, start, step)
        if span is None:
            return line
        start, end = span
    return text[:start].encode() + dump_compact(value) + text[end:].encode()


def child(text: str, at: int, step: str | int) -> tuple[int, int] | None:
    if isinstance(step, str):
        spans = [(member.value, member.end) for member in members(text, at) if member.key == step]
        return spans[-1] if spans else None
    return next((span for number, span in enumerate(elements(text, at)) if number == step), None)


def members(text: str, at: int) -> Iterator[Member]:
    """The members of the object that opens at ``at``; none where something else does."""
    if text[at] != "{":
        return
    start = skip_space(text, at + 1)
    while text[start] == '"':
        key, end = scan(text, start)
        colon = skip_space(text, end)
        value = skip_space(text, colon + 1)
        end = value_end(text, value)
        yield Member(key, start, value, end)
        comma = skip_space(text, end)
        if text[comma] != ",":
            return
        start = skip_space(text, comma + 1)


def elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Start and end of each element of the array that opens at ``at``; none where something else does."""
    start = skip_space(text, at + 1)
    if text[at] != "[" or text[start] == "]":
        return
    while True:
        end = value_end(text, start)
        yield start, end
        comma = skip_space(text, end)
        if text[comma] != ",":
            return
        start = skip_space(text, comma + 1)


def opening(text: str) -> int:
    """Where the line's object opens, once the whole of it is known to be one."""
    start = skip_space(text, 0)
    if not text.startswith("{", start) or skip_space(text, value_end(text, start)) != len(text):
        raise ValueError("not a JSON object")
    return start


def skip_space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def value_end(text: str, start: int) -> int:
    return scan(text, start)[1]


def scan(text: str, start: int) -> tuple[Any, int]:
    try:
        return SCANNER.raw_decode(text, start)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error

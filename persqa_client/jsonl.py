"""Reads and writes JSON lines."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import orjson

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Deeper rows are refused. Python's json module fails near 1,000 minus the depth of the call, other readers at 128.
MAX_DEPTH = 100
# In longer lines, counting is slow, and most of them are few long strings.
LONG_LINE = 8192
STRINGS = re.compile(rb'"(?:[^"\\]+|\\.)*"')
BRACKETS = re.compile(rb"[\[{\]}]")


def dump_compact(value: object) -> bytes:
    """Compact UTF-8 JSON. Lone surrogates are written as escapes."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def dump_spaced(value: object) -> bytes:
    """JSON with spaces after commas and colons. Paths become strings; other types raise ValueError with the field."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_write_path)
    except TypeError as error:
        raise ValueError(_find_unwritable(value) or str(error)) from error
    return text.encode("utf-8", "backslashreplace")


def _write_path(value: object) -> str:
    if isinstance(value, os.PathLike) and isinstance(text := os.fspath(value), str):
        return text
    raise TypeError(type(value).__name__)


def _find_unwritable(value: object, place: str = "") -> str | None:
    """The first part of a row that JSON does not have, by the fields that lead to it."""
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str | int | float | bool | None)]:
            return f"the name {wrong[0]!r} of a field is of the type {type(wrong[0]).__name__}, not text"
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(str(number), part) for number, part in enumerate(value, 1)]
    elif isinstance(value, str | int | float | bool | None | os.PathLike):
        return None
    else:
        return f"{place or 'it'} is of the type {type(value).__name__}, which JSON does not have"
    found = (_find_unwritable(part, f"{place}.{name}" if place else name) for name, part in parts)
    return next(filter(None, found), None)


def strip_marks(line: bytes) -> bytes:
    """The line without byte order marks at its start. Concatenated files may have them in any line."""
    while line.startswith(BYTE_ORDER_MARK):
        line = line.removeprefix(BYTE_ORDER_MARK)
    return line


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
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}{advise_on(error)}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        raise ValueError("a number is too long") from error


def advise_on(error: json.JSONDecodeError) -> str:
    """How the usual mistakes are corrected: paths of Windows, commas of arrays, and texts as Python prints them."""
    # Python 3.13 reports the place of the comma itself, and earlier versions that of the bracket behind it.
    before, behind = error.doc[: error.pos].rstrip(), error.doc[error.pos :].strip()
    if behind == ",":
        return "; remove the comma at the end"
    if (before.endswith(",") and behind[:1] in ("]", "}")) or re.match(r",\s*[\]}]", behind):
        return "; remove the comma before the bracket"
    if behind.startswith("'"):
        return '; write texts in double quotes (")'
    return "; write a path with / or with \\\\" if error.msg.startswith("Invalid \\") else ""


def is_too_deep(line: bytes) -> bool:
    """Whether valid JSON is nested deeper than ``MAX_DEPTH``, also in a value that a later one of its name hides."""
    if (
        len(line) <= 2 * MAX_DEPTH
        or count_up_to(line, b"[", MAX_DEPTH) + count_up_to(line, b"{", MAX_DEPTH) <= MAX_DEPTH
    ):
        return False
    depth = 0
    for bracket in BRACKETS.finditer(STRINGS.sub(b"", line)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def count_up_to(line: bytes, text: bytes, limit: int) -> int:
    """How often ``text`` occurs; if that is more than ``limit``, at least ``limit`` + 1."""
    if len(line) < LONG_LINE:
        return line.count(text)
    found, at = 0, line.find(text)
    while at >= 0 and found <= limit:
        found, at = found + 1, line.find(text, at + 1)
    return found


def decode_exactly(line: bytes) -> str:
    """Bytes that are not UTF-8 become lone surrogates, from which ``encode_exactly`` makes them again."""
    return line.decode("utf-8", "surrogateescape")


def encode_exactly(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")

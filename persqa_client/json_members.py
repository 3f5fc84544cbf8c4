"""Finds, adds, replaces and removes single members of a JSON line without changing its other bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from persqa_client.jsonl import LONG_LINE, count_up_to, dump_compact

# Numbers are not converted: int() rejects more than 4,300 digits.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
WHITESPACE = re.compile(r"[ \t\n\r]*")
WHITESPACE_BYTES = b" \t\n\r"
# So many quotation marks are looked at one by one in a line that is long.
MAX_QUOTES = 64
# Such keys are written without escapes, except for \u00.. of an ASCII character.
PLAIN_KEY = re.compile(r"[\w. -]+", re.ASCII)


class Member(NamedTuple):
    key: str
    start: int
    value: int
    end: int


def find_repeated_key(line: bytes, fields: dict[str, Any], keys: Sequence[str]) -> str | None:
    """The first of ``keys`` that the object has twice, for the line that ``fields`` was read from."""
    # Each member has a colon, so with one for each field there is neither nesting nor a second member of a name.
    if count_up_to(line, b":", len(fields)) == len(fields):
        return None
    escapes = b"\\" in line and b"\\u00" in line
    suspects = [
        key
        for key in keys
        if key in fields
        and (escapes or not PLAIN_KEY.fullmatch(key) or _count_quoted(line, b'"%b"' % key.encode()) > 1)
    ]
    if not suspects:
        return None
    text = line.decode()
    found = [member.key for member in _iter_members(text, _find_object(text))]
    return next((key for key in suspects if found.count(key) > 1), None)


def _may_repeat(line: bytes, key: str) -> bool:
    quoted = _quote_key(key)
    return quoted is None or _count_quoted(line, quoted) > 1


@lru_cache(maxsize=64)
def _quote_key(key: str) -> bytes | None:
    """None if a line may have it in several forms."""
    return f'"{key}"'.encode() if PLAIN_KEY.fullmatch(key) else None


def _count_quoted(line: bytes, quoted: bytes) -> int:
    if len(line) < LONG_LINE:
        return line.count(quoted)
    found, at = 0, line.find(b'"')
    for _ in range(MAX_QUOTES):
        if at < 0:
            return found
        found += line.startswith(quoted, at)
        at = line.find(b'"', at + 1)
    return line.count(quoted)


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


def remove_members(line: bytes, keys: Collection[str]) -> bytes:
    """The bytes of the other members stay. Raises ValueError if the line is not an object."""
    text = line.decode()
    kept = [text[each.start : each.end] for each in _iter_members(text, _find_object(text)) if each.key not in keys]
    return f"{{{', '.join(kept)}}}".encode()


def replace_value(line: bytes, path: Sequence[str | int], value: object) -> bytes:
    """``path`` is, for example, ``("conversation", 0, "value")``; does nothing if it does not exist.

    Of duplicate keys the last one is replaced. Raises ValueError if the line is not JSON.
    """
    text = line.decode()
    span = _find_at(text, path)
    if span is None:
        return line
    start, end = span
    return text[:start].encode() + dump_compact(value) + text[end:].encode()


def replace_texts(line: bytes, key: str, old: Sequence[str], new: Sequence[str]) -> bytes:
    """Replaces the strings that differ in ``new``, in an object whose ``key`` is the string or the array of strings
    ``old``.

    Of duplicate keys the last one is meant. Raises ValueError if the line is not JSON.
    """
    text = line.decode()
    start = _find_value_start(line, text, key)
    if start is None:
        return line
    spans = _iter_elements(text, start) if text[start] == "[" else [(start, _find_value_end(text, start))]
    parts, done = [], 0
    for (begin, end), before, after in zip(spans, old, new, strict=True):
        if before != after:
            parts += [text[done:begin].encode(), dump_compact(after)]
            done = end
    return b"".join((*parts, text[done:].encode()))


def _find_value_start(line: bytes, text: str, key: str) -> int | None:
    """The line has been read, and has the member: if its key is there once, nothing else is scanned."""
    if not _may_repeat(line, key) and b"\\u00" not in line:
        end = text.find(f'"{key}"') + len(key) + 2
        return _skip_whitespace(text, _skip_whitespace(text, end) + 1)
    span = _find_at(text, (key,))
    return None if span is None else span[0]


def keep_elements(line: bytes, path: Sequence[str | int], count: int) -> bytes:
    """Removes all but the first ``count`` elements, at least one, of the array at ``path``."""
    text = line.decode()
    span = _find_at(text, path)
    if span is None:
        return line
    ends = [end for _, end in _iter_elements(text, span[0])]
    return (text[: ends[count - 1]] + text[ends[-1] :]).encode() if count < len(ends) else line


def rebuild_array(line: bytes, path: Sequence[str | int], elements: Sequence[int | Any]) -> bytes:
    """The array at ``path`` gets these elements: numbers stand for its old ones, whose bytes stay."""
    text = line.decode()
    span = _find_at(text, path)
    if span is None:
        return line
    start, end = span
    old = [text[begin:stop].encode() for begin, stop in _iter_elements(text, start)]
    new = [old[element] if isinstance(element, int) else dump_compact(element) for element in elements]
    return b"".join((text[:start].encode(), b"[", b",".join(new), b"]", text[end:].encode()))


def _find_at(text: str, path: Sequence[str | int]) -> tuple[int, int] | None:
    """Start and end of the value at ``path``; None without one."""
    start = _skip_whitespace(text, 0)
    span = start, _find_value_end(text, start)
    for step in path:
        child = _find_child(text, span[0], step)
        if child is None:
            return None
        span = child
    return span


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

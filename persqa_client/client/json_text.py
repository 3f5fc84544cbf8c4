"""JSON in the body of a response, also as the JSON writers of some servers make it."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

BYTE_ORDER_MARK = "\ufeff".encode()
# Space and control characters, which are no part of a JSON value: servers in C send the zero byte at a string's end.
PADDING = bytes(range(33))


def load_json(body: bytes) -> Any:
    """The JSON value of a body, which may have a byte order mark. None if the body is not JSON.

    Accepts what other clients accept and orjson refuses: NaN and infinite numbers, which become null; line breaks and
    the like in strings; zero bytes around the value. Bytes that are not UTF-8, and halves of surrogate pairs, become
    U+FFFD.

    >>> load_json(b'{"cost": NaN}'), load_json(b"<html>")
    ({'cost': None}, None)
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _load_tolerantly(body)


def _load_tolerantly(body: bytes) -> Any:
    body = body.strip(PADDING)
    if not body.startswith((b"{", b"[")):
        return None
    try:
        value = DECODER.decode(body.decode("utf-8", "replace"))
        # The value is written and read again, so that strings and numbers are those of orjson.
        text = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        return orjson.loads(text.decode("utf-16-le", "replace"))
    except (ValueError, RecursionError):
        return None


def _read_float(digits: str) -> float | None:
    return number if math.isfinite(number := float(digits)) else None


DECODER = json.JSONDecoder(parse_float=_read_float, parse_constant=lambda name: None, strict=False)


def encode_json(value: Any) -> bytes:
    """JSON; empty if it is nested more deeply than orjson writes."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b""

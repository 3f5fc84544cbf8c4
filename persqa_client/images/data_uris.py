"""The data of ``data:`` URIs (RFC 2397), and of base64 as it is written in various places."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote, unquote_to_bytes

import pybase64

from persqa_client.errors import RowError

# Why a picture that is no file (inputs/memory_pictures.py) has no data.
PROBLEM = re.compile(r"data:;place=.*;problem=([^;]+);")


def read_data_uri(reference: str) -> bytes:
    """The payload, by RFC 2397. Base64 may be wrapped, URL-safe, percent-encoded or without padding."""
    header, comma, body = reference.lstrip()[len("data:") :].partition(",")
    if not comma:
        raise RowError("image_bad_data_uri", "has no comma before its data; correct the data: URI.")
    if not body and (problem := PROBLEM.match(reference)):
        raise RowError("image_unreadable", f"is unusable: {unquote(problem[1])}.")
    try:
        if header.rstrip().lower().endswith(";base64"):
            return decode_base64(body)
        return unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        encoding = "base64" if isinstance(error, binascii.Error) else "data"
        raise RowError("image_bad_data_uri", f"has invalid {encoding}; correct the data: URI.") from error


def decode_base64(body: str) -> bytes:
    if "%" in body:
        body = unquote(body)
    if any(space in body for space in " \t\r\n"):
        body = "".join(body.split())
    if "-" in body or "_" in body:
        body = body.replace("-", "+").replace("_", "/")
    body = body.rstrip("=")
    return pybase64.b64decode(body + "=" * (-len(body) % 4), validate=True)

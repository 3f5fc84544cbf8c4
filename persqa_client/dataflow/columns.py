"""The cells of a data frame: what names or holds pictures in them, whatever they are, and arrays as lists. Pure."""

from __future__ import annotations

import ast
import json
import re
from numbers import Number
from os import PathLike, fspath
from typing import Any

LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
BETWEEN = re.compile(r"[\s,]*")
GAPS = frozenset({"NoneType", "NAType", "NaTType"})


def plain(value: Any) -> Any:
    """The value with numpy's arrays and numbers, wherever in it, as Python's own: what Parquet gives and JSON takes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, NaT or pandas' NA."""
    # Numbers alone are compared: an array would answer for each of its items, a picture would look at its pixels.
    return type(value).__name__ in GAPS or (isinstance(value, Number) and value != value)


def picture_cells(value: Any) -> list[Any]:
    """The pictures of a cell of the image column, one by one: a list, a string, an array, or the text of a list.

    Paths become text, what ``datasets`` makes of a picture becomes its bytes or its path, gaps are left out; what else
    there is stays, to be taken or refused by whoever reads the row.
    """
    value = plain(value)
    if isinstance(value, str):
        value = read_text(value)
    cells = map(unpacked, value if isinstance(value, list) else [value])
    return [cell for cell in cells if not (is_missing(cell) or (isinstance(cell, str) and not cell.strip()))]


def unpacked(cell: Any) -> Any:
    """Of ``datasets``' pairs of bytes and path: the bytes, or the path where they lie in that file."""
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        held = cell.get("bytes")
        if isinstance(held, str) and held.startswith(("b'", 'b"')):
            # DataFlow's storages write bytes as Python prints them, whatever the file's kind.
            held = unprinted(held)
        cell = cell.get("path") if is_missing(held) else held
    return fspath(cell) if isinstance(cell, PathLike) else cell


def unprinted(text: str) -> Any:
    """What Python printed so; the text itself where it prints nothing so."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def read_text(text: str) -> Any:
    """The list, or the pair of bytes and path, that a text shows (CSV keeps no other); any other text as it is."""
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        listed = list_from_text(bare)
        return text if listed is None else listed
    return unprinted(bare) if bare.startswith("{'bytes': ") else text


def list_from_text(bare: str) -> list[Any] | None:
    """As JSON, Python or numpy would print it; None for any other."""
    try:
        value = json.loads(bare)
    except ValueError:
        return printed_list(bare[1:-1])
    return value if isinstance(value, list) else None


def printed_list(inside: str) -> list[str] | None:
    """Quoted strings with commas or spaces between them. ``ast`` alone would join numpy's, which have no commas."""
    if BETWEEN.fullmatch(LITERAL.sub("", inside)) is None:
        return None
    try:
        return [str(ast.literal_eval(found)) for found in LITERAL.findall(inside)]
    except (ValueError, SyntaxError):
        return None

"""The cells of a data frame: what names pictures in them, whatever they hold, and arrays as lists. Pure."""

from __future__ import annotations

import ast
import json
import re
from os import PathLike, fspath
from typing import Any

LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
BETWEEN = re.compile(r"[\s,]*")


def plain(value: Any) -> Any:
    """The value with numpy's arrays and numbers, wherever in it, as Python's own: what Parquet gives and JSON takes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, NaT or pandas' NA."""
    return value is None or type(value).__name__ == "NAType" or (not isinstance(value, str) and value != value)


def picture_cells(value: Any) -> list[Any]:
    """What a cell of the image column names, one by one: a list, a string, an array, or the text of a list.

    Paths become text, gaps are left out; what else there is stays, to be refused by whoever reads the row.
    """
    value = plain(value)
    if isinstance(value, str) and (listed := list_from_text(value)) is not None:
        value = listed
    cells = value if isinstance(value, list) else [value]
    return [fspath(cell) if isinstance(cell, PathLike) else cell for cell in cells if not is_missing(cell)]


def list_from_text(text: str) -> list[Any] | None:
    """The list that a text shows, as JSON, Python or numpy would print it (CSV keeps no other); None for any other."""
    bare = text.strip()
    if not (bare.startswith("[") and bare.endswith("]")):
        return None
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

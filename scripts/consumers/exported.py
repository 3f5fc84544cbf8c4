"""The content of the exports, and its comparison with the rows that a consumer loaded.

It runs in the environment of each consumer, and needs no package.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class LoadedRow(NamedTuple):
    """``sizes``: width and height of each decoded picture. ``question`` has no marks of pictures any more."""

    sizes: Sequence[tuple[int, int]]
    question: str
    answer: str


# Gets the folder of an export.
Load = Callable[[Path], Sequence[LoadedRow]]


class Exports:
    """Prints a line for each export that was loaded, as one of a table."""

    def __init__(self, folder: Path, *packages: str) -> None:
        """``packages``: the consumer, and those that it reads files with."""
        # The consumers have much to say.
        self._table, sys.stdout = sys.stdout, sys.stderr
        self._folder = folder.resolve()
        self._consumer = ", ".join(f"{each} {importlib.metadata.version(each)}" for each in packages)
        self._expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        self.has_failed = False

    def check(self, name: str, load: Load, how: str, *, ordered: bool = True) -> None:
        """``how``: what did the work, for the table. ``ordered``: whether rows stand in the order of the export."""
        rows = pictures = 0
        try:
            loaded = load(self._folder / name)
            rows, pictures = len(loaded), sum(len(row.sizes) for row in loaded)
            expected = self._expected[name]
            if not ordered:
                loaded = sorted(loaded, key=lambda row: row.question)
                expected = sorted(expected, key=lambda row: row["question"])
            problem = compare(loaded, expected)
        except Exception as error:
            traceback.print_exc()
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        self.has_failed = self.has_failed or bool(problem)
        outcome = f"FAILED: {problem}" if problem else "loaded"
        print(f"| {self._consumer} | {how} | {name} | {rows} | {pictures} | {outcome} |", file=self._table, flush=True)


def compare(loaded: Sequence[LoadedRow], expected: Sequence[Any]) -> str:
    """The differences; empty if there are none."""
    if len(loaded) != len(expected):
        return f"{len(loaded)} rows instead of {len(expected)}"
    for number, (row, other) in enumerate(zip(loaded, expected, strict=True), 1):
        if len(row.sizes) != other["pictures"]:
            return f"row {number} has {len(row.sizes)} pictures instead of {other['pictures']}"
        sizes = [sorted(size) for size in row.sizes]
        if other["sizes"] is not None and sizes != other["sizes"]:
            return f"row {number} has pictures of {sizes} instead of {other['sizes']}"
        for part, text in (("question", row.question), ("answer", row.answer)):
            if text != other[part]:
                return f"row {number} has the {part} {text!r} instead of {other[part]!r}"
    return ""

"""Data files of an export that are objects of lists: a file for each character, joined from objects of one row.

Their rows are held in memory until the end, because the rows of a picture belong together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from persqa_client.formats.layout import ExportRow, RowFiles
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.records.data_record import DataRecord


class PairFiles(RowFiles):
    """Of several parts of a split, each has a folder."""

    def __init__(self, folder: Path, write: Callable[[DataRecord], bytes], *, has_parts: bool) -> None:
        self._folder = folder
        self._write_row = write
        self._has_parts = has_parts
        self._lists: dict[str, dict[str, list[Any]]] = {}
        self._counts: dict[str, int] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            for name, lists in self._lists.items():
                self._write(self._folder / name, lists)

    def _write(self, path: Path, lists: dict[str, list[Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            lines = (b"%b: %b" % (dump_compact(key), dump_compact(values)) for key, values in lists.items())
            file.write(b"{\n" + b",\n".join(lines) + b"\n}\n")
            file.flush()
            os.fsync(file.fileno())

    def append(self, part: str, row: ExportRow) -> None:
        name = f"{part}/{row.file}" if self._has_parts else row.file
        lists = self._lists.setdefault(name, {})
        for key, values in load_object(self._write_row(row.record)).items():
            lists.setdefault(key, []).extend(values)
        self._counts[name] = self._counts.get(name, 0) + 1

    def count_rows(self) -> dict[str, int]:
        return dict(self._counts)

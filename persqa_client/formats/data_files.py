"""The data files of an export: one for each part of a split, with a row on each line, or one array."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from persqa_client.formats.layout import ExportRow, RowFiles
from persqa_client.records.data_record import DataRecord


class DataFiles(RowFiles):
    """All files are created, also those that stay without rows."""

    def __init__(
        self, folder: Path, names: Mapping[str, str], write: Callable[[DataRecord], bytes], *, is_array: bool
    ) -> None:
        """``names``: the name of the file of each part."""
        self._write = write
        self._is_array = is_array
        self._names = names
        self._files: dict[str, BinaryIO] = {}
        self._counts = dict.fromkeys(names, 0)
        for part, name in names.items():
            self._files[part] = (folder / name).open("wb")
            if is_array:
                self._files[part].write(b"[")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part, file in self._files.items():
            if kind is None and self._is_array:
                file.write(b"\n]\n" if self._counts[part] else b"]\n")
            if kind is None:
                file.flush()
                os.fsync(file.fileno())
            file.close()

    def append(self, part: str, row: ExportRow) -> None:
        line = self._write(row.record)
        if self._is_array:
            self._files[part].write((b",\n" if self._counts[part] else b"\n") + line)
        else:
            self._files[part].write(line + b"\n")
        self._counts[part] += 1

    def count_rows(self) -> dict[str, int]:
        return {name: self._counts[part] for part, name in self._names.items()}

"""The data files of an export: one for each part of a split, with a row on each line, or one array."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class DataFiles:
    """All files are created, also those that stay without rows."""

    def __init__(self, folder: Path, names: Mapping[str, str], *, is_array: bool) -> None:
        """``names``: the name of the file of each part."""
        self._is_array = is_array
        self._names = names
        self._files: dict[str, BinaryIO] = {}
        self.counts = dict.fromkeys(names, 0)
        for part, name in names.items():
            self._files[part] = (folder / name).open("wb")
            if is_array:
                self._files[part].write(b"[")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        for part, file in self._files.items():
            if kind is None and self._is_array:
                file.write(b"\n]\n" if self.counts[part] else b"]\n")
            if kind is None:
                file.flush()
                os.fsync(file.fileno())
            file.close()

    def append(self, part: str, row: bytes) -> None:
        if self._is_array:
            self._files[part].write((b",\n" if self.counts[part] else b"\n") + row)
        else:
            self._files[part].write(row + b"\n")
        self.counts[part] += 1

    def describe(self) -> dict[str, int]:
        """The number of rows in each file."""
        return {name: self.counts[part] for part, name in self._names.items()}

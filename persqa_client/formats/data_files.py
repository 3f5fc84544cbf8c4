"""The data files of an export: lines or an array of rows for each part of a split, or an object for each character."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from persqa_client.formats.layout import ExportRow, RowFiles
from persqa_client.formats.pictures import fold_name, number_name
from persqa_client.jsonl import dump_compact, load_object
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


class PairFiles(RowFiles):
    """A file for each character, with an object of lists that is joined from objects of one row.

    Its rows are held in memory until the end, because the rows of a picture belong together. Of several parts of a
    split, each has a folder.
    """

    def __init__(self, folder: Path, write: Callable[[DataRecord], bytes], *, has_parts: bool) -> None:
        self._folder = folder
        self._write_row = write
        self._has_parts = has_parts
        self._lists: dict[str, dict[str, list[Any]]] = {}
        self._counts: dict[str, int] = {}
        # The folder of each character, which may be that of another one on a disk that ignores case.
        self._folders: dict[str, str] = {}
        self._taken = set[str]()

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
        file = self._place(row.file)
        name = f"{part}/{file}" if self._has_parts else file
        lists = self._lists.setdefault(name, {})
        for key, values in load_object(self._write_row(row.record)).items():
            lists.setdefault(key, []).extend(values)
        self._counts[name] = self._counts.get(name, 0) + 1

    def _place(self, file: str) -> str:
        """The file in the folder of its character, which has a number if another one has the name."""
        character, _, name = file.rpartition("/")
        if character not in self._folders:
            chosen = self._folders[character] = number_name(character, self._taken.__contains__)
            self._taken.add(fold_name(chosen))
        return f"{self._folders[character]}/{name}"

    def count_rows(self) -> dict[str, int]:
        return dict(self._counts)

"""Files of rows with their pictures: Parquet, and Arrow files of Hugging Face's ``datasets``; and folders of them.

A row is written without the bytes of its pictures: ``photos.parquet#images/17/1`` stands for each
(``images/members.py``). The bytes are read when the row is asked about.

The folders:

- ``save_to_disk`` writes ``dataset_info.json``, ``state.json`` and ``data-*.arrow``; of several splits, it writes
  ``dataset_dict.json`` and a folder for each.
- The Hub's data sets and our exports have ``data/*.parquet``. WebDataset has ``*.tar``.
"""

from __future__ import annotations

import base64
import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from natsort import natsorted, ns

from persqa_client.errors import SettingsError
from persqa_client.extras import import_extra
from persqa_client.images.members import make_cell_reference, parse_member
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.sources import BrokenLine, extend_digest
from persqa_client.jsonl import dump_spaced
from persqa_client.stores.paths import ObjectPath
from persqa_client.types import Position

# Rows that are decoded at once, without their pictures.
BATCH_ROWS = 256
KIND_NAMES = {"parquet": "a Parquet file", "arrow": "an Arrow file", "tar": "a tar archive"}
SUFFIXES = {"parquet": ".parquet", "arrow": ".arrow", "tar": ".tar, .tar.gz or .tgz"}
SPLITS = "dataset_dict.json"
DATA_FOLDER = "data"
PACKED_SUFFIXES = (".parquet", ".arrow", ".tar", ".tar.gz", ".tgz")
# What ``datasets`` keeps beside its files.
CACHE_PREFIX = "cache-"


class PackedSource(FileSource):
    """Its rows count from 1. The file does not grow, and is read again from the number of a row."""

    row_name = "row"

    def __init__(self, path: Path) -> None:
        """Raises SettingsError if the pictures could not be named, or a package is missing."""
        super().__init__(path)
        # The name of the file in references to its pictures; the URL for a file in an object store.
        self.own_name = str(path) if isinstance(path, ObjectPath) else path.name
        member = parse_member(f"{self.own_name}#1")
        if member is None or member.file != self.own_name:
            raise SettingsError(
                f"The input {path} is {KIND_NAMES[self.kind]}; give it a name that ends with {SUFFIXES[self.kind]}."
            )

    @abstractmethod
    def rows(self, skip: int) -> Iterator[tuple[bytes, int]]:
        """The lines of the rows after the first ``skip`` ones, each with how much of ``progress_total`` is read.

        Raises SettingsError if the file is broken.
        """

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        number, digest = start.number, start.digest
        for line, reached in self.rows(number):
            number, digest = number + 1, extend_digest(digest, line)
            yield line, Position(reached, number, digest)

    def raise_broken(self, error: Exception) -> NoReturn:
        """Raises SettingsError for a broken file, and the error itself if the system can't read it."""
        if isinstance(error, OSError) and error.errno is not None:
            raise error
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SettingsError(
            f"The input {self.path} is {KIND_NAMES[self.kind]}, but can't be read: {reason}."
        ) from error


class ParquetSource(PackedSource):
    kind = "parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import_extra("pyarrow", "parquet", f"the input {path}")

    def progress_total(self) -> int:
        return int(self._open().metadata.num_rows)

    def rows(self, skip: int) -> Iterator[tuple[bytes, int]]:
        from persqa_client.images.arrow_pictures import ARROW_ERRORS

        try:
            yield from self._read(self._open(), skip)
        except ARROW_ERRORS as error:
            self.raise_broken(error)

    def _open(self) -> Any:
        from persqa_client.images.arrow_pictures import ARROW_ERRORS, open_parquet_file

        try:
            return open_parquet_file(self.path.open("rb") if isinstance(self.path, ObjectPath) else str(self.path))
        except ARROW_ERRORS as error:
            self.raise_broken(error)

    def _read(self, file: Any, skip: int) -> Iterator[tuple[bytes, int]]:
        from persqa_client.images.arrow_pictures import find_picture_columns, iterate_parquet_cells, list_plain_leaves

        pictures = find_picture_columns(file.schema_arrow, partial(iterate_parquet_cells, file))
        leaves = list_plain_leaves(file, pictures)
        number = 0
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if number + count <= skip:
                number += count
                continue
            batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=leaves, use_threads=False)
            for batch in batches:
                yield from write_batch(batch, pictures, self.own_name, number, skip)
                number += batch.num_rows


class ArrowSource(PackedSource):
    kind = "arrow"

    def __init__(self, path: Path) -> None:
        if isinstance(path, ObjectPath):
            raise SettingsError(
                f"The input {path} is an Arrow file, which is read from a disk only: copy it, or store it as Parquet."
            )
        super().__init__(path)
        import_extra("pyarrow", "parquet", f"the input {path}")

    def progress_total(self) -> int:
        from persqa_client.images.arrow_pictures import ARROW_ERRORS, open_arrow_batches

        try:
            return sum(batch.num_rows for batch in open_arrow_batches(str(self.path)))
        except ARROW_ERRORS as error:
            self.raise_broken(error)

    def rows(self, skip: int) -> Iterator[tuple[bytes, int]]:
        from persqa_client.images.arrow_pictures import (
            ARROW_ERRORS,
            find_picture_columns,
            iterate_arrow_cells,
            open_arrow_batches,
        )

        number, pictures = 0, None
        try:
            for batch in open_arrow_batches(str(self.path)):
                if pictures is None:
                    pictures = find_picture_columns(batch.schema, partial(iterate_arrow_cells, str(self.path)))
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    part = batch.slice(start, BATCH_ROWS)
                    if number + part.num_rows > skip:
                        yield from write_batch(part, pictures, self.path.name, number, skip)
                    number += part.num_rows
        except ARROW_ERRORS as error:
            self.raise_broken(error)


def write_batch(batch: Any, pictures: Sequence[str], file: str, before: int, skip: int) -> Iterator[tuple[bytes, int]]:
    """The lines and numbers of the rows after the first ``skip`` ones. ``before``: the rows before the batch."""
    from persqa_client.images.arrow_pictures import count_cell_pictures

    names = batch.schema.names
    columns = {
        name: count_cell_pictures(batch.column(place)) if name in pictures else read_values(batch.column(place))
        for place, name in enumerate(names)
    }
    for place in range(max(0, skip - before), batch.num_rows):
        row = {name: values[place] for name, values in columns.items()}
        unread = {name: value for name, value in row.items() if isinstance(value, Exception)}
        row |= dict.fromkeys(unread)
        for name in pictures:
            row[name] = fill_cell(row[name], file, name, before + place + 1)
        line = write_plain(row)
        for name, error in unread.items():
            line = BrokenLine.make(line, f"its column {name!r} has a value that can't be read ({error})")
        yield line, before + place + 1


def read_values(column: Any) -> list[Any]:
    """Those that Python can't represent, such as a date before the year 1, are exceptions."""
    try:
        return [decode_text(value) if isinstance(value, bytes) else value for value in column.to_pylist()]
    except (ArithmeticError, ValueError):
        return [read_scalar(each) for each in column]


def decode_text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def read_scalar(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ArithmeticError, ValueError) as error:
        return error


def fill_cell(count: int | bool | None, file: str, column: str, row: int) -> Any:
    """``count``: of a list, or whether a single picture is there."""
    if count is None or count is False:
        return None
    if count is True:
        return make_cell_reference(file, column, row, 1)
    return [make_cell_reference(file, column, row, number) for number in range(1, count + 1)]


def write_plain(row: dict[str, Any]) -> bytes:
    try:
        return dump_spaced(row)
    except ValueError:
        return dump_spaced(make_plain(row))


def make_plain(value: Any) -> Any:
    """Dates and the like as text, and bytes as base64."""
    if isinstance(value, dict):
        return {str(key): make_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [make_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def find_dataset_files(folder: Path) -> list[Path]:
    """The files of a data set, in natural order. Raises SettingsError for several splits, which have the same names of
    files.
    """
    # Unlike pathlib, os.path does not raise for a folder that may not be searched.
    if os.path.isfile(folder / SPLITS):
        names = list_splits(folder / SPLITS)
        raise SettingsError(
            f"The input {folder} has several splits ({', '.join(names)}); give the folder of one, such as "
            f"{folder / names[0]}."
        )
    for place in (folder, folder / DATA_FOLDER):
        if files := list_packed_files(place):
            return files
    return []


def list_packed_files(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if name.lower().endswith(PACKED_SUFFIXES)]
    except OSError:
        return []
    names = [name for name in names if not name.startswith((".", CACHE_PREFIX))]
    return [folder / name for name in natsorted(names, alg=ns.IGNORECASE)]


def list_splits(path: Path) -> list[str]:
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError):
        splits = []
    return [str(each) for each in splits] or ["train"]

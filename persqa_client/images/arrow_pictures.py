"""Reads pictures from Parquet and Arrow files, and finds the columns that have pictures. Needs pyarrow.

A picture is the struct of ``bytes`` and ``path`` that Hugging Face's ``datasets`` writes, or bytes alone; a cell has
one, or a list. Rows are decoded in small batches, also in row groups of gigabytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any, BinaryIO, NamedTuple

import pyarrow as arrow
from pyarrow import compute, ipc, parquet

from persqa_client.images.formats import detect_format
from persqa_client.images.members import Cell, Picture, missing_member_error, parse_cell
from persqa_client.stores.access import open_object
from persqa_client.stores.paths import is_object_url

# For a broken file, pyarrow also raises OSError without a number.
ARROW_ERRORS = (arrow.ArrowException, OSError, EOFError)
# Bytes of a file that is read without decoding a row group as a whole.
BUFFER_BYTES = 1 << 20
# Decoded at once, and kept of the pictures read last.
BATCH_BYTES, KEPT_BYTES = 8_000_000, 48_000_000
MAX_BATCH = 1_000
MAX_KNOWN_FILES = 64
# Looked at to tell pictures from texts.
FIRST_CELLS = 1_000


def open_parquet_file(place: str | BinaryIO) -> Any:
    """``place``: a path, the URL of a file in an object store, or an open file."""
    file = open_object(place) if isinstance(place, str) and is_object_url(place) else place
    return parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)


def is_binary(type: Any) -> bool:
    return bool(arrow.types.is_binary(type) or arrow.types.is_large_binary(type) or arrow.types.is_binary_view(type))


def is_list(type: Any) -> bool:
    return bool(arrow.types.is_list(type) or arrow.types.is_large_list(type) or arrow.types.is_fixed_size_list(type))


def is_picture_type(type: Any) -> bool:
    """Whether this is the type of a cell with pictures, or of one element of its list."""
    if is_list(type):
        type = type.value_type
    if arrow.types.is_struct(type):
        place = type.get_field_index("bytes")
        return place >= 0 and is_binary(type.field(place).type)
    return is_binary(type)


@lru_cache(MAX_KNOWN_FILES)
def list_group_ends(path: str, key: tuple[Any, ...]) -> tuple[int, ...]:
    """The number of rows up to the end of each row group. ``key``: the version of the file."""
    metadata = open_parquet_file(path).metadata
    return tuple(accumulate(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)))


def find_group(path: str, key: tuple[Any, ...], row: int) -> int:
    """Raises RowError if there is no such row."""
    ends = list_group_ends(path, key)
    group = bisect_right(ends, row - 1)
    if group == len(ends):
        raise missing_member_error(f"row {row}", f"it has {ends[-1] if ends else 0} rows")
    return group


class Batch(NamedTuple):
    # The number of its first row.
    first: int
    cells: Any


class GroupPictures:
    """One column in one row group. Read forwards; a row before those that are kept is read from the beginning."""

    def __init__(
        self, path: str, column: str, group: int, *, max_kept: int = KEPT_BYTES, batch_bytes: int = BATCH_BYTES
    ) -> None:
        """Raises RowError if there is no such column."""
        self._file = open_parquet_file(path)
        metadata = self._file.metadata
        if column not in self._file.schema_arrow.names:
            raise missing_member_error(column, f"its columns are {', '.join(self._file.schema_arrow.names)}")
        self._column, self._group, self._max_kept = column, group, max_kept
        self._first = 1 + sum(metadata.row_group(number).num_rows for number in range(group))
        group_data = metadata.row_group(group)
        leaves = [group_data.column(number) for number in range(group_data.num_columns)]
        size = sum(leaf.total_uncompressed_size for leaf in leaves if is_leaf_of(leaf.path_in_schema, column))
        self._batch_rows = max(1, min(MAX_BATCH, batch_bytes * group_data.num_rows // max(size, 1)))
        self._restart()

    def _restart(self) -> None:
        self._batches: Iterator[Any] = self._file.iter_batches(
            self._batch_rows, row_groups=[self._group], columns=[self._column], use_threads=False
        )
        self._kept: deque[Batch] = deque()
        self._next = self._first

    def read(self, name: str) -> Picture:
        cell = parse_cell(name)
        if cell.row < (self._kept[0].first if self._kept else self._next):
            self._restart()
        while self._next <= cell.row:
            self._read_batch()
        batch = next(each for each in self._kept if each.first <= cell.row < each.first + len(each.cells))
        return take_picture(batch.cells[cell.row - batch.first].as_py(), cell)

    def _read_batch(self) -> None:
        cells = next(self._batches).column(0)
        self._kept.append(Batch(self._next, cells))
        self._next += len(cells)
        while len(self._kept) > 1 and sum(batch.cells.nbytes for batch in self._kept) > self._max_kept:
            self._kept.popleft()


class ArrowPictures:
    """A file of ``datasets`` (``save_to_disk``). It is mapped into memory, so nothing is read but what is asked for."""

    def __init__(self, path: str) -> None:
        self._batches = list(open_arrow_batches(path))
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))

    def read(self, name: str) -> Picture:
        """Raises RowError if there is no such row or column."""
        cell = parse_cell(name)
        number = bisect_right(self._ends, cell.row - 1)
        if number == len(self._ends):
            raise missing_member_error(f"row {cell.row}", f"it has {self._ends[-1] if self._ends else 0} rows")
        batch = self._batches[number]
        if cell.column not in batch.schema.names:
            raise missing_member_error(cell.column, f"its columns are {', '.join(batch.schema.names)}")
        cells = batch.column(batch.schema.get_field_index(cell.column))
        return take_picture(cells[cell.row - 1 - self._ends[number] + batch.num_rows].as_py(), cell)


def open_arrow_batches(path: str) -> Any:
    """The record batches of a stream or a file, without a copy."""
    source = arrow.memory_map(path)
    try:
        return ipc.open_stream(source)
    except arrow.ArrowInvalid:
        reader = ipc.open_file(source)
        return (reader.get_batch(number) for number in range(reader.num_record_batches))


def is_leaf_of(path: str, column: str) -> bool:
    """``path``: of a part of a column, in a Parquet file."""
    return path == column or path.startswith(f"{column}.")


def take_picture(value: Any, cell: Cell) -> Picture:
    """Raises RowError if the cell has no such picture."""
    values = value if isinstance(value, list) else [value]
    if cell.number > len(values):
        raise missing_member_error(f"picture {cell.number}", f"its cell has {len(values)}")
    picture = values[cell.number - 1]
    if isinstance(picture, dict):
        return Picture(picture.get("bytes"), picture.get("path"))
    return Picture(picture if isinstance(picture, bytes) else None)


def find_picture_columns(schema: Any, iterate_cells: Callable[[str], Iterable[Any]]) -> list[str]:
    """Bytes alone may be text: many writers do not mark a column of texts as such. Its first values tell.

    ``iterate_cells``: the cells of a column of the file.
    """
    names = [field.name for field in schema if is_picture_type(field.type)]
    return [
        name for name in names if not is_binary(schema.field(name).type) or not begins_with_text(iterate_cells(name))
    ]


def begins_with_text(cells: Iterable[Any]) -> bool:
    """Whether the first value is text, and no picture is among the first thousand cells: that of a failed download may
    be empty, or a message.
    """
    values = (cell.as_py() for cell in islice(cells, FIRST_CELLS) if cell.is_valid)
    first = next(values, b"\0")
    return is_text(first) and not any(detect_format(value) for value in values if not is_text(value))


def is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode("utf-8")
    except UnicodeDecodeError:
        return False


def iterate_parquet_cells(file: Any, column: str) -> Iterator[Any]:
    for batch in file.iter_batches(1, columns=[column], use_threads=False):
        yield from batch.column(0)


def iterate_arrow_cells(path: str, column: str) -> Iterator[Any]:
    for batch in open_arrow_batches(path):
        yield from batch.column(column)


def list_plain_leaves(file: Any, pictures: list[str]) -> list[str]:
    """The parts of all columns of a Parquet file, but for the bytes of pictures that have another part."""
    leaves = [file.schema.column(number).path for number in range(len(file.schema))]
    plain: list[str] = []
    for name in file.schema_arrow.names:
        own = [leaf for leaf in leaves if is_leaf_of(leaf, name)]
        plain += ([leaf for leaf in own if not leaf.endswith(".bytes")] if name in pictures else []) or own
    return plain


def count_cell_pictures(cells: Any) -> list[int | bool | None]:
    """For each cell, the length of its list, or whether it has a single picture."""
    lengths = compute.list_value_length(cells) if is_list(cells.type) else cells.is_valid()
    return list(lengths.to_pylist())

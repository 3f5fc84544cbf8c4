"""Tables with a header: CSV, TSV, and the same with semicolons or bars; and which tables are refused, by their first
lines.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.references import ANY_URL
from persqa_client.inputs.files import Record, RecordFileSource, count_lines, strip_line
from persqa_client.inputs.layouts import looks_like_reference
from persqa_client.inputs.path_lists import (
    find_listed,
    has_whole_paths,
    is_header_of_paths,
    looks_like_path_line,
    unquote,
)
from persqa_client.inputs.sources import BrokenLine
from persqa_client.inputs.table_records import MAX_RECORD, RecordReader, TableRecord, decode_line
from persqa_client.jsonl import dump_spaced, strip_marks

DELIMITERS = (",", "\t", ";", "|")
# The first line of tables that Excel opens with this delimiter.
SEPARATOR_LINE = re.compile(r"sep=([^\s\"]|\t)[ \r\n]*", re.IGNORECASE)
# What a byte that is not UTF-8 becomes.
SURROGATE = re.compile("[\udc80-\udcff]")
NUMERALS, LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")


class TableSource(RecordFileSource):
    """Each record is a row; the header names its fields."""

    kind = "table"

    def __init__(self, path: Path, delimiter: str, image_key: str, *, max_record: int = MAX_RECORD) -> None:
        super().__init__(path)
        self._delimiter = delimiter
        self._image_key = image_key
        self._max_record = max_record

    def fingerprint(self) -> dict[str, Any]:
        return {**super().fingerprint(), "delimiter": self._delimiter}

    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        header = self._find_header(RecordReader(file, self._delimiter, max_bytes=self._max_record))
        if not header.is_complete:
            return
        columns = clean_header(header.cells)
        width = len(header.cells)
        is_record = partial(looks_like_record, columns=columns, width=width, image_key=self._image_key)
        reader = RecordReader(
            file, self._delimiter, width=width, looks_like_record=is_record, max_bytes=self._max_record
        )
        begin = max(offset, header.end)
        lines_before = -1
        for record in reader.read(begin):
            if record.problem is not None:
                if lines_before < 0:
                    lines_before = count_lines(self.path, begin)
                place = f"line {lines_before + record.line + 1} of the table"
                line: bytes = BrokenLine.make(strip_line(record.raw, first=False), f"{place} {record.problem}")
            else:
                line = self._make_row(columns, record, width)
            yield Record(line, record.end, record.is_complete)

    def _find_header(self, reader: RecordReader) -> TableRecord:
        """The first record that is neither blank nor a line for Excel."""
        for record in reader.read(0):
            if record.problem is not None:
                raise SettingsError(
                    f"The input {self.path} can't be read as a table: its header, line {record.line + 1}, "
                    f"{record.problem}."
                )
            if any(record.cells) and not SEPARATOR_LINE.fullmatch(decode_line(strip_marks(record.raw))):
                return record
        return TableRecord([], b"", 0, 0, is_complete=False)

    def _make_row(self, columns: list[str], record: TableRecord, width: int) -> bytes:
        cells = record.cells
        if not any(cells):
            return b""
        if len(columns) < len(cells) <= width and not any(map(str.strip, cells[len(columns) :])):
            cells = cells[: len(columns)]
        if len(cells) > len(columns):
            reason = (
                f"it has {len(cells)} cells, and the header has {len(columns)}; write a cell that contains "
                f"{name_delimiter(self._delimiter)} in quotation marks"
            )
            return BrokenLine.make(strip_line(record.raw, first=False), reason, dump_spaced(cells))
        row: dict[str, Any] = dict(zip(columns, cells, strict=False))
        undecoded = find_undecoded(row, self._image_key)
        if self._image_key in row:
            row[self._image_key] = parse_images_cell(row[self._image_key])
        line = dump_spaced(row)
        if undecoded is None:
            return line
        reason = f"its cell {undecoded!r} is not in UTF-8; save the table as CSV UTF-8"
        return BrokenLine.make(strip_line(record.raw, first=False), reason, line)


def name_delimiter(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"{delimiter!r}"


def find_undecoded(row: dict[str, Any], image_key: str) -> str | None:
    """The first field with bytes that are not UTF-8, other than a path: names of files may have any bytes."""
    undecoded = (name for name, text in row.items() if name != image_key and not text.isascii())
    return next((name for name in undecoded if SURROGATE.search(row[name])), None)


def looks_like_record(
    cells: Sequence[str], before: Sequence[str], *, columns: list[str], width: int, image_key: str
) -> bool:
    """Whether the line has a cell for each column, and that of the picture is a path, or like that of the record."""
    if len(cells) != width or image_key not in columns:
        return False
    place = columns.index(image_key)
    image = unquote(cells[place].strip())
    if looks_like_reference(image) or ANY_URL.match(image):
        return True
    return place < len(before) and is_like_name(image, before[place])


def is_like_name(name: str, other: str) -> bool:
    """Both have the same form, such as ``img_17``, and are no words."""
    return describe_name(name) == describe_name(other) not in ("", "a") and not re.search(r"\s", name)


def describe_name(name: str) -> str:
    return LETTERS.sub("a", NUMERALS.sub("0", name.strip()))


def parse_images_cell(text: str) -> str | list[Any]:
    """A list is written in JSON, or by Python."""
    if text.lstrip().startswith("["):
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(text.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(value, list):
                return value
    # Blanks around a cell in quotation marks.
    return unquote(stripped) if (stripped := text.strip()).startswith('"') else text


def clean_header(cells: list[str]) -> list[str]:
    """The names of the columns, without the empty columns that spreadsheets write at the end.

    A single column without a name is kept: pandas writes the numbers of rows in one.
    """
    names = [cell.strip() for cell in cells]
    count = max((number for number, name in enumerate(names, 1) if name), default=0)
    return names[:count] if names.count("") > 1 and "" not in names[:count] else names


def split_record(text: str, delimiter: str) -> list[str]:
    """The cells of a line, which may be the beginning of a record, or broken."""
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []


def find_table(path: Path, lines: Sequence[str], image_key: str) -> str | None:
    """The delimiter of a table whose header has the image key. Raises SettingsError for other tables."""
    for delimiter in DELIMITERS:
        records = split_records(lines, delimiter)
        if image_key in (columns := clean_header(records[0].cells)):
            check_header(path, columns)
            check_encoding(path, lines, delimiter, columns.index(image_key))
            return delimiter
        refuse_other_header(path, records, image_key)
    texts = [line for line in lines if line.strip()]
    if is_header_of_paths(path, texts):
        raise SettingsError(f"The input {path} is {describe_table(lines, DELIMITERS[0], image_key)}.")
    found = find_delimiter(lines)
    if found is not None and not has_whole_paths(path, texts, found):
        raise SettingsError(f"The input {path} is {describe_table(lines, found, image_key)}.")
    return None


def check_separated(path: Path, lines: Sequence[str], delimiter: str, image_key: str) -> None:
    """The first line, which is not in ``lines``, names the delimiter."""
    columns = clean_header(split_records(lines, delimiter)[0].cells)
    if image_key not in columns:
        raise SettingsError(f"The input {path} is {describe_table(lines, delimiter, image_key)}.")
    check_header(path, columns)
    check_encoding(path, lines, delimiter, columns.index(image_key))


def describe_table(lines: Sequence[str], delimiter: str, image_key: str) -> str:
    first, *following = split_records(lines, delimiter)
    cells = clean_header(first.cells)
    if any(map(looks_like_reference, cells)):
        header = f"{image_key}{delimiter}question"
        return f"a table without a header; add a first line with the names of its columns, such as {header}"
    columns = [name for number, name in enumerate(cells) if is_column_of_paths(following, number)]
    named = [name for name in columns if name and name.isprintable()]
    advice = f"add --image-key {shlex.quote(named[0])}" if named else "name the column of the pictures with --image-key"
    return f"a table with no column {image_key!r}, only {', '.join(map(repr, cells))}; {advice}"


def is_column_of_paths(records: Sequence[HeadRecord], number: int) -> bool:
    """Whether the first cell that is not blank is a path, so that no other header stands above it."""
    cells = (record.cells[number] for record in records if number < len(record.cells))
    return looks_like_path_line(next(filter(str.strip, cells), ""))


def refuse_other_header(path: Path, records: Sequence[HeadRecord], image_key: str) -> None:
    """Raises SettingsError if a title, or the like, stands above the header."""
    for number, (line, cells) in enumerate(records):
        width = len(cells)
        rest = records[number + 1 :]
        if width > 1 and rest and image_key in clean_header(cells) and all(len(each.cells) == width for each in rest):
            those = "the line above it" if line == 2 else "the lines above it"
            raise SettingsError(f"The input {path} is a table whose header stands in line {line}; remove {those}.")


def find_delimiter(lines: Sequence[str]) -> str | None:
    """The delimiter that gives the first lines the same number of cells, and more than one."""
    for delimiter in DELIMITERS:
        records = split_records(lines, delimiter)
        widths = {len(record.cells) for record in records}
        if len(widths) == 1 and widths != {1} and len(records) > 1:
            return delimiter
    return None


class HeadRecord(NamedTuple):
    # The number of its first line.
    line: int
    cells: list[str]


def split_records(lines: Sequence[str], delimiter: str) -> list[HeadRecord]:
    """The records that are not blank, as the reader of tables finds them. A broken one has the cells of its first line,
    unless it is the last one, which may only be cut off.
    """
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    found = list(RecordReader(io.BytesIO(text), delimiter).read(0))
    if len(found) > 1 and found[-1].problem is not None:
        del found[-1]
    cells = [each.cells if each.problem is None else split_record(decode_line(each.raw), delimiter) for each in found]
    records = [HeadRecord(each.line + 1, its_cells) for each, its_cells in zip(found, cells, strict=True)]
    return [record for record in records if any(record.cells)] or records


def check_header(path: Path, columns: Sequence[str]) -> None:
    if repeated := [name for name in columns if columns.count(name) > 1]:
        which = f"columns {repeated[0]!r}; rename one of them" if repeated[0] else "columns without a name; name them"
        raise SettingsError(f"The input {path} has two {which}.")


def check_encoding(path: Path, lines: Sequence[str], delimiter: str, image_column: int) -> None:
    """The name of a file may have any bytes, so a path to a file is no text in another encoding."""
    for line in filter(SURROGATE.search, lines):
        cells = split_record(line, delimiter) or [line]
        for number, cell in enumerate(cells):
            if SURROGATE.search(cell) and (number != image_column or find_listed(path, cell) is None):
                raise SettingsError(f"The input {path} is not in UTF-8; save the table as CSV UTF-8.")

"""Tables with a header: CSV, TSV, and the same with semicolons or bars."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.inputs.record_files import Record, RecordFileSource, read_text_lines
from persqa_client.jsonl import dump_spaced

DELIMITERS = (",", "\t", ";", "|")
# Characters of a cell. After a quotation mark that is never closed the rest of the file would be one cell.
MAX_CELL = 64 << 20


class TableSource(RecordFileSource):
    """Each record is a row; the header names its fields. A record with more cells than the header is a list of them,
    which is not a valid row.
    """

    def __init__(self, path: Path, delimiter: str, image_key: str, *, max_cell: int = MAX_CELL) -> None:
        super().__init__(path)
        self._delimiter = delimiter
        self._image_key = image_key
        self._max_cell = max_cell

    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        csv.field_size_limit(self._max_cell)
        header, begin, is_complete = next(self._parse(read_text_lines(file, 0)), ([], 0, False))
        if not is_complete:
            return
        columns = clean_header(header)
        for cells, end, is_complete in self._parse(read_text_lines(file, max(offset, begin))):
            yield Record(self._make_row(columns, cells), end, is_complete)

    def _parse(self, lines: Iterator[tuple[str, int]]) -> Iterator[tuple[list[str], int, bool]]:
        """Records, each with the offset after it, and whether it has its end. A record may have several lines."""
        end, is_complete = 0, False

        def iterate_texts() -> Iterator[str]:
            nonlocal end, is_complete
            for text, end in lines:  # noqa: B007 - the offset after the last line that the reader has taken
                is_complete = text.endswith("\n")
                yield text
            # The reader only asks for more than the last line if a quotation mark is not closed.
            is_complete = False

        reader = csv.reader(iterate_texts(), delimiter=self._delimiter)
        try:
            for cells in reader:
                yield cells, end, is_complete
        except csv.Error as error:
            raise SettingsError(
                f"The input {self.path} can't be read as a table after byte {end} ({error}): is a quotation mark not "
                "closed? Correct it, or save the table anew."
            ) from error

    def _make_row(self, columns: list[str], cells: list[str]) -> bytes:
        if not any(cells):
            return b""
        if len(cells) > len(columns):
            return dump_spaced(cells)
        row: dict[str, Any] = dict(zip(columns, cells, strict=False))
        if self._image_key in row:
            row[self._image_key] = parse_images_cell(row[self._image_key])
        return dump_spaced(row)


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
    return text


def clean_header(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def split_record(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []

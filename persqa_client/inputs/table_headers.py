"""Which tables are read, by their first lines, and what is wrong with the others."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.inputs.layouts import looks_like_reference
from persqa_client.inputs.path_lists import find_listed, has_whole_paths, is_header_of_paths, looks_like_path_line
from persqa_client.inputs.table_records import RecordReader, decode_line
from persqa_client.inputs.tables import DELIMITERS, SURROGATE, clean_header, split_record


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
    """Those that are not blank, as the reader of tables finds them. A broken one has the cells of its first line,
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
        raise SettingsError(f"The input {path} has two columns {repeated[0]!r}; rename one of them.")


def check_encoding(path: Path, lines: Sequence[str], delimiter: str, image_column: int) -> None:
    """The name of a file may have any bytes, so a path to a file is no text in another encoding."""
    for line in filter(SURROGATE.search, lines):
        cells = split_record(line, delimiter) or [line]
        for number, cell in enumerate(cells):
            if SURROGATE.search(cell) and (number != image_column or find_listed(path, cell) is None):
                raise SettingsError(f"The input {path} is not in UTF-8; save the table as CSV UTF-8.")

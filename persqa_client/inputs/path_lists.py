"""Lists of paths, one on each line, and how they differ from listings for people, whose lines are no paths or lack
their folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.references import ANY_URL, describe_reference
from persqa_client.inputs.files import Record, RecordFileSource, count_lines
from persqa_client.inputs.layouts import looks_like_reference
from persqa_client.jsonl import dump_spaced, load_value, strip_marks

# A name of a file of any kind.
FILE_SUFFIX = re.compile(r"\.\w*[^\W\d]\w*~?$")
COLUMN_NAME = re.compile(r"[^\W\d_]+([ _-][^\W\d_]+)*")
# A number, size, date or time.
NUMBER = r"(?=[.,:/-]*+\d)[\d.,:/-]++[kKMGTPB]?\s+"
# Columns that no name begins with: permissions, as ls and PowerShell write them; digests; the branches of `tree`.
COLUMNS = re.compile(
    rf"(?:{NUMBER})*"
    r"(?:[-bcdlps](?:[r-][w-][xsStT-]){3}[.+@]?|[dl-][a-][r-][h-][s-][l-]?)\s"
    r"|[0-9a-fA-F]{32,} [ *]"
    r"|[│├└|`][─ \xa0-]"
)
# A column with which names may begin, too.
LEADING_NUMBER = re.compile(NUMBER)
BLANKS = re.compile(r"\s+")
# Lines whose files are looked for, and the columns that may stand before their names.
CHECKED_LINES = 20
MAX_COLUMNS = 12
CONTROL = re.compile(r"[\x00-\x1f]")
# Quotes around a path, as Windows copies it.
PATH_QUOTES = '"'
COMPLETE_PATHS = "give the folder itself, or a list such as of find photos -iname '*.jpg' > list.txt"


class PathListSource(RecordFileSource):
    """One path on each line. Comments count as blank."""

    kind = "paths"

    def __init__(self, path: Path, image_key: str) -> None:
        super().__init__(path)
        self._image_key = image_key

    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        begin = offset
        for text, end in read_text_lines(file, offset):
            path = unquote(text.strip())
            if is_heading(path):
                # The names below it are in another folder, where names may be the same.
                raise SettingsError(
                    f"The input {self.path} is a listing from line {count_lines(self.path, begin) + 1} on, which is "
                    f"{describe_reference(path)!r}, the heading of a folder: remove it, and write the names below it "
                    "with their folder."
                )
            begin = end
            is_row = path and not is_comment(path)
            yield Record(dump_spaced({self._image_key: path}) if is_row else b"", end, text.endswith("\n"))


def is_heading(path: str) -> bool:
    """Whether the line is a heading, as ``ls`` writes it above the names of files in a folder."""
    return path.endswith(":")


def is_comment(path: str) -> bool:
    """A name of a file may begin with the sign, too."""
    return path.startswith("#") and path[1:2] in ("", " ", "\t", "#") and not looks_like_reference(path)


def unquote(path: str) -> str:
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] == PATH_QUOTES else path


def read_text_lines(file: BinaryIO, offset: int) -> Iterator[tuple[str, int]]:
    """Lines with their ends, each with the offset after it. Bytes that are not UTF-8 become lone surrogates, as in
    paths. One without an end is the last: what is written behind it by now may be its own end.
    """
    file.seek(offset)
    for raw in file:
        offset += len(raw)
        yield strip_marks(raw).decode("utf-8", "surrogateescape"), offset
        if not raw.endswith(b"\n"):
            return


class Entry(NamedTuple):
    """A line of a list that is neither blank nor a comment."""

    line: int
    text: str


def iter_entries(lines: Sequence[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        text = unquote(line.strip())
        if text and not is_comment(text):
            yield Entry(number, text)


def is_list_of_paths(path: Path, lines: Sequence[str]) -> bool:
    """Whether each of the first lines is a path, a comment or blank. Relative paths start as in the rows.

    Raises SettingsError for other texts with paths of images.
    """
    entries = list(iter_entries(lines))
    if not any(looks_like_path_line(entry.text) for entry in entries):
        return False
    for line, text in entries:
        if is_heading(text):
            at = f"line {line}, '{describe_reference(text)}', is the heading of a folder"
            raise SettingsError(f"The input {path} is a listing, not a list of paths: {at}; {COMPLETE_PATHS}.")
        if COLUMNS.match(text):
            raise SettingsError(describe_columns(path))
    if has_leading_numbers(path, [entry.text for entry in entries if looks_like_path_line(entry.text)]):
        raise SettingsError(describe_columns(path))
    for line, text in entries:
        if looks_like_path_line(text):
            continue
        found = find_listed(path, text)
        if found is None and FILE_SUFFIX.search(text):
            continue
        if found is None or os.path.isdir(found):
            kind = "is not a path of an image" if found is None else "is a folder"
            at = f"line {line} of this list of paths, '{describe_reference(text)}', {kind}"
            raise SettingsError(f"The input {path}: {at}; remove it, or {COMPLETE_PATHS}.")
    return True


def describe_columns(path: Path) -> str:
    return f"The input {path} is a listing with other columns than paths; {COMPLETE_PATHS}."


def has_leading_numbers(path: Path, texts: Sequence[str]) -> bool:
    """Whether each line begins with a number, no file is named like a line, and one is named like the end of a line."""
    if not all(map(LEADING_NUMBER.match, texts)):
        return False
    checked = texts[:CHECKED_LINES]
    ends = (text[blank.end() :] for text in checked for blank in islice(BLANKS.finditer(text), MAX_COLUMNS))
    return not any(find_listed(path, text) for text in checked) and any(find_listed(path, end) for end in ends)


def find_listed(path: Path, text: str) -> str | None:
    """The file or folder that a line of the list names, if there is one."""
    candidates = (os.path.join(path.parent, text), text)
    return next((each for each in candidates if os.path.lexists(each)), None)


def is_header_of_paths(path: Path, lines: Sequence[str]) -> bool:
    """Whether the first line is the name of a column of which each other line is a path."""
    header, *others = (line.strip() for line in lines)
    if not COLUMN_NAME.fullmatch(header) or find_listed(path, header) is not None:
        return False
    folder = tuple(header + separator for separator in "/\\")
    return bool(others) and all(
        looks_like_path_line(line) and not line.startswith(folder) and not COLUMNS.match(line) for line in others
    )


def has_whole_paths(path: Path, lines: Sequence[str], delimiter: str) -> bool:
    """Whether the lines are paths although there is a delimiter in each of them: by the files that exist, or else by
    their form.
    """
    texts = [entry.text for entry in iter_entries(lines)]
    if not all(map(looks_like_path_line, texts)):
        return False
    if any(find_listed(path, text) is not None for text in texts):
        return True
    cells = [[cell.strip() for cell in text.split(delimiter)] for text in texts]
    if any(looks_like_reference(cell) for record in cells for cell in record[:-1]):
        return False
    if any(find_listed(path, record[-1]) is not None for record in cells):
        return False
    return delimiter != "\t" and all(delimiter + " " in text for text in texts)


def is_quoted_list(lines: Sequence[str]) -> bool:
    """Whether the lines are paths that Windows has put in quotation marks, not strings of JSON: in one of them, a
    backslash is no escape, or would escape a control character.
    """
    texts = [line.strip() for line in lines]
    if not all(len(text) > 1 and text[0] == text[-1] == '"' and looks_like_path_line(text) for text in texts):
        return False
    return any("\\" in text and not is_json_path(text) for text in texts)


def is_json_path(text: str) -> bool:
    try:
        return not CONTROL.search(str(load_value(text.encode("utf-8", "surrogateescape"))))
    except ValueError:
        return False


def looks_like_path_line(line: str) -> bool:
    """A path with the suffix of an image, perhaps of a raw photo or a broken one, or any URL."""
    text = line.strip().strip('"')
    return looks_like_reference(text) or ANY_URL.match(text) is not None

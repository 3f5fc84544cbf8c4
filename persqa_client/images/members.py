"""Pictures inside of files of many rows, named by the file and the place in it.

``photos.parquet#images/17/1`` is the first picture of row 17 in the column ``images``; the same holds for ``.arrow``
files of Hugging Face's ``datasets``. ``shard.tar#000017.jpg`` is a file in an archive.
"""

from __future__ import annotations

import os
import re
from typing import Literal, NamedTuple

from persqa_client.errors import RowError

MEMBER = re.compile(r"(?P<file>.+?\.(?P<kind>parquet|arrow|tar|tar\.gz|tgz))#(?P<name>.+)", re.IGNORECASE | re.DOTALL)
CELL = re.compile(r"(?P<column>.+)/(?P<row>[0-9]{1,18})/(?P<number>[0-9]{1,9})", re.DOTALL)
# For the memory of requests in flight: the size of a picture is not known before it is read.
ASSUMED_BYTES = 1_000_000

Kind = Literal["parquet", "arrow", "tar", "gz"]


class Member(NamedTuple):
    # The path of the file.
    file: str
    kind: Kind
    # What stands behind the mark.
    name: str


class Cell(NamedTuple):
    """``row`` and ``number`` (of the picture in a list) count from 1."""

    column: str
    row: int
    number: int


class Picture(NamedTuple):
    """Either the bytes, or a path, as some data sets have."""

    data: bytes | None
    path: str | None = None


def parse_member(path: str) -> Member | None:
    found = MEMBER.fullmatch(path)
    if found is None:
        return None
    kind = found["kind"].lower()
    return Member(found["file"], kind if kind in ("parquet", "arrow", "tar") else "gz", found["name"])  # type: ignore[arg-type]


def name_member(member: Member) -> str:
    """A name for a file of its own, without a suffix if the picture has none: ``photos-17-1``, ``000017.jpg``."""
    found = CELL.fullmatch(member.name)
    if member.kind in ("tar", "gz") or found is None:
        return member.name.replace("/", "-")
    stem = os.path.basename(member.file).rpartition(".")[0].replace(".", "-")
    return f"{stem}-{found['row']}-{found['number']}"


def make_cell_reference(file: str, column: str, row: int, number: int) -> str:
    return f"{file}#{column}/{row}/{number}"


def parse_cell(name: str) -> Cell:
    """Raises RowError."""
    found = CELL.fullmatch(name)
    if found is None or not int(found["row"]) or not int(found["number"]):
        raise missing_member_error(name, "a place is COLUMN/ROW/NUMBER, such as images/17/1")
    return Cell(found["column"], int(found["row"]), int(found["number"]))


def missing_member_error(name: str, reason: str) -> RowError:
    return RowError("image_missing", f"does not exist: its file has no {name!r} ({reason}).")

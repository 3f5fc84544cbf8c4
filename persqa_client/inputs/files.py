"""Sources of rows that are files: JSONL files, whose rows are their lines, and files whose rows are made of records."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from persqa_client.errors import START_AGAIN, SettingsError
from persqa_client.inputs.rows import MAX_LINE_BYTES
from persqa_client.inputs.sources import SeveralSource, Source, extend_digest, read_named_lines
from persqa_client.jsonl import BYTE_ORDER_MARK, load_value
from persqa_client.stores.paths import ObjectPath
from persqa_client.types import START_POSITION, Json, Position

BUFFER_SIZE = 1 << 20
# Kinds of files whose rows are their lines; see ``FileSource.kind``.
KINDS_WITH_LINES = frozenset({"lines", "gzip", "zstd"})
LINE_ENDS = (b"\r\n", b"\n")

logger = logging.getLogger(__name__)


class FileSource:
    r"""Lines of a JSONL file, which may start with a byte order mark and have line ends ``\r\n``.

    The file may grow while it is read. A last line that is being written meanwhile is left to a later run.
    """

    # What a row is called in messages.
    row_name: str = "line"
    # How the file is read; see ``detect.Kind``.
    kind: str = "lines"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        # What was seen in the first rows, for the user.
        self.remarks: tuple[str, ...] = ()
        self._first_size: int | None = None
        self._is_growth_reported = False

    def fingerprint(self) -> dict[str, Any]:
        if isinstance(self.path, ObjectPath):
            return {**self.path.stamp(), "kind": self.kind}
        status = self.path.stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "kind": self.kind}

    def progress_total(self) -> int | None:
        return self.path.stat().st_size

    def progress_at(self, position: Position) -> int:
        return position.offset

    def warnings(self) -> tuple[str, ...]:
        return self.remarks

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        with self._open() as file:
            number, digest = start.number, start.digest
            offset = self._begin(file, start)
            read_line = partial(file.readline, MAX_LINE_BYTES + 1)
            for raw in iter(read_line, b""):
                start_of_line, offset, number = offset, offset + len(raw), number + 1
                line = strip_line(raw, first=start_of_line == 0)
                is_ended = raw.endswith(b"\n")
                digest = extend_digest(digest, line)
                while len(raw) > MAX_LINE_BYTES and not is_ended and (more := read_line()):
                    offset, digest, is_ended = offset + len(more), extend_digest(digest, more), more.endswith(b"\n")
                if not is_ended and self._has_grown_to(offset) and not is_complete(line):
                    self._report_growth(number)
                    return
                yield line, Position(offset, number, digest)
                # What is written behind it by now may be its own end.
                if not is_ended:
                    return

    def _open(self) -> BinaryIO:
        return self.path.open("rb", buffering=BUFFER_SIZE)

    def _begin(self, file: BinaryIO, start: Position) -> int:
        """The offset of the first row from ``start`` on. Raises SettingsError if the row before it had no line end, and
        has become another.
        """
        if self._first_size is None:
            is_stored = isinstance(self.path, ObjectPath)
            self._first_size = (self.path.stat() if is_stored else os.fstat(file.fileno())).st_size
        offset = self._seek(file, start.offset)
        if offset is None:
            raise SettingsError(
                f"The input {self.name} has changed: {self.row_name} {start.number} was its last one, had no line end, "
                f"and goes on now. Restore it, choose another -o, or {START_AGAIN}."
            )
        return offset

    def _seek(self, file: BinaryIO, offset: int) -> int | None:
        return seek_line(file, offset)

    def _has_grown_to(self, offset: int) -> bool:
        """Whether what ends there was written after the file was first opened."""
        return self._first_size is not None and offset > self._first_size

    def _report_growth(self, number: int) -> None:
        if not self._is_growth_reported:
            self._is_growth_reported = True
            logger.warning(
                "The input %s is still being written: its last %s, %d, is not complete and was not read. "
                "A later start reads it.",
                self.name,
                self.row_name,
                number,
            )

    def digest_at(self, position: Position) -> str:
        # The last line is read whole, so that one without line end that has become another one counts.
        at = START_POSITION
        if position.number > 0:
            for _, at in self.lines(START_POSITION):
                if at.number >= position.number:
                    break
        return at.digest


class Record(NamedTuple):
    """A JSON line, and the offset after what it is made from. Only the last one of a file may not be complete: more of
    it may follow.
    """

    line: bytes
    end: int
    is_complete: bool


class RecordFileSource(FileSource, ABC):
    row_name: str = "row"

    @abstractmethod
    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]: ...

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        with self._open() as file:
            number, digest = start.number, start.digest
            for line, end, is_complete in self.records(file, self._begin(file, start)):
                number, digest = number + 1, extend_digest(digest, line)
                if not is_complete and self._has_grown_to(end):
                    self._report_growth(number)
                    return
                yield line, Position(end, number, digest)


def is_complete(line: bytes) -> bool:
    try:
        load_value(line)
    except ValueError:
        return False
    return True


def seek_line(file: BinaryIO, offset: int) -> int | None:
    """Seeks to the line at ``offset`` and returns its start; None if the line before it continues there.

    If the line before it has got a line end since then, that line end is skipped.
    """
    if offset == 0:
        return 0
    file.seek(offset - 1)
    if file.read(1) != b"\n":
        following = file.read(2)
        end = next((end for end in LINE_ENDS if following.startswith(end)), b"")
        if following and not end:
            return None
        offset += len(end)
    file.seek(offset)
    return offset


def strip_line(raw: bytes, *, first: bool) -> bytes:
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    return line.removeprefix(BYTE_ORDER_MARK) if first else line


def count_lines(path: Path, end: int, start: int = 0) -> int:
    """The line ends of the file between two offsets."""
    count = 0
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (chunk := file.read(min(end - start, BUFFER_SIZE))):
            count += chunk.count(b"\n")
            start += len(chunk)
    return count


def name_counted_by(stamp: Json | None) -> str:
    """Like ``name_counted``, for the input that a run has read. Earlier versions did not keep the kind of a file."""
    return "line" if stamp is not None and stamp.get("kind", "lines") in KINDS_WITH_LINES else "row"


class RowPlace(NamedTuple):
    source: str
    # What a row is called there, and which one it is.
    row_name: str
    number: int


def find_row(source: Source, number: int) -> RowPlace:
    """The place of a row. If there are several inputs, they are read up to it."""
    for each in source.sources if isinstance(source, SeveralSource) else ():
        reached = 0
        for reached, _ in enumerate(read_named_lines(each, START_POSITION), 1):
            if reached == number:
                return find_row(each, number)
        number -= reached
    return RowPlace(source.name, name_counted(source), number)


def name_counted(*sources: Source) -> str:
    """What the numbers of rows count. With several inputs they are no lines, because the numbers continue in the next
    input.
    """
    return sources[0].row_name if len(sources) == 1 and isinstance(sources[0], FileSource) else "row"

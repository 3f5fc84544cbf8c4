"""Splits a table into its records, as RFC 4180 describes them, and finds records whose quoting is broken.

A quotation mark that is not closed must not swallow the rows behind it. The record that opens it is then broken, and
reading goes on behind its first line. A cell may have lines like records only if it closes as RFC 4180 demands. The
module `csv` tells neither where a broken record begins nor how to go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from persqa_client.jsonl import strip_marks

# Bytes of a record. Behind a quotation mark that is not closed, no more of the file is read ahead.
MAX_RECORD = 64 << 20
# What is kept of a longer line.
KEPT_BYTES = 64 << 10
LINE_ENDS = "\r\n"
QUOTED = re.compile(r'(?:[^"]++|"")*+')
DOUBLE_IT = 'double a quotation mark that belongs to the text ("")'
CLOSE_IT = f"close it, or {DOUBLE_IT}"
NOT_BEFORE_OTHERS = f"opens a quotation mark that is not closed before other records; {CLOSE_IT}"


class TableRecord(NamedTuple):
    cells: list[str]
    raw: bytes
    # The number of lines before it, from where reading began; and the offset after it.
    line: int
    end: int
    # What is wrong with its quoting.
    problem: str | None = None
    # Whether no more of it can follow.
    is_complete: bool = True


class BrokenRecord(Exception):
    """The message is the reason."""


class UnclosedRecord(BrokenRecord):
    """The file ends within a quoted cell."""


class RecordParser:
    """Takes the lines of one record."""

    def __init__(self, delimiter: str) -> None:
        self.cells: list[str] = []
        self._delimiter = delimiter
        self._plain = re.compile(rf"[^{re.escape(delimiter)}\r\n]*+")
        self._blanks = re.compile(" *+" if delimiter == "\t" else "[ \t]*+")
        # The parts of the quoted cell that is not closed yet.
        self._open: list[str] | None = None

    def feed(self, line: str) -> bool:
        """Whether the record ends with this line. Raises BrokenRecord."""
        at = 0
        while True:
            if self._open is None and line.startswith('"', at):
                self._open = []
                at += 1
            if self._open is None:
                found = self._plain.match(line, at)
                assert found is not None
                self.cells.append(found[0])
                at = found.end()
            else:
                at = self._take_quoted(line, at, self._open)
                if self._open is not None:
                    return False
            if line.startswith(self._delimiter, at):
                at += 1
            elif not (rest := line[at:].rstrip(LINE_ENDS)):
                return True
            elif rest.startswith("\r"):
                raise BrokenRecord("has a carriage return outside quotation marks; end its lines alike")
            else:
                raise BrokenRecord(f"has text behind the quotation mark that closes a cell; {DOUBLE_IT}")

    def _take_quoted(self, line: str, at: int, parts: list[str]) -> int:
        """Blanks behind the closing quotation mark are no text."""
        found = QUOTED.match(line, at)
        assert found is not None
        parts.append(found[0])
        if found.end() == len(line):
            return found.end()
        self.cells.append("".join(parts).replace('""', '"'))
        self._open = None
        blanks = self._blanks.match(line, found.end() + 1)
        assert blanks is not None
        return blanks.end()


def parse_record(line: str, delimiter: str) -> list[str]:
    """Raises BrokenRecord."""
    if '"' not in line:
        body = line.rstrip(LINE_ENDS)
        if "\r" not in body:
            return body.split(delimiter) if body else []
    parser = RecordParser(delimiter)
    if not parser.feed(line):
        raise BrokenRecord(f"opens a quotation mark that is not closed; {CLOSE_IT}")
    return parser.cells


# Whether a line in a quoted cell is a record of its own; the other argument are the cells before that cell.
LooksLikeRecord = Callable[[Sequence[str], Sequence[str]], bool]


def never_a_record(cells: Sequence[str], before: Sequence[str]) -> bool:
    return False


class RecordReader:
    """``width`` is the number of cells that a record should have; with 0, any number."""

    def __init__(
        self,
        file: BinaryIO,
        delimiter: str,
        *,
        width: int = 0,
        looks_like_record: LooksLikeRecord = never_a_record,
        max_bytes: int = MAX_RECORD,
    ) -> None:
        self._file = file
        self._delimiter = delimiter
        self._width = width
        self._looks_like_record = looks_like_record
        self._max_bytes = max_bytes

    def read(self, offset: int) -> Iterator[TableRecord]:
        self._file.seek(offset)
        line = 0
        while raw := self._file.readline(self._max_bytes + 1):
            text = decode_line(strip_marks(raw))
            offset += len(raw)
            first = line
            line += 1
            if len(raw) > self._max_bytes:
                offset += self._skip_line(raw)
                yield TableRecord(
                    [], raw[:KEPT_BYTES], first, offset, f"is longer than {self._max_bytes >> 20} MiB; shorten it"
                )
                continue
            try:
                if '"' in text:
                    cells, more = self._read_quoted(text, len(raw))
                else:
                    cells, more = parse_record(text, self._delimiter), b""
            except BrokenRecord as error:
                self._file.seek(offset)
                yield TableRecord([], raw, first, offset, str(error), not isinstance(error, UnclosedRecord))
                continue
            offset += len(more)
            line += more.count(b"\n") + (bool(more) and not more.endswith(b"\n"))
            whole = raw + more
            yield TableRecord(cells, whole, first, offset, is_complete=whole.endswith(b"\n"))

    def _read_quoted(self, line: str, size: int) -> tuple[list[str], bytes]:
        """The cells, and the further lines of the record."""
        parser = RecordParser(self._delimiter)
        more: list[bytes] = []
        is_complete = parser.feed(line)
        has_records = False
        try:
            while not is_complete:
                raw = self._file.readline(self._max_bytes + 1)
                size += len(raw)
                if not raw or size > self._max_bytes:
                    error = BrokenRecord if raw else UnclosedRecord
                    raise error(f"opens a quotation mark that is not closed; {CLOSE_IT}")
                more.append(raw)
                text = decode_line(raw)
                has_records = has_records or self._begins_with_record(text, parser.cells)
                is_complete = parser.feed(text)
                if not is_complete and 0 < self._width <= len(parser.cells):
                    raise BrokenRecord(f"opens a quotation mark that is closed too late; {CLOSE_IT}")
        except BrokenRecord:
            if has_records:
                raise BrokenRecord(NOT_BEFORE_OTHERS) from None
            raise
        if has_records and len(parser.cells) != self._width:
            raise BrokenRecord(NOT_BEFORE_OTHERS)
        return parser.cells, b"".join(more)

    def _begins_with_record(self, line: str, before: Sequence[str]) -> bool:
        """Whether the part of the line that is in quotation marks is like a record."""
        found = QUOTED.match(line)
        assert found is not None
        try:
            cells = parse_record(found[0], self._delimiter)
        except BrokenRecord:
            return False
        return self._looks_like_record(cells, before)

    def _skip_line(self, raw: bytes) -> int:
        """The number of bytes that are left of the line."""
        skipped = 0
        while not raw.endswith(b"\n") and (raw := self._file.readline(self._max_bytes)):
            skipped += len(raw)
        return skipped


def decode_line(raw: bytes) -> str:
    """Bytes that are not UTF-8 become lone surrogates, as in paths."""
    return raw.decode("utf-8", "surrogateescape")

"""JSON arrays, and JSON objects that are spread over several lines.

The file is split into its elements without parsing them, so that it may be larger than memory, a run can resume after
any element, numbers and the order of members stay as they are, and a broken element fails only its row. Where a broken
element ends is only known if elements begin on lines of their own: at the next line that begins as its own line does.
The package `ijson` (3.6) converts numbers, does not tell where an element ends, and stops at the first error.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.inputs.files import BUFFER_SIZE, Record, RecordFileSource, count_lines
from persqa_client.inputs.rows import MAX_LINE_BYTES
from persqa_client.inputs.sources import BrokenLine
from persqa_client.jsonl import BYTE_ORDER_MARK, advise_on, load_value, strip_marks

STRING = rb'"(?:[^"\\]++|\\.)*+"'
# A lone quotation mark begins a string that is not complete yet.
TOKEN = re.compile(STRING + rb'|["{}\[\],]', re.DOTALL)
STRINGS = re.compile(STRING, re.DOTALL)
BLANK = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*+")
STRING_OR_LINE_BREAK = re.compile(STRING + rb"|[ \t]*[\r\n][ \t\r\n]*", re.DOTALL)
QUOTE = ord('"')
WHITESPACE = b" \t\r\n"
OPENING, CLOSING = b"{[", b"}]"
PAIRS = {b"}": ord("{"), b"]": ord("[")}
# What may stand before an element on its line: the end of the element before it, and the bracket of the array.
BEFORE_ELEMENT = re.compile(rb"[ \t}\],\[]*")
ANY_ELEMENT = re.compile(rb"\n" + BEFORE_ELEMENT.pattern + rb'(?=[{"])')
MAX_BEFORE = 256
# Bytes before a bracket that are looked at for the colon of its member.
MAX_GAP = 64


class Value(NamedTuple):
    """See ``Record``. It is at ``begin``; if it is broken, other values may be a part of it."""

    line: bytes
    begin: int
    end: int
    is_complete: bool
    is_broken: bool = False


class JsonValuesSource(RecordFileSource):
    kind = "values"

    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        file.seek(0)
        begin, is_array = find_first_element(file)
        file.seek(max(offset, begin))
        place = LinePlace(self.path)
        for value in split_values(file, max(offset, begin), is_array=is_array):
            line = write_on_one_line(value.line)
            if (reason := describe_problem(value, place)) is not None:
                line = BrokenLine.make(line, reason)
            yield Record(line, value.end, value.is_complete)

    def _seek(self, file: BinaryIO, offset: int) -> int:
        return offset  # an element may end anywhere in a line


class LinePlace:
    """The numbers of lines in a file, each counted from the line before that was asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset, self._count = 0, 0

    def find_line(self, offset: int) -> int:
        self._count += count_lines(self._path, offset, self._offset)
        self._offset = offset
        return self._count + 1


def describe_problem(value: Value, place: LinePlace) -> str | None:
    """Why a value is no JSON, with its line in the file; None if it is, or if its row says it as well."""
    if value.is_broken:
        begin = f"the value that begins in line {place.find_line(value.begin)}"
        if not value.is_complete:
            return f"{begin} is not closed, so nothing behind it was read; close it"
        return f"{begin} is not JSON, and elements behind it may have been read as a part of it; correct it"
    try:
        load_value(value.line)
    except ValueError as error:
        if not isinstance(cause := error.__cause__, json.JSONDecodeError):
            return None
        line = place.find_line(value.begin) + cause.lineno - 1
        return f"not JSON ({cause.msg} at character {cause.pos + 1}, in line {line} of the file{advise_on(cause)})"
    return None


def find_first_element(file: BinaryIO) -> tuple[int, bool]:
    """The offset after the bracket of an array, and True; without an array 0 and False."""
    head = file.read(BUFFER_SIZE)
    begin = len(head) - len(strip_marks(head).lstrip(WHITESPACE))
    return (begin + 1, True) if head[begin : begin + 1] == b"[" else (0, False)


def split_values(
    file: BinaryIO, offset: int, *, is_array: bool, size: int = BUFFER_SIZE, max_bytes: int = MAX_LINE_BYTES
) -> Iterator[Value]:
    """The values from an offset on.

    Text between them that is no value is yielded, too, except for commas and the bracket at the end of the array.
    """
    return ValueSplitter(file, offset, is_array=is_array).split(size, max_bytes)


class ValueSplitter:
    def __init__(self, file: BinaryIO, offset: int, *, is_array: bool) -> None:
        self._file = file
        # Bytes of the file from ``offset``; those before ``at`` are scanned.
        self._buffer, self._offset, self._at = b"", offset, 0
        # Where the current value or the text between two values begins, and the open brackets of the value.
        self._start, self._open = 0, bytearray()
        self._is_array = is_array
        # Whether the current value is broken, and where others like it begin; None if that is not known.
        self._is_broken = False
        self._next: re.Pattern[bytes] | None = None

    def split(self, size: int, max_bytes: int) -> Iterator[Value]:
        # A long string is scanned anew with each chunk, so the chunks become larger.
        while chunk := self._file.read(max(size, len(self._buffer))):
            self._buffer += chunk
            yield from self._scan()
            self._drop(self._start)
            if len(self._buffer) > max_bytes:
                raise SettingsError(
                    f"The input {self._file.name} can't be read from byte {self._offset} on: a row there is longer "
                    f"than {max_bytes >> 20} MiB, or a bracket or quotation mark is not closed. Correct it."
                )
        yield from self._end()

    def _drop(self, count: int) -> None:
        self._buffer, self._offset = self._buffer[count:], self._offset + count
        self._at, self._start = self._at - count, self._start - count

    def _scan(self) -> Iterator[Value]:
        while self._next is None or self._finds_next():
            if self._next is not None:
                yield self._cut_broken()
            for token in TOKEN.finditer(self._buffer, self._at):
                text = token[0]
                if self._open and (text == b"," or (text[0] == QUOTE and len(text) > 1 and b"\n" not in text)):
                    self._at = token.end()
                    continue
                if not self._is_broken and self._breaks(token):
                    self._is_broken = True
                    if not self._open:
                        self._start = self._find_text(self._start, token.start())
                    self._next = self._describe_next()
                    if self._next is not None:
                        break
                if text == b'"' or (text[0] == QUOTE and self._find_text(token.end()) == len(self._buffer)):
                    self._at = token.start()  # it may be a longer string, or the name of a member
                    return
                yield from self._take(token)
            else:
                return

    def _find_text(self, start: int, end: int = sys.maxsize) -> int:
        blank = BLANK.match(self._buffer, start, end)
        assert blank is not None
        return blank.end()

    def _breaks(self, token: re.Match[bytes]) -> bool:
        """Whether no JSON can continue like this."""
        text = token[0]
        if text[0] == QUOTE:
            return b"\n" in text or (text == b'"' and self._buffer.find(b"\n", token.start()) >= 0)
        if text in CLOSING:
            return bool(self._open) and self._open[-1] != PAIRS[text]
        if text == b"{" and self._open and self._open[-1] == ord("{"):
            before = self._buffer[max(self._start, token.start() - MAX_GAP) : token.start()].rstrip(WHITESPACE)
            return not before.endswith(b":") and before != b""
        return False

    def _take(self, token: re.Match[bytes]) -> Iterator[Value]:
        text, self._at = token[0], token.end()
        if text in OPENING:
            if not self._open:
                yield from self._cut_text(token.start())
            self._open += text
        elif self._open:
            if text in CLOSING:
                self._open.pop()
            if not self._open:
                yield self._cut(self._at)
        elif text[0] == QUOTE:
            # With other text beside it, it is a part of a broken value.
            begin = self._find_text(self._start, token.start())
            if begin == token.start() and self._buffer[self._find_text(self._at)] != ord(":"):
                self._start = begin
                yield self._cut(self._at)
        else:
            is_end = text == b"," or (text == b"]" and self._is_array)
            yield from self._cut_text(token.start() if is_end else self._at)
            self._start = self._at

    def _cut(self, end: int) -> Value:
        text = self._buffer[self._start : end].lstrip(WHITESPACE)
        begin, is_broken = self._offset + end - len(text), self._is_broken
        self._start, self._is_broken = end, False
        return Value(text.rstrip(WHITESPACE), begin, self._offset + end, is_complete=True, is_broken=is_broken)

    def _cut_text(self, end: int) -> Iterator[Value]:
        begin = self._find_text(self._start, end)
        self._start = begin
        if begin < end:
            yield self._cut(end)
        self._start = end

    def _describe_next(self) -> re.Pattern[bytes] | None:
        """Pattern of the beginning of a line like that of the current value or, after text outside of values, of any
        value.
        """
        if not self._open:
            return ANY_ELEMENT
        start, reached = self._offset + self._start, self._file.tell()
        self._file.seek(max(0, start - MAX_BEFORE))
        whole = self._file.read(min(start, MAX_BEFORE))
        self._file.seek(reached)
        _, line_break, before = whole.rpartition(b"\n")
        before = strip_marks(before)
        if not BEFORE_ELEMENT.fullmatch(before) or not (line_break or start <= MAX_BEFORE):
            return None
        # Elements of one column may stand behind the bracket of the array, below it, or at the margin.
        indent = b"(?: {%d})?" % len(before) if b"[" in before else re.escape(before)
        return re.compile(b"\n" + indent + rb"(?=\{)")

    def _finds_next(self) -> bool:
        pattern = self._next or self._describe_next()
        found = pattern.search(self._buffer, self._start + 1) if pattern is not None else None
        if found is not None:
            self._at = found.end()
        return found is not None

    def _cut_broken(self) -> Value:
        """The text up to the next value, which ``_finds_next`` has found."""
        text = self._buffer[self._start : self._at].rstrip(WHITESPACE + b",")
        begin = self._offset + self._start
        self._start, self._is_broken, self._next = self._at, False, None
        self._open.clear()
        return Value(text, begin, self._offset + self._at, is_complete=True)

    def _end(self) -> Iterator[Value]:
        yield from self._take_last_string()
        while self._is_open() and self._finds_next():
            yield self._cut_broken()
            yield from self._scan()
            yield from self._take_last_string()
        text = self._buffer[self._start :].lstrip(WHITESPACE)
        end = self._offset + len(self._buffer)
        begin, text = end - len(text), text.rstrip(WHITESPACE)
        if self._next is not None and self._is_array and text.endswith(b"]"):
            # The last element is broken, and nothing stands behind it.
            yield Value(text.removesuffix(b"]").rstrip(WHITESPACE), begin, end, is_complete=True)
        elif text.strip(BYTE_ORDER_MARK):
            yield Value(text, begin, end, is_complete=False, is_broken=self._is_open())

    def _take_last_string(self) -> Iterator[Value]:
        if self._open:
            return
        self._start = self._find_text(self._start, self._at)
        string = STRINGS.match(self._buffer, self._at)
        if string is not None and self._start == self._at:
            self._at = string.end()
            yield self._cut(self._at)

    def _is_open(self) -> bool:
        return bool(self._open) or self._is_broken or self._buffer.startswith(b'"', self._at)


def write_on_one_line(value: bytes) -> bytes:
    """The same value on one line."""
    if b"\n" not in value and b"\r" not in value:
        return value
    return STRING_OR_LINE_BREAK.sub(join_at, value)


def join_at(found: re.Match[bytes]) -> bytes:
    if found[0].startswith(b'"'):
        return found[0]
    before, after = found.string[found.start() - 1 : found.start()], found.string[found.end() : found.end() + 1]
    return b"" if before in OPENING or after in CLOSING else b" "

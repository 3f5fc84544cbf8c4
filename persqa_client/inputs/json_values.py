"""JSON arrays, and JSON objects that are spread over several lines.

The file is split into its elements without parsing them, so that it may be larger than memory, a run can resume after
any element, numbers and the order of members stay as they are, and a broken element fails only its row. The package
`ijson` (3.6) converts numbers, does not tell where an element ends, and stops at the first error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.inputs.record_files import Record, RecordFileSource
from persqa_client.inputs.rows import MAX_LINE_BYTES
from persqa_client.inputs.sources import BUFFER_SIZE
from persqa_client.jsonl import BYTE_ORDER_MARK

STRING = rb'"(?:[^"\\]++|\\.)*+"'
# A lone quotation mark begins a string that is not complete yet.
TOKEN = re.compile(STRING + rb'|["{}\[\],]', re.DOTALL)
STRING_OR_LINE_BREAK = re.compile(STRING + rb"|[ \t]*[\r\n][ \t\r\n]*", re.DOTALL)
WHITESPACE = b" \t\r\n"
OPENING, CLOSING = b"{[", b"}]"


class JsonValuesSource(RecordFileSource):
    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        file.seek(0)
        begin, is_array = find_first_element(file)
        file.seek(max(offset, begin))
        for value in split_values(file, max(offset, begin), is_array=is_array):
            yield value._replace(line=join_lines(value.line))

    def _seek(self, file: BinaryIO, offset: int) -> int:
        return offset  # an element may end anywhere in a line


def find_first_element(file: BinaryIO) -> tuple[int, bool]:
    """The offset after the bracket of an array, and True; without an array 0 and False."""
    head = file.read(BUFFER_SIZE)
    begin = len(head) - len(head.removeprefix(BYTE_ORDER_MARK).lstrip(WHITESPACE))
    return (begin + 1, True) if head[begin : begin + 1] == b"[" else (0, False)


def split_values(
    file: BinaryIO, offset: int, *, is_array: bool, size: int = BUFFER_SIZE, max_bytes: int = MAX_LINE_BYTES
) -> Iterator[Record]:
    """The values from an offset on.

    Text between them that is no value is yielded, too, except for commas and the bracket at the end of the array.
    """
    buffer, at = b"", 0  # of the file from ``offset``; its part before ``at`` is scanned
    start, depth = 0, 0  # of the current value
    # A long string is scanned anew with each chunk, so the chunks become larger.
    while chunk := file.read(max(size, len(buffer))):
        buffer += chunk
        for token in TOKEN.finditer(buffer, at):
            text = token[0]
            if text == b'"':
                break
            at = token.end()
            if text in OPENING:
                if depth == 0:
                    yield from cut_stray_text(buffer, start, token.start(), offset)
                    start = token.start()
                depth += 1
            elif depth > 0:
                depth -= text in CLOSING
                if depth == 0:
                    yield Record(buffer[start:at], offset + at, is_complete=True)
                    start = at
            elif text[0] == ord('"'):
                yield from cut_stray_text(buffer, start, token.start(), offset)
                yield Record(text, offset + at, is_complete=True)
                start = at
            else:
                is_end = text == b"," or (text == b"]" and is_array)
                yield from cut_stray_text(buffer, start, token.start() if is_end else at, offset)
                is_array = is_array and text != b"]"
                start = at
        buffer, offset, at, start = buffer[start:], offset + start, at - start, 0
        if len(buffer) > max_bytes:
            raise SettingsError(
                f"The input {file.name} can't be read from byte {offset} on: a row there is longer than "
                f"{max_bytes >> 20} MiB, or a bracket or quotation mark is not closed. Correct it."
            )
    yield from cut_stray_text(buffer, 0, len(buffer), offset, is_complete=False)


def cut_stray_text(buffer: bytes, start: int, end: int, offset: int, *, is_complete: bool = True) -> Iterator[Record]:
    text = buffer[start:end].strip(WHITESPACE)
    if text.strip(BYTE_ORDER_MARK):
        yield Record(text, offset + end, is_complete)


def join_lines(value: bytes) -> bytes:
    """The same value on one line."""
    if b"\n" not in value and b"\r" not in value:
        return value
    return STRING_OR_LINE_BREAK.sub(join_at, value)


def join_at(found: re.Match[bytes]) -> bytes:
    if found[0].startswith(b'"'):
        return found[0]
    before, after = found.string[found.start() - 1 : found.start()], found.string[found.end() : found.end() + 1]
    return b"" if before in OPENING or after in CLOSING else b" "

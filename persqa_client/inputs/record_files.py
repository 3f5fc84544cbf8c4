"""Files whose rows are made from their records; the rows of a JSONL file are its lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.inputs.layouts import looks_like_reference
from persqa_client.inputs.source import extend_digest
from persqa_client.inputs.sources import BUFFER_SIZE, FileSource, count_lines
from persqa_client.jsonl import dump_spaced, strip_marks
from persqa_client.types import Position

# Quotes around a path, as Windows copies it.
PATH_QUOTES = '"'
COMPLETE_PATHS = "give the folder itself, or a list such as of find photos -iname '*.jpg' > list.txt"


class Record(NamedTuple):
    """A JSON line, and the offset after what it is made from. Only the last one of a file may not be complete: more of
    it may follow.
    """

    line: bytes
    end: int
    is_complete: bool


class RecordFileSource(FileSource, ABC):
    row_name: ClassVar[str] = "row"

    @abstractmethod
    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]: ...

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        with self.path.open("rb", buffering=BUFFER_SIZE) as file:
            number, digest = start.number, start.digest
            for line, end, is_complete in self.records(file, self._begin(file, start)):
                number, digest = number + 1, extend_digest(digest, line)
                if not is_complete and self._has_grown_to(end):
                    self._report_growth(number)
                    return
                yield line, Position(end, number, digest)


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
    """As ``ls`` writes it above the names of files in a folder."""
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

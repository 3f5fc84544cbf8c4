"""Files whose rows are made from their records; the rows of a JSONL file are its lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.inputs.layouts import looks_like_reference
from persqa_client.inputs.source import extend_digest
from persqa_client.inputs.sources import BUFFER_SIZE, FileSource
from persqa_client.jsonl import BYTE_ORDER_MARK, dump_spaced
from persqa_client.types import Position

# Quotes around a path, as Windows copies it.
PATH_QUOTES = '"'
COMPLETE_PATHS = "give the folder itself, or a list such as of find photos -iname '*.jpg' > list.txt"


class RecordFileSource(FileSource, ABC):
    @abstractmethod
    def records(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """The records from an offset on as JSON lines, each with the offset after it."""

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        number, digest = start.number, start.digest
        for line, offset in self.records(start.offset):
            number, digest = number + 1, extend_digest(digest, line)
            yield line, Position(offset, number, digest)

    def digest_at(self, position: Position) -> str:
        digest = ""
        for number, (line, _) in enumerate(self.records(0), 1):
            if number > position.number:
                break
            digest = extend_digest(digest, line)
        return digest


class PathListSource(RecordFileSource):
    """One path on each line. Comments count as blank."""

    def __init__(self, path: Path, image_key: str) -> None:
        super().__init__(path)
        self._image_key = image_key

    def records(self, offset: int) -> Iterator[tuple[bytes, int]]:
        with self.path.open("rb", buffering=BUFFER_SIZE) as file:
            for text, end in read_text_lines(file, offset):
                path = unquote(text.strip())
                if is_heading(path):
                    # The names below it are in another folder, where names may be the same.
                    raise SettingsError(
                        f"The input {self.path} is a listing, not a list of paths: the line before byte {end} is the "
                        f"heading of a folder; {COMPLETE_PATHS}."
                    )
                yield dump_spaced({self._image_key: path}) if path and not is_comment(path) else b"", end


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
    paths.
    """
    file.seek(offset)
    for raw in file:
        line = raw.removeprefix(BYTE_ORDER_MARK) if offset == 0 else raw
        offset += len(raw)
        yield line.decode("utf-8", "surrogateescape"), offset

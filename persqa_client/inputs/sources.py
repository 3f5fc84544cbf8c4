"""Where rows come from: a JSONL file, a folder of pictures, or rows in memory. Reads files, a line at a time.

A source gives its lines with the position after each, so that a run can go on from any of them. The digest is a chain
(of the digest before and the line), so it can be carried on from a checkpoint without reading what came before.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from persqa_client.errors import SettingsError
from persqa_client.images.formats import detect_format, words_for
from persqa_client.inputs.folders import count_pictures, find_pictures
from persqa_client.jsonl import dump_spaced
from persqa_client.types import Position

START_POSITION = Position(0, 0, "")
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
BUFFER = 1 << 20
WANTED = "give a JSONL file or a folder of pictures"

Line = tuple[bytes, Position]
"""A line without its end, and the position after it."""


class Source(Protocol):
    """Lines in a fixed order. ``name`` is how a person calls the input."""

    @property
    def name(self) -> str: ...

    def stamp(self) -> dict[str, Any] | None:
        """What tells cheaply that the input is as it was; None where nothing does."""
        ...

    def total(self) -> int | None:
        """How much there is, in the measure of ``done``; None where it can't be known cheaply."""
        ...

    def done(self, position: Position) -> int:
        """How much lies before a position: bytes of a file, pictures of a folder."""
        ...

    def lines(self, start: Position) -> Iterator[Line]: ...

    def digest_at(self, position: Position) -> str:
        """The digest of what lies before the position now; another than the position's own means a changed input."""
        ...


def chain(digest: str, line: bytes) -> str:
    return blake2b(line, key=digest.encode(), digest_size=16).hexdigest()


class FileSource:
    """The lines of a JSONL file. A byte order mark is passed over; ``\\r\\n`` ends a line as ``\\n`` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def stamp(self) -> dict[str, Any]:
        status = self.path.stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}

    def total(self) -> int:
        return self.path.stat().st_size

    def done(self, position: Position) -> int:
        return position.offset

    def lines(self, start: Position) -> Iterator[Line]:
        with self.path.open("rb", buffering=BUFFER) as file:
            offset = _seek(file, start.offset)
            number, digest = start.number, start.digest
            for raw in file:
                offset, number = offset + len(raw), number + 1
                line = _bare(raw, first=offset == len(raw))
                digest = chain(digest, line)
                yield line, Position(offset, number, digest)

    def digest_at(self, position: Position) -> str:
        digest, left = "", position.offset
        with self.path.open("rb", buffering=BUFFER) as file:
            for raw in file:
                if left <= 0:
                    break
                digest = chain(digest, _bare(raw[:left], first=left == position.offset))
                left -= len(raw)
        return digest


def _seek(file: BinaryIO, offset: int) -> int:
    """Goes to an offset; when the line before it had no end then and has one now, that end is passed over."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    if file.read(1) != b"\n":
        for end in (b"\r\n", b"\n"):
            file.seek(offset)
            if file.read(len(end)) == end:
                return offset + len(end)
    file.seek(offset)
    return offset


def _bare(raw: bytes, *, first: bool) -> bytes:
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    return line.removeprefix(BOM) if first else line


class InMemorySource:
    """Rows that are made, not read from a file. Offsets count the bytes of their lines."""

    name = "rows"

    def __init__(self, rows: Iterable[object] = ()) -> None:
        self._rows = rows

    def stamp(self) -> None:
        return None

    def total(self) -> int | None:
        return None

    def done(self, position: Position) -> int:
        return position.number

    def made(self) -> Iterator[bytes]:
        """The rows as lines. Raises SettingsError where a value of one has no form in JSON."""
        for number, row in enumerate(self._rows, 1):
            try:
                yield dump_spaced(row)
            except ValueError as error:
                raise SettingsError(f"Row {number} can't be written as JSON: {error}.") from error

    def lines(self, start: Position) -> Iterator[Line]:
        position = start
        for number, line in enumerate(self.made(), 1):
            if number > start.number:
                position = Position(position.offset + len(line), number, chain(position.digest, line))
                yield line, position

    def digest_at(self, position: Position) -> str:
        digest = ""
        for number, line in enumerate(self.made(), 1):
            if number > position.number:
                break
            digest = chain(digest, line)
        return digest


class FolderSource(InMemorySource):
    """The pictures of a folder and its sub-folders, in natural order, as rows ``{image_key: [path]}``."""

    def __init__(self, folder: Path, image_key: str) -> None:
        super().__init__()
        self.folder = folder
        self.name = str(folder)
        self._image_key = image_key

    def total(self) -> int:
        return count_pictures(self.folder)

    def made(self) -> Iterator[bytes]:
        return (dump_spaced({self._image_key: [path]}) for path in find_pictures(self.folder))


def open_source(path: Path, image_key: str) -> Source:
    """The source that a path names. Raises SettingsError where it names neither a file nor a folder."""
    if path.is_dir():
        return FolderSource(path, image_key)
    if path.is_file():
        refuse_binary(path)
        return FileSource(path)
    if path.exists():
        raise SettingsError(f"The input {path} is neither a file nor a folder; {WANTED}.")
    raise SettingsError(f"There is no input {path}; {WANTED}.")


def refuse_binary(path: Path) -> None:
    """Raises SettingsError where the first kilobyte is no text: each line would become a failed row."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"The input {path} can't be read ({reason}): check its permissions.") from error
    if format := detect_format(head):
        raise SettingsError(
            f"The input {path} is a picture ({format}); give its folder, or a JSONL file that names it."
        )
    if head.startswith(GZIP):
        raise SettingsError(f"The input {path} is compressed with gzip; unpack it first.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError(f"The input {path} is in UTF-16; save it as UTF-8.")
    if b"\0" in head:
        raise SettingsError(f"The input {path} is {words_for(head)}, not text; {WANTED}.")

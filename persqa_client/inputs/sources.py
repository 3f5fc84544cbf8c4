"""The interface of a source of rows, and the sources that are no file or folder: rows in memory, images, several
inputs.

A run can resume at the position after any line. A position's digest is computed from the previous digest and the line.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, Protocol

from persqa_client.errors import SettingsError
from persqa_client.inputs.memory_pictures import Picture, embed_pictures, explain_no_picture
from persqa_client.jsonl import dump_spaced
from persqa_client.stores.paths import is_object_url
from persqa_client.types import START_POSITION, Position

# Names in a message.
SHOWN_NAMES = 4


class BrokenLine(bytes):
    """A text that a source can't read as a row, as it is in the file, and the reason. It becomes a bad row."""

    reason: str
    # What counts in digests and positions.
    key: bytes

    @classmethod
    def make(cls, text: bytes, reason: str, key: bytes | None = None) -> BrokenLine:
        line = cls(text)
        line.reason = reason
        line.key = text if key is None else key
        return line


class Source(Protocol):
    @property
    def name(self) -> str: ...

    def fingerprint(self) -> dict[str, Any] | None:
        """Equal fingerprints mean an unchanged input; None if there is no cheap check."""
        ...

    def progress_total(self) -> int | None: ...

    def progress_at(self, position: Position) -> int: ...

    def warnings(self) -> tuple[str, ...]:
        """Warnings about parts of the input that a run does not use."""
        ...

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        """Lines from ``start`` on, without line ends, each with the position after it."""
        ...

    def digest_at(self, position: Position) -> str:
        """Current digest of the lines before a position."""
        ...


def advance(position: Position, key: bytes) -> Position:
    """The position after a generated line, which counts as ``key``."""
    return Position(position.offset + len(key), position.number + 1, extend_digest(position.digest, key))


def extend_digest(digest: str, line: bytes) -> str:
    counted = line.key if isinstance(line, BrokenLine) else line
    return blake2b(counted, key=digest.encode(), digest_size=16).hexdigest()


class NamedLine(NamedTuple):
    line: bytes
    # After the line.
    position: Position
    # What the row counts as, for the choice of its questions and to recognise it. None: as its line is written.
    name: str | None
    # The file that is read for the row, wherever relative paths start. None: as its line names it.
    path: str | None = None


class NamedSource(ABC):
    """A source that has more information about its rows than their lines."""

    @abstractmethod
    def named_lines(self, start: Position) -> Iterator[NamedLine]: ...

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        return ((each.line, each.position) for each in self.named_lines(start))


def encode_name(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def read_named_lines(source: Source, start: Position) -> Iterator[NamedLine]:
    if isinstance(source, NamedSource):
        return source.named_lines(start)
    return (NamedLine(line, position, None) for line, position in source.lines(start))


class GeneratedSource(ABC):
    """Generated lines. The offset of a position counts their bytes."""

    @abstractmethod
    def generate_lines(self) -> Iterator[bytes]: ...

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int | None:
        return None

    def progress_at(self, position: Position) -> int:
        return position.number

    def warnings(self) -> tuple[str, ...]:
        return ()

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        position = start
        for number, line in enumerate(self.generate_lines(), 1):
            if number > start.number:
                position = advance(position, line)
                yield line, position

    def digest_at(self, position: Position) -> str:
        digest = ""
        for number, line in enumerate(self.generate_lines(), 1):
            if number > position.number:
                break
            digest = extend_digest(digest, line)
        return digest


class GeneratedRow(NamedTuple):
    """See ``NamedLine``."""

    line: bytes
    path: str | None = None
    name: str | None = None


class LocatedSource(NamedSource, GeneratedSource):
    """Generated lines, each with the file and the name of its row, if it has any."""

    @abstractmethod
    def generate_rows(self) -> Iterator[GeneratedRow]: ...

    def generate_lines(self) -> Iterator[bytes]:
        return (row.line for row in self.generate_rows())

    def named_lines(self, start: Position) -> Iterator[NamedLine]:
        position = start
        for line, path, name in islice(self.generate_rows(), start.number, None):
            position = advance(position, line if name is None else encode_name(name))
            yield NamedLine(line, position, name, path)

    def digest_at(self, position: Position) -> str:
        reached = START_POSITION
        for each in islice(self.named_lines(START_POSITION), position.number):
            reached = each.position
        return reached.digest


class InMemorySource(GeneratedSource):
    name = "rows"

    def __init__(self, rows: Iterable[object] = (), image_key: str = "image", reference_key: str | None = None) -> None:
        self._rows = rows
        self._keys = (image_key, reference_key)

    def progress_total(self) -> int | None:
        return len(self._rows) if isinstance(self._rows, Sized) else None

    def generate_lines(self) -> Iterator[bytes]:
        for number, row in enumerate(self._rows, 1):
            yield write_row(row, number, *self._keys)


def write_row(row: object, number: int, image_key: str, reference_key: str | None = None) -> bytes:
    """The line of a row, also with pictures as bytes or PIL images. Raises SettingsError."""
    try:
        line = dump_spaced(embed_pictures(row, number, image_key, reference_key))
    except ValueError as error:
        if (instead := explain_row(row, (image_key, reference_key))) is not None:
            raise SettingsError(f"Row {number}: {instead}.") from error
        raise SettingsError(f"Row {number} cannot be written as JSON: {error}.") from error
    if not isinstance(row, Mapping | Picture | os.PathLike):
        kind = type(row).__name__
        return BrokenLine.make(line, f"a row must be a dict, or a picture alone, and not of the type {kind}")
    return line


def explain_row(row: object, picture_keys: Sequence[str | None]) -> str | None:
    """Advice for a row that holds a picture in a form that is not accepted."""
    if not isinstance(row, Mapping):
        instead = explain_no_picture(row)
        return None if instead is None else f"it {instead}"
    for key in picture_keys:
        given = row.get(key)
        for picture in given if isinstance(given, list | tuple) else [given]:
            if (instead := explain_no_picture(picture)) is not None:
                return f"{key} {instead}"
    return None


class ImagesSource(LocatedSource):
    """Images as rows ``{image_key: [path]}``."""

    def __init__(self, paths: Sequence[str], image_key: str, warnings: tuple[str, ...] = ()) -> None:
        self.name = paths[0] if len(paths) == 1 else f"{len(paths)} images"
        self.paths = tuple(paths)
        self._image_key = image_key
        self._warnings = warnings

    def warnings(self) -> tuple[str, ...]:
        return self._warnings

    def progress_total(self) -> int:
        return len(self.paths)

    def generate_rows(self) -> Iterator[GeneratedRow]:
        return (GeneratedRow(dump_spaced({self._image_key: [path]}), locate_picture(path)) for path in self.paths)


def locate_picture(path: str) -> str:
    """The path of the picture from the working directory; a URL stays as it is."""
    return path if is_object_url(path) else os.path.abspath(path)


class ComposedSource(ABC):
    """A source whose rows come from other sources."""

    sources: tuple[Source, ...]


def list_sources(source: Source) -> tuple[Source, ...]:
    return source.sources if isinstance(source, ComposedSource) else (source,)


def describe_names(names: Sequence[str]) -> str:
    """The first names, and the number of the others, for messages."""
    others = len(names) - SHOWN_NAMES
    return ", ".join(names) if others <= 1 else f"{', '.join(names[:SHOWN_NAMES])} and {others} others"


class SeveralSource(ComposedSource, LocatedSource):
    """The rows of each source, one source after the other. ``warning``: what is wrong between them."""

    def __init__(self, sources: Sequence[Source], names: Sequence[str], warning: str | None = None) -> None:
        self._warning = warning
        self.sources = tuple(sources)
        # As given; a name may stand for several sources.
        self.names = tuple(names)
        self.name = describe_names(names)
        # A row number, and the progress after that row.
        self._reached = (0, 0)

    def replace(self, sources: Sequence[Source]) -> SeveralSource:
        return SeveralSource(sources, self.names, self._warning)

    def warnings(self) -> tuple[str, ...]:
        own = () if self._warning is None else (self._warning,)
        return (*own, *(warning for source in self.sources for warning in source.warnings()))

    def progress_total(self) -> int | None:
        totals = [source.progress_total() for source in self.sources]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None

    def progress_at(self, position: Position) -> int:
        """Only called for rows up to the latest one, except at the start of a run."""
        if position.number > self._reached[0]:
            for number, _ in enumerate(self.generate_lines(), 1):
                if number >= position.number:
                    break
        return self._reached[1] if position.number else 0

    def generate_rows(self) -> Iterator[GeneratedRow]:
        number = before = 0
        for source in self.sources:
            for line, position, name, path in read_named_lines(source, START_POSITION):
                number += 1
                self._reached = number, before + source.progress_at(position)
                yield GeneratedRow(line, path, name)
            before += source.progress_total() or 0

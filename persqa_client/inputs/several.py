"""Several inputs in a row, and lists of images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from persqa_client.inputs.listed import read_named_lines
from persqa_client.inputs.source import Source
from persqa_client.inputs.sources import FileSource, GeneratedRow, LocatedSource
from persqa_client.jsonl import dump_spaced
from persqa_client.types import START_POSITION, Position

# Names in a message.
SHOWN_NAMES = 4


class ImagesSource(LocatedSource):
    """Images as rows ``{image_key: [path]}``."""

    def __init__(self, paths: Sequence[str], image_key: str) -> None:
        self.name = paths[0] if len(paths) == 1 else f"{len(paths)} images"
        self.paths = tuple(paths)
        self._image_key = image_key

    def progress_total(self) -> int:
        return len(self.paths)

    def generate_rows(self) -> Iterator[GeneratedRow]:
        return (GeneratedRow(dump_spaced({self._image_key: [path]}), os.path.abspath(path)) for path in self.paths)


def list_sources(source: Source) -> tuple[Source, ...]:
    return source.sources if isinstance(source, SeveralSource) else (source,)


class RowPlace(NamedTuple):
    source: str
    # What a row is called there, and which one it is.
    row_name: str
    number: int


def find_row(source: Source, number: int) -> RowPlace:
    """Where a row stands. With several inputs, they are read up to it."""
    for each in source.sources if isinstance(source, SeveralSource) else ():
        reached = 0
        for reached, _ in enumerate(read_named_lines(each, START_POSITION), 1):
            if reached == number:
                return find_row(each, number)
        number -= reached
    return RowPlace(source.name, source.row_name if isinstance(source, FileSource) else "row", number)


def describe_names(names: Sequence[str]) -> str:
    """For messages: the first ones, and the number of the others."""
    others = len(names) - SHOWN_NAMES
    return ", ".join(names) if others <= 1 else f"{', '.join(names[:SHOWN_NAMES])} and {others} others"


class SeveralSource(LocatedSource):
    """The rows of each source, one source after the other."""

    def __init__(self, sources: Sequence[Source], names: Sequence[str]) -> None:
        self.sources = tuple(sources)
        # As given; a name may stand for several sources.
        self.names = tuple(names)
        self.name = describe_names(names)
        # A row number, and the progress after that row.
        self._reached = (0, 0)

    def warnings(self) -> tuple[str, ...]:
        return tuple(warning for source in self.sources for warning in source.warnings())

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

"""From the input's lines to jobs: announces each to the ledger, asks for what is still to be answered. Reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from persqa_client.engines.local import Job
from persqa_client.inputs.sources import START, Source
from persqa_client.types import BadRow, Position, Row, Unit

BREATH = 200
"""Lines without a job, after which the event loop gets a turn."""


class Book(Protocol):
    """What a feed needs of a ledger."""

    @property
    def start(self) -> Position: ...
    @property
    def until(self) -> Position | None: ...
    def expect(self, line: bytes, units: tuple[Unit, ...], position: Position) -> tuple[Unit, ...]: ...
    def skip(self, position: Position) -> None: ...


class Reading(Protocol):
    """How lines become rows, what is asked about a row, and what a question of it holds in memory."""

    def parse(self, number: int, line: bytes) -> Row | BadRow: ...
    def units(self, row: Row | BadRow) -> tuple[Unit, ...]: ...
    def weigh(self, row: Row | BadRow, unit: Unit) -> int: ...


@dataclass(slots=True)
class Feed:
    """Draws lines from a source as an engine asks for jobs. ``rows`` bounds how many rows are announced."""

    source: Source
    book: Book
    reading: Reading
    rows: int | None = None
    at_least: int = 0
    """A line up to which rows are announced whatever ``rows`` says: answers for them are paid and journalled."""
    position: Position = START
    """After the line that was announced last."""

    def jobs(self) -> Iterator[Job | None]:
        left = self.rows
        for quiet, (line, position) in enumerate(self.source.lines(self.book.start), 1):
            if self._is_past(position, left):
                return
            self.position = position
            if line.strip():
                left = None if left is None else left - 1
                yield from self._announce(line, position)
            else:
                self.book.skip(position)
            if quiet % BREATH == 0:
                yield None

    def _is_past(self, position: Position, left: int | None) -> bool:
        until = self.book.until
        if until is not None and position.number > until.number:
            return True
        return left is not None and left <= 0 and position.number > self.at_least

    def _announce(self, line: bytes, position: Position) -> Iterator[Job]:
        row = self.reading.parse(position.number, line)
        for unit in self.book.expect(row.line, self.reading.units(row), position):
            yield Job(row, unit, self.reading.weigh(row, unit))


def has_more(source: Source, start: Position) -> bool:
    """Whether a row follows a position (blank lines are none)."""
    return any(line.strip() for line, _ in source.lines(start))

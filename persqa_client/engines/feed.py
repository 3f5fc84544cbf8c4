"""From the input's lines to jobs: announces each line to the ledger, settles what can't be asked. Reads the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from persqa_client.engines.local import Job
from persqa_client.inputs.sources import START, Source
from persqa_client.types import BadRow, Failure, Outcome, Position, Row, Unit

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
    def settle(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class Feed:
    """Draws lines from a source as an engine asks for jobs. ``rows`` bounds how many rows are announced."""

    source: Source
    book: Book
    parse: Callable[[int, bytes], Row | BadRow]
    weigh: Callable[[Row], int]
    settled: Callable[[Outcome], None]
    """Told of each row that ended without being asked."""
    rows: int | None = None
    position: Position = START
    """After the line that was announced last."""

    def jobs(self) -> Iterator[Job | None]:
        until = self.book.until
        left = self.rows
        for quiet, (line, position) in enumerate(self.source.lines(self.book.start), 1):
            if (until is not None and position.number > until.number) or left == 0:
                return
            self.position = position
            if line.strip():
                left = None if left is None else left - 1
                yield from self._announce(line, position)
            else:
                self.book.skip(position)
            if quiet % BREATH == 0:
                yield None

    def _announce(self, line: bytes, position: Position) -> Iterator[Job]:
        row = self.parse(position.number, line)
        for unit in self.book.expect(row.line, (Unit(row.number),), position):
            if isinstance(row, BadRow):
                failure = Failure(unit, row.code, row.message)
                self.book.settle(failure)
                self.settled(failure)
            else:
                yield Job(row, unit, len(row.line) + self.weigh(row))


def has_more(source: Source, start: Position) -> bool:
    """Whether a row follows a position (blank lines are none)."""
    return any(line.strip() for line, _ in islice(source.lines(start), 10_000))

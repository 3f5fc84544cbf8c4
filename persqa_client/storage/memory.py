"""A run's results kept in memory, in input order: the ledger's face without files. Pure."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from persqa_client.jsonl import load_object
from persqa_client.storage.checkpoint import START
from persqa_client.storage.tally import Tally
from persqa_client.storage.writer import Render
from persqa_client.types import Failure, Json, Outcome, Position, Unit


class MemoryLedger:
    """For runs whose rows and answers a caller wants to hold; nothing of it outlasts the process."""

    state = "new"
    start = START
    stamp = None
    until = None
    waiting_bytes = 0

    def __init__(self, render: Render) -> None:
        self._render = render
        self._lines: dict[Unit, bytes] = {}
        self._done: dict[Unit, Outcome] = {}
        self._began = monotonic()
        self.tally = Tally()

    @property
    def seconds(self) -> float:
        return monotonic() - self._began

    @property
    def waiting(self) -> int:
        return len(self._lines) - len(self._done)

    def expect(self, line: bytes, units: tuple[Unit, ...], position: Position) -> tuple[Unit, ...]:
        self._lines.update(dict.fromkeys(units, line))
        self.tally.rows += 1
        return units

    def skip(self, position: Position) -> None:
        """Blank lines leave nothing behind."""

    def settle(self, outcome: Outcome) -> None:
        self._done[outcome.unit] = outcome
        self.tally.add(outcome)

    def rows(self, *, failed: bool) -> list[dict[str, Any]]:
        """The rows as they would stand in the output, or in the failure file."""
        return [
            load_object(self._render(self._lines[unit], outcome))
            for unit, outcome in sorted(self._done.items())
            if isinstance(outcome, Failure) is failed
        ]

    def sync(self) -> None:
        """Nothing to make last."""

    def checkpoint(self) -> Callable[[], None]:
        return self.sync

    def finish(self, run: Json) -> None:
        """Nothing to put in place."""

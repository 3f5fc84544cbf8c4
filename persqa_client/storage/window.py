"""The rows between the head of the output and the newest row that was read. Pure; holds nothing that is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from persqa_client.storage.journal import Entry
from persqa_client.types import Outcome, Position, Unit


@dataclass(slots=True)
class Slot:
    """A row that waits for its outcomes, or for the rows before it."""

    line: bytes
    digest: str
    units: tuple[Unit, ...]
    """All of the row's, in order; in a retry, those that are not ``asked`` are carried over."""
    asked: dict[Unit, str]
    """The units to be settled; in a retry, with the code that each failed with before."""
    position: Position
    """Where reading goes on once this row and what trails it are written."""
    failed_read: int = 0
    """In a retry: bytes of the old failure file that are used up then."""
    trailing: int = 0
    """In a retry: lines of the old output that follow this row untouched."""
    outcomes: dict[Unit, Outcome] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.asked)


class Window:
    """Rows in input order; settled in any order, taken from the head when complete."""

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self.open: dict[Unit, Slot] = {}
        self.units = 0
        """Asked, and not taken from the head yet."""
        self.bytes = 0
        """Of the input lines that are held."""

    @property
    def newest(self) -> Slot | None:
        return self.slots[-1] if self.slots else None

    def add(self, slot: Slot) -> None:
        self.slots.append(slot)
        for unit in slot.asked:
            self.open[unit] = slot
        self.units += len(slot.asked)
        self.bytes += len(slot.line)

    def slot_of(self, unit: Unit) -> Slot:
        """Raises RuntimeError where the unit is not waited for."""
        try:
            return self.open[unit]
        except KeyError:
            raise RuntimeError(f"{unit} was settled twice, or was never expected") from None

    def settle(self, outcome: Outcome) -> None:
        self.open.pop(outcome.unit).outcomes[outcome.unit] = outcome

    def head(self) -> Slot | None:
        """The oldest row, if it is complete; ``drop`` takes it away."""
        if self.slots and self.slots[0].complete:
            return self.slots[0]
        return None

    def drop(self) -> None:
        slot = self.slots.popleft()
        self.units -= len(slot.asked)
        self.bytes -= len(slot.line)

    def entries(self) -> Iterator[Entry]:
        """What is settled and not written: the beginning of the journal's next generation."""
        for slot in self.slots:
            yield from (Entry(slot.digest, outcome) for outcome in slot.outcomes.values())

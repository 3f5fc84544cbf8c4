"""The way of a row through a run: announced, settled, written at the head. Writes through the run's open files."""

from __future__ import annotations

from persqa_client.errors import SettingsError
from persqa_client.storage.journal import Entry, line_digest
from persqa_client.storage.window import Slot, Window
from persqa_client.storage.writer import Books, Render
from persqa_client.types import Outcome, Position, Unit


class Intake:
    """Rows in, in input order; outcomes in, in any order; out go the books' lines, in input order again."""

    def __init__(self, books: Books, render: Render) -> None:
        self.books = books
        self.old = books.old
        self.render = render
        self.window = Window()
        self.newest = books.position

    def expect(self, line: bytes, units: tuple[Unit, ...], position: Position) -> tuple[Unit, ...]:
        if not self.belongs(position):
            return ()
        asked = self.old.claim(units) if self.old is not None else dict.fromkeys(units, "")
        if not asked:
            self.pass_over(len(units), position)
            return ()
        slot = Slot(line, line_digest(line), units, asked, position, self.failed_read)
        known = self.known(slot) if self.books.replayed else ()
        self.window.add(slot)
        if not known:
            return tuple(asked)
        for entry in known:
            self.window.settle(entry.outcome)
            del self.books.replayed[entry.outcome.unit]
        self.write_head()
        return tuple(unit for unit in asked if unit not in slot.outcomes)

    def skip(self, position: Position) -> None:
        if self.belongs(position):
            self.pass_over(0, position)

    def settle(self, outcome: Outcome) -> None:
        slot = self.window.slot_of(outcome.unit)
        self.books.journal.append(Entry(slot.digest, outcome))
        self.window.settle(outcome)
        self.write_head()

    def write_head(self) -> None:
        while (slot := self.window.head()) is not None:
            self.books.write(slot, self.render)
            self.window.drop()

    def belongs(self, position: Position) -> bool:
        """Whether the line before ``position``, now the newest, is part of this run."""
        if position.number <= self.newest.number:
            raise RuntimeError(f"line {position.number} was announced after line {self.newest.number}")
        self.newest = position
        return self.old is None or not self.old.beyond(position)

    @property
    def failed_read(self) -> int:
        return self.old.failed_read if self.old is not None else 0

    def pass_over(self, lines: int, position: Position) -> None:
        """Lets the input up to ``position``, and ``lines`` of a retry's old output, follow the newest row."""
        newest = self.window.newest
        if newest is None:
            self.books.write(Slot(b"", "", (), {}, position, self.failed_read, lines), self.render)
        else:
            newest.trailing += lines
            newest.position = position

    def known(self, slot: Slot) -> list[Entry]:
        """The row's units that the journal has; they must have been settled for this very line."""
        replayed = self.books.replayed
        entries = [replayed[unit] for unit in slot.asked if unit in replayed]
        if any(entry.digest != slot.digest for entry in entries):
            raise SettingsError(
                f"the input changed at line {slot.units[0].row}, which is answered already: "
                "put the line back, choose another -o, or start again with --fresh"
            )
        return entries

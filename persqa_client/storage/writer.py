"""The open files of a run that goes on: whole rows, journal, checkpoints. Writes and syncs files."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import Checkpoint, Lengths, Phase, write_checkpoint
from persqa_client.storage.durable import Appender
from persqa_client.storage.journal import Entry, Journal, by_unit, line_digest, next_generation, replay
from persqa_client.storage.recovery import OldRun
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Failure, Json, Outcome, Position, TaskId

# The output and the failure file while they grow, and how much of them is whole rows. Writes both.


class Partials:
    """``whole`` is how long both were after the last row that is complete; ``roll_back`` returns there."""

    def __init__(self, files: RunFiles, lengths: Lengths) -> None:
        self.whole = lengths
        self.output = Appender(files.partial, lengths.output)
        try:
            self.failed = Appender(files.failed_partial, lengths.failed)
        except BaseException:
            self.output.close()
            raise

    def mark(self) -> None:
        """Says that what has been written so far ends with a complete row."""
        self.whole = Lengths(self.output.length, self.failed.length)

    def roll_back(self) -> None:
        """Takes back the lines of a row that could not be written whole."""
        for appender, length in ((self.output, self.whole.output), (self.failed, self.whole.failed)):
            appender.length = length
            appender.mend()

    def sync(self) -> None:
        self.output.sync()
        self.failed.sync()

    def close(self) -> None:
        self.output.close()
        self.failed.close()


# The rows between the head of the output and the newest row that was read. Pure; holds nothing that is written.


@dataclass(slots=True)
class Slot:
    """A row that waits for its outcomes, or for the rows before it."""

    line: bytes
    digest: str
    units: tuple[TaskId, ...]
    """All of the row's, in order; in a retry, those that are not ``asked`` are carried over."""
    asked: dict[TaskId, str]
    """The units to be settled; in a retry, with the code that each failed with before."""
    position: Position
    """Where reading goes on once this row and what trails it are written."""
    failed_read: int = 0
    """In a retry: bytes of the old failure file that are used up then."""
    trailing: int = 0
    """In a retry: lines of the old output that follow this row untouched."""
    outcomes: dict[TaskId, Outcome] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.asked)


class Window:
    """Rows in input order; settled in any order, taken from the head when complete."""

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self.open: dict[TaskId, Slot] = {}
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

    def slot_of(self, unit: TaskId) -> Slot:
        """Raises RuntimeError where the unit is not waited for."""
        try:
            return self.open[unit]
        except KeyError:
            raise RuntimeError(f"{unit} was settled twice, or was never expected") from None

    def settle(self, outcome: Outcome) -> None:
        self.open.pop(outcome.task_id).outcomes[outcome.task_id] = outcome

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


Render = Callable[[bytes, Outcome], bytes]
"""The line that an outcome leaves, from the input line and the outcome, its end included."""


class Books:
    """Opened at a checkpoint: cuts the partial files to it, and reads the journal since then into ``replayed``."""

    def __init__(self, files: RunFiles, checkpoint: Checkpoint, clock: Callable[[], float]) -> None:
        self.files = files
        self.opened = checkpoint
        self.clock = clock
        self.began = clock()
        self.stamp = checkpoint.stamp
        self.position = checkpoint.position
        """After the last row that is written whole."""
        self.tally = Tally.from_json(checkpoint.tally) if checkpoint.tally else Tally()
        self.disk = threading.Lock()
        self.committed = 0
        with ExitStack() as undo:
            self.partials = Partials(files, checkpoint.lengths)
            undo.callback(self.partials.close)
            self.old = OldRun(files, checkpoint.before) if checkpoint.before else None
            if self.old is not None:
                undo.callback(self.old.close)
            self.replayed = by_unit(replay(files, checkpoint.generation))
            self.journal = Journal(files, next_generation(files, checkpoint.generation))
            undo.callback(self.journal.close)
            self.journal.extend(self.replayed.values())
            self.commit(self.snapshot("running"))
            undo.pop_all()

    @property
    def closed(self) -> bool:
        return self.committed == sys.maxsize

    @property
    def seconds(self) -> float:
        return self.opened.seconds + self.clock() - self.began

    def write(self, slot: Slot, render: Render) -> None:
        """Writes all lines of a complete row, or none of them if one can't be."""
        try:
            for unit in slot.units:
                outcome = slot.outcomes.get(unit)
                if outcome is None:
                    self.carry(1)
                elif isinstance(outcome, Failure):
                    self.partials.failed.append(render(slot.line, outcome))
                else:
                    self.partials.output.append(render(slot.line, outcome))
            self.carry(slot.trailing)
        except BaseException:
            self.roll_back()
            raise
        self.mark(slot)

    def carry(self, count: int) -> None:
        if self.old is not None and count:
            for lines in self.old.carry(count):
                self.partials.output.append(lines)

    def mark(self, slot: Slot) -> None:
        self.partials.mark()
        self.position = slot.position
        for unit, outcome in slot.outcomes.items():
            if self.old is not None:
                self.tally.take_back(slot.asked[unit])
            self.tally.add(outcome)
        if self.old is None:
            self.tally.rows += bool(slot.units)
        else:
            self.old.mark(slot.failed_read)

    def roll_back(self) -> None:
        self.partials.roll_back()
        if self.old is not None:
            self.old.roll_back()

    def snapshot(self, phase: Phase, run: Json | None = None) -> Checkpoint:
        return Checkpoint(
            identity=self.opened.identity,
            stamp=self.stamp,
            phase=phase,
            mode=self.opened.mode,
            position=self.position,
            lengths=self.partials.whole,
            generation=self.journal.generation,
            tally=self.tally.to_json(),
            seconds=round(self.seconds, 3),
            before=self.old.note() if self.old is not None else None,
            run=run,
        )

    def checkpoint(self, ahead: Iterable[Entry]) -> Callable[[], None]:
        """Begins a generation of the journal with what is ``ahead`` of the head; the callable makes it count."""
        self.journal.turn([*self.replayed.values(), *ahead])
        return partial(self.commit, self.snapshot("running"))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Runs in any thread. Does nothing where a later checkpoint has been made, or the run was closed."""
        with self.disk:
            if checkpoint.generation > self.committed:
                self.partials.sync()
                self.journal.sync()
                write_checkpoint(self.files, checkpoint)
                self.committed = checkpoint.generation
                self.journal.forget(checkpoint.generation)

    def sync(self) -> None:
        """Runs in any thread."""
        with self.disk:
            if not self.closed:
                self.journal.sync()

    def seal(self, run: Json) -> Checkpoint:
        """Notes that all rows are written and only the last steps are left; nothing can be written any more."""
        with self.disk:
            self.partials.sync()
            sealed = self.snapshot("finishing", run)
            write_checkpoint(self.files, sealed)
        self.close()
        return sealed

    def close(self) -> None:
        """Closes the files; a commit that comes later does nothing. Harmless when done twice."""
        with self.disk:
            if self.closed:
                return
            self.committed = sys.maxsize
            self.partials.close()
            self.journal.close()
            if self.old is not None:
                self.old.close()


# The way of a row through a run: announced, settled, written at the head. Writes through the run's open files.


class Intake:
    """Rows in, in input order; outcomes in, in any order; out go the books' lines, in input order again."""

    def __init__(self, books: Books, render: Render) -> None:
        self.books = books
        self.old = books.old
        self.render = render
        self.window = Window()
        self.newest = books.position

    def expect(self, line: bytes, units: tuple[TaskId, ...], position: Position) -> tuple[TaskId, ...]:
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
            del self.books.replayed[entry.outcome.task_id]
        self.write_head()
        return tuple(unit for unit in asked if unit not in slot.outcomes)

    def skip(self, position: Position) -> None:
        if self.belongs(position):
            self.pass_over(0, position)

    def settle(self, outcome: Outcome) -> None:
        slot = self.window.slot_of(outcome.task_id)
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

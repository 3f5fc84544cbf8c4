"""The ledger, single owner of a run's files: every unit ends in one place, in input order. Writes those files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self

from persqa_client.jsonl import dump_compact, load_object
from persqa_client.storage.checkpoint import (
    START,
    Checkpoint,
    Finished,
    Mode,
    read_checkpoint,
    read_run_file,
    write_checkpoint,
)
from persqa_client.storage.journal import next_generation
from persqa_client.storage.recovery import (
    complete_finish,
    complete_reopening,
    discard,
    is_hollow,
    refuse_changed,
    refuse_foreign_results,
    refuse_missing,
    survey,
)
from persqa_client.storage.run_files import RunFiles, RunLock
from persqa_client.storage.tally import Tally
from persqa_client.storage.writer import Books, Intake, Render
from persqa_client.types import Failure, Json, Outcome, Position, TaskId

# A run's results kept in memory, in input order: the ledger's face without files. Pure.


class MemoryLedger:
    """For runs whose rows and answers a caller wants to hold; nothing of it outlasts the process."""

    state = "new"
    start = START
    stamp = None
    until = None
    waiting_bytes = 0

    def __init__(self, render: Render) -> None:
        self._render = render
        self._lines: dict[TaskId, bytes] = {}
        self._done: dict[TaskId, Outcome] = {}
        self._began = monotonic()
        self.tally = Tally()

    @property
    def seconds(self) -> float:
        return monotonic() - self._began

    @property
    def waiting(self) -> int:
        return len(self._lines) - len(self._done)

    def expect(self, line: bytes, units: tuple[TaskId, ...], position: Position) -> tuple[TaskId, ...]:
        self._lines.update(dict.fromkeys(units, line))
        self.tally.rows += 1
        return units

    def skip(self, position: Position) -> None:
        """Blank lines leave nothing behind."""

    def settle(self, outcome: Outcome) -> None:
        self._done[outcome.task_id] = outcome
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


State = Literal["new", "resumed", "finished"]


class Ledger:
    """A run's files under its lock. Used from one thread, but for ``sync`` and what ``checkpoint`` returns.

    Every method that writes may raise StorageError; what was written stays good, and the run can be resumed.
    """

    def __init__(
        self, files: RunFiles, *, identity: Json, stamp: Json | None, render: Render, clock: Callable[[], float]
    ) -> None:
        self.files = files
        # As it will be read back: tuples are lists there.
        self.identity = load_object(dump_compact(identity))
        self.new_stamp = stamp
        self.render = render
        self.clock = clock
        self.lock = RunLock(files)
        self.state: State = "new"
        self.mode: Mode = "run"
        self.start = START
        """Where reading must go on."""
        self.stamp = stamp
        """What an earlier run noted of the input; the caller judges whether it still holds, before ``expect``."""
        self.intake: Intake | None = None
        self.finished: Finished | None = None
        self.sealed: Checkpoint | None = None

    @classmethod
    def open(
        cls,
        files: RunFiles,
        *,
        identity: Json,
        stamp: Json | None,
        render: Render,
        fresh: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Takes the lock and goes on with what lies there.

        ``identity``: the settings that must not change while a run lasts, by the names that people know them by.
        ``stamp``: how the input looks now (size and time, say); noted with the next checkpoint, not compared here.
        ``fresh`` throws away an unfinished run; a finished output stays until the new run's end replaces it.
        Raises SettingsError where another run has the lock, a file is not ours, or a setting changed.
        """
        ledger = cls(files, identity=identity, stamp=stamp, render=render, clock=clock)
        files.prepare()
        ledger.lock.take()
        try:
            ledger.arrive(fresh)
        except BaseException:
            ledger.lock.release()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def arrive(self, fresh: bool) -> None:
        found = survey(self.files)
        unfinished, finished = found.checkpoint, found.finished
        if not fresh and unfinished is not None and is_hollow(self.files, unfinished):
            discard(self.files)
            unfinished = None
        if fresh or (unfinished is None and finished is None):
            generation = next_generation(self.files, unfinished.generation) if unfinished else 1
            first = Checkpoint(self.identity, self.new_stamp, generation=generation)
            write_checkpoint(self.files, first)
            self.begin(first, "new")
            return
        refuse_missing(self.files, replace(found, checkpoint=unfinished))
        if unfinished is not None:
            refuse_changed(unfinished.identity, self.identity)
            self.begin(unfinished, "resumed")
        elif finished is not None:
            refuse_changed(finished.identity, self.identity)
            self.rest(finished)

    def begin(self, checkpoint: Checkpoint, state: State) -> None:
        """Goes on from a checkpoint, which is on the disk already: no file of a run lies there without its owner."""
        books = Books(self.files, checkpoint, self.clock)
        # The old stamp stays noted until the caller, who has seen it, takes a checkpoint of its own.
        books.stamp = self.new_stamp
        self.intake = Intake(books, self.render)
        self.start = checkpoint.position
        self.stamp = checkpoint.stamp
        self.mode = checkpoint.mode
        self.state = state
        self.finished = self.sealed = None

    def rest(self, finished: Finished) -> None:
        self.finished = finished
        self.intake = None
        self.state = "finished"
        self.start = finished.position
        self.stamp = finished.stamp

    def running(self) -> Intake:
        if self.intake is None or self.intake.books.closed:
            raise RuntimeError("the run is finished or closed: there is nothing to write to")
        return self.intake

    @property
    def books(self) -> Books | None:
        return self.intake.books if self.intake is not None else None

    @property
    def tally(self) -> Tally:
        """Of the units that are written."""
        if self.books is not None:
            return self.books.tally
        return Tally.from_json(self.finished.tally) if self.finished is not None else Tally()

    @property
    def seconds(self) -> float:
        """How long the run has been open, over all its resumes."""
        if self.books is not None:
            return self.books.seconds
        return self.finished.seconds if self.finished is not None else 0.0

    @property
    def until(self) -> Position | None:
        """In a retry, where the pass ends: lines after it are not part of it."""
        old = self.books.old if self.books is not None else None
        return old.until if old is not None else None

    @property
    def waiting(self) -> int:
        """Units expected and not written yet."""
        return self.intake.window.units if self.intake is not None else 0

    @property
    def waiting_bytes(self) -> int:
        """Of the input lines that are held for them."""
        return self.intake.window.bytes if self.intake is not None else 0

    def expect(self, line: bytes, units: tuple[TaskId, ...], position: Position) -> tuple[TaskId, ...]:
        """Announces an input line, in order; gives back those of its units that are still to be asked.

        Units that the journal knows are settled at once. ``position`` is the one after the line. In a retry, only units
        that failed are asked. Raises SettingsError where the line is not the one that the journal knows.
        """
        return self.running().expect(line, units, position)

    def skip(self, position: Position) -> None:
        """Announces a blank line: nothing is asked, and reading goes on after it."""
        self.running().skip(position)

    def settle(self, outcome: Outcome) -> None:
        """Journals an outcome, and writes every row at the head that is complete by it.

        Raises RuntimeError where its unit is not waited for.
        """
        self.running().settle(outcome)

    def sync(self) -> None:
        """Makes what was settled last through a power cut. May run in another thread; does nothing after the end."""
        if self.books is not None:
            self.books.sync()

    def checkpoint(self) -> Callable[[], None]:
        """Call the result in another thread: it syncs, which takes its time; until then the last checkpoint holds."""
        intake = self.running()
        return intake.books.checkpoint(intake.window.entries())

    def finish(self, run: Json) -> None:
        """Puts everything in place; ``run`` is what the run file says beside what a later run goes by.

        May be called again after a StorageError. Raises SettingsError where a file that is not ours has appeared in an
        output's place, or where a retry has not met the input that the finished run had.
        """
        if self.lock.free:
            raise RuntimeError("the run is closed")
        if self.sealed is None:
            intake = self.running()
            books = intake.books
            if intake.window.slots:
                raise RuntimeError(f"{self.waiting} units are not written: the run is not at its end")
            if books.old is not None:
                books.old.refuse_rest(books.position)
            refuse_foreign_results(self.files, read_run_file(self.files))
            self.sealed = books.seal(run)
        complete_finish(self.files, self.sealed)
        self.rest(self.sealed.finished())

    def reopen(self) -> None:
        """A finished run goes on: its files become partial again, and more lines may be announced."""
        checkpoint = self.at_rest().reopened()
        write_checkpoint(self.files, checkpoint)
        complete_reopening(self.files)
        self.begin(replace(checkpoint, phase="running"), "resumed")

    def retry(self) -> None:
        """A finished run's failures are asked again: announce the whole input once more, up to ``until``.

        The finished files stay as they are until the end of the pass.
        """
        checkpoint = self.at_rest().retried()
        write_checkpoint(self.files, checkpoint)
        self.begin(checkpoint, "resumed")

    def at_rest(self) -> Finished:
        if self.finished is None or self.lock.free:
            raise RuntimeError("only a finished run can be reopened or retried")
        return self.finished

    def close(self) -> None:
        """Lets go of the files and the lock; an unfinished run can be opened again. Harmless when done twice.

        A run that was broken off before anything was settled leaves no files.
        """
        if self.books is not None and not self.books.closed:
            self.books.close()
            checkpoint = read_checkpoint(self.files)
            if checkpoint is not None and is_hollow(self.files, checkpoint):
                discard(self.files)
        self.lock.release()

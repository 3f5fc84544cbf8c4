"""Open files of a run: partial files, journal and checkpoint. Writes rows in input order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from persqa_client.errors import START_AGAIN, SettingsError
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.storage.checkpoint import Checkpoint, FileLengths, Phase, write_checkpoint
from persqa_client.storage.details import render_details
from persqa_client.storage.durable import Appender
from persqa_client.storage.journal import Journal, JournalEntry, next_free_generation
from persqa_client.storage.previous import NO_CHECKS, Asked, PictureChecks, PreviousResults
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Json, Position, TaskId


@dataclass(slots=True, eq=False)
class PendingRow:
    line: bytes
    # All tasks of the row, in output order.
    task_ids: tuple[TaskId, ...]
    # Open tasks. In a retry each has its old error code or answer; other tasks are copied.
    asked: Asked
    # Position after this row and the blank lines that follow it.
    position: Position
    digest: str = ""
    # Retry only: offset in the old failure file after this row.
    failed_offset: int = 0
    # Retry only: number of unchanged lines of the old output after this row.
    copied_after: int = 0
    # Retry only: failed tasks that are not asked again.
    kept_failures: frozenset[TaskId] = frozenset()
    outcomes: dict[TaskId, Outcome] = field(default_factory=dict)

    @property
    def open_tasks(self) -> tuple[TaskId, ...]:
        return tuple(task_id for task_id in self.asked if task_id not in self.outcomes)


class AnsweredRowChanged(SettingsError):
    """``place``: the input and the row in it, as far as they are known."""

    def __init__(self, number: int, place: str | None = None) -> None:
        self.number = number
        super().__init__(
            f"{place or f'the input changed at line {number}'}, which was already answered: restore it, choose another "
            f"-o, or {START_AGAIN}"
        )


class ReorderBuffer:
    """Holds rows in input order until they are written.

    ``journaled``: outcomes of an earlier process whose rows are not yet added.
    """

    def __init__(self, journaled: Iterable[JournalEntry] = ()) -> None:
        self.journaled = {entry.outcome.task_id: entry for entry in journaled}
        self.rows: deque[PendingRow] = deque()
        self._row_of: dict[TaskId, PendingRow] = {}
        # Open tasks of these rows, and bytes of their input lines.
        self.tasks = 0
        self.bytes = 0

    def add(self, row: PendingRow, former_digest: str | None = None, *, is_readable: bool = False) -> None:
        """Adds the next row. Raises SettingsError if its journal entries belong to another input line.

        An earlier version may have refused a line that is readable now; the row is then open.
        """
        entries: list[JournalEntry] = []
        if self.journaled:
            entries = [self.journaled[task_id] for task_id in row.asked if task_id in self.journaled]
        for entry in entries:
            if entry.digest not in (row.digest, former_digest):
                raise AnsweredRowChanged(row.task_ids[0].row)
        self.rows.append(row)
        self._row_of.update(dict.fromkeys(row.asked, row))
        self.tasks += len(row.asked)
        self.bytes += len(row.line)
        for entry in entries:
            if not (is_readable and _is_unreadable(entry.outcome)):
                self.add_outcome(row, entry.outcome)
            del self.journaled[entry.outcome.task_id]

    def get_row(self, task_id: TaskId) -> PendingRow:
        try:
            return self._row_of[task_id]
        except KeyError:
            raise RuntimeError(f"{task_id} was settled twice, or was never expected") from None

    def add_outcome(self, row: PendingRow, outcome: Outcome) -> None:
        row.outcomes[outcome.task_id] = outcome
        del self._row_of[outcome.task_id]

    def take_complete(self) -> Iterator[PendingRow]:
        """The complete rows before the first open one. Each is removed when the caller has written it and requests the
        next.
        """
        while self.rows and len((row := self.rows[0]).outcomes) == len(row.asked):
            yield row
            self.rows.popleft()
            self.tasks -= len(row.asked)
            self.bytes -= len(row.line)

    def unwritten_entries(self) -> Iterator[JournalEntry]:
        yield from self.journaled.values()
        for row in self.rows:
            yield from (JournalEntry(row.digest, outcome) for outcome in row.outcomes.values())


def _is_unreadable(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.whole_row and outcome.stage == "input"


# Renders an output or failure line, including the line break.
RenderLine = Callable[[bytes, Outcome], bytes]


class RunWriter:
    """Writes whole rows and checkpoints. ``sync``, ``commit`` and ``close`` are thread-safe."""

    def __init__(
        self,
        files: RunFiles,
        checkpoint: Checkpoint,
        *,
        journaled: Iterable[JournalEntry],
        stamp: Json | None,
        render: RenderLine,
        clock: Callable[[], float],
        pictures: PictureChecks = NO_CHECKS,
    ) -> None:
        """Truncates the partial files to ``checkpoint``, and starts a journal generation with ``journaled``."""
        self.files = files
        self.render = render
        self.clock = clock
        self.opened_at = clock()
        self.seconds_before = checkpoint.seconds
        self.identity, self.mode = checkpoint.identity, checkpoint.mode
        self.stamp, self.folders = checkpoint.stamp, checkpoint.folders
        # Position after the last written row.
        self.position = checkpoint.position
        self.lengths = checkpoint.lengths
        self.tally = Tally.from_json(checkpoint.tally) if checkpoint.tally else Tally()
        self._lock = threading.Lock()
        # Generation of the last checkpoint; after ``close`` higher than any other.
        self._committed = 0
        with ExitStack() as undo:
            self.output = Appender(files.partial, checkpoint.lengths.output)
            undo.callback(self.output.close)
            self.failed = Appender(files.failed_partial, checkpoint.lengths.failed)
            undo.callback(self.failed.close)
            self.details = Appender(files.details_partial, checkpoint.lengths.details)
            undo.callback(self.details.close)
            self.previous = PreviousResults(files, checkpoint.before, pictures) if checkpoint.before else None
            if self.previous is not None:
                undo.callback(self.previous.close)
            self.journal = Journal(files, next_free_generation(files, checkpoint.generation))
            undo.callback(self.journal.close)
            self.journal.append(*journaled)
            self.commit(self._make_checkpoint("running"))
            undo.pop_all()
        # Set after the checkpoint above, which keeps the old stamp: the caller may still find that the input changed.
        self.stamp = stamp

    @property
    def _is_closed(self) -> bool:
        return self._committed == sys.maxsize

    @property
    def seconds(self) -> float:
        return self.seconds_before + self.clock() - self.opened_at

    def append(self, row: PendingRow) -> None:
        try:
            for task_id in row.task_ids:
                outcome = row.outcomes.get(task_id)
                if outcome is not None:
                    self._append_outcome(row, outcome)
                elif task_id not in row.kept_failures:
                    self._copy_previous(1)
            if self.previous is not None:
                self._copy_failures(row)
                self._copy_previous(row.copied_after)
        except BaseException:
            self._roll_back()
            raise
        self.lengths = FileLengths(self.output.length, self.failed.length, self.details.length)
        self.position = row.position
        for task_id, outcome in row.outcomes.items():
            before = row.asked[task_id]
            if isinstance(before, Record):
                self.tally.remove_answer(before)
            elif self.previous is not None:
                self.tally.remove_failure(before)
            self.tally.add(outcome)
        if self.previous is not None:
            replaced = sum(isinstance(before, Record) for before in row.asked.values())
            self.previous.mark_done(row.failed_offset, replaced)
        elif row.task_ids:
            self.tally.rows += 1

    def _append_outcome(self, row: PendingRow, outcome: Outcome) -> None:
        if self.previous is not None and isinstance(row.asked[outcome.task_id], Record):
            self.previous.read_line()
        line = self.render(row.line, outcome)
        if isinstance(outcome, Failure):
            self._copy_failures(row, before=outcome.task_id)
            self.failed.append(line)
        else:
            self.output.append(line)
        self.details.append(render_details(row.line, outcome, line))

    def _copy_failures(self, row: PendingRow, before: TaskId | None = None) -> None:
        if self.previous is not None:
            for line in self.previous.read_failures(row.failed_offset, row.asked, before):
                self.failed.append(line)

    def _copy_previous(self, count: int) -> None:
        if self.previous is not None:
            for lines in self.previous.read_lines(count):
                self.output.append(lines)

    def _roll_back(self) -> None:
        self.output.try_truncate(self.lengths.output)
        self.failed.try_truncate(self.lengths.failed)
        self.details.try_truncate(self.lengths.details)
        if self.previous is not None:
            self.previous.roll_back()

    def _make_checkpoint(self, phase: Phase, run: Json | None = None) -> Checkpoint:
        return Checkpoint(
            identity=self.identity,
            stamp=self.stamp,
            phase=phase,
            mode=self.mode,
            position=self.position,
            lengths=self.lengths,
            generation=self.journal.generation,
            tally=self.tally.to_json(),
            seconds=round(self.seconds, 3),
            before=self.previous.progress if self.previous is not None else None,
            run=run,
            folders=self.folders,
        )

    def start_checkpoint(self, unwritten: Iterable[JournalEntry]) -> Callable[[], None]:
        self.journal.start_generation(unwritten)
        return partial(self.commit, self._make_checkpoint("running"))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Syncs all files and writes the checkpoint, unless it is outdated or the files are closed."""
        with self._lock:
            if checkpoint.generation > self._committed:
                self.output.sync()
                self.failed.sync()
                self.details.sync()
                self.journal.sync()
                write_checkpoint(self.files, checkpoint)
                self._committed = checkpoint.generation
                self.journal.remove_before(checkpoint.generation)

    def sync(self) -> None:
        """Does nothing after ``close``."""
        with self._lock:
            if not self._is_closed:
                self.journal.sync()

    def seal(self, run: Json, kept_number: int | None = None) -> Checkpoint:
        with self._lock:
            self.output.sync()
            self.failed.sync()
            self.details.sync()
            sealed = replace(self._make_checkpoint("finishing", run), kept_number=kept_number)
            write_checkpoint(self.files, sealed)
        self.close()
        return sealed

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._committed = sys.maxsize
            self.output.close()
            self.failed.close()
            self.details.close()
            self.journal.close()
            if self.previous is not None:
                self.previous.close()

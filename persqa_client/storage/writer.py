"""The open files of a run: both partial files, the journal and the checkpoint."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from persqa_client.storage.checkpoint import Checkpoint, FileLengths, Phase, write_checkpoint
from persqa_client.storage.durable import Appender
from persqa_client.storage.journal import Journal, JournalEntry, next_free_generation
from persqa_client.storage.reorder_buffer import PendingRow
from persqa_client.storage.retry_failed import PreviousResults
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Failure, Json, Outcome

# Makes the output or failure line, with its line break, from the input line and the outcome.
RenderLine = Callable[[bytes, Outcome], bytes]


class RunWriter:
    """Writes whole rows and checkpoints. Other threads may call ``sync``, ``commit`` and ``close``."""

    def __init__(
        self,
        files: RunFiles,
        checkpoint: Checkpoint,
        *,
        journaled: Iterable[JournalEntry],
        stamp: Json | None,
        render: RenderLine,
        clock: Callable[[], float],
    ) -> None:
        """Cuts the partial files back to ``checkpoint``, and starts a generation of the journal with ``journaled``."""
        self.files = files
        self.render = render
        self.clock = clock
        self.opened_at = clock()
        self.seconds_before = checkpoint.seconds
        self.identity, self.mode = checkpoint.identity, checkpoint.mode
        self.stamp = checkpoint.stamp
        # After the last row that is written.
        self.position = checkpoint.position
        self.lengths = checkpoint.lengths
        self.tally = Tally.from_json(checkpoint.tally) if checkpoint.tally else Tally()
        self._lock = threading.Lock()
        # Generation of the last checkpoint. After ``close`` it is higher than any other.
        self._committed = 0
        with ExitStack() as undo:
            self.output = Appender(files.partial, checkpoint.lengths.output)
            undo.callback(self.output.close)
            self.failed = Appender(files.failed_partial, checkpoint.lengths.failed)
            undo.callback(self.failed.close)
            self.previous = PreviousResults(files, checkpoint.before) if checkpoint.before else None
            if self.previous is not None:
                undo.callback(self.previous.close)
            self.journal = Journal(files, next_free_generation(files, checkpoint.generation))
            undo.callback(self.journal.close)
            self.journal.extend(journaled)
            self.commit(self._make_checkpoint("running"))
            undo.pop_all()
        # Not before: until the next checkpoint the caller may find that the input changed.
        self.stamp = stamp

    @property
    def _is_closed(self) -> bool:
        return self._committed == sys.maxsize

    @property
    def seconds(self) -> float:
        return self.seconds_before + self.clock() - self.opened_at

    def append(self, row: PendingRow) -> None:
        """Writes all lines of a complete row. If that fails, none of them remains."""
        try:
            for task_id in row.task_ids:
                outcome = row.outcomes.get(task_id)
                if outcome is None:
                    self._copy_previous(1)
                else:
                    file = self.failed if isinstance(outcome, Failure) else self.output
                    file.append(self.render(row.line, outcome))
            if row.copied_after:
                self._copy_previous(row.copied_after)
        except BaseException:
            self._roll_back()
            raise
        self.lengths = FileLengths(self.output.length, self.failed.length)
        self.position = row.position
        for task_id, outcome in row.outcomes.items():
            if self.previous is not None:
                self.tally.remove_failure(row.asked[task_id])
            self.tally.add(outcome)
        if self.previous is not None:
            self.previous.mark_done(row.failed_offset)
        elif row.task_ids:
            self.tally.rows += 1

    def _copy_previous(self, count: int) -> None:
        if self.previous is not None:
            for lines in self.previous.read_lines(count):
                self.output.append(lines)

    def _roll_back(self) -> None:
        self.output.try_truncate(self.lengths.output)
        self.failed.try_truncate(self.lengths.failed)
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
        )

    def start_checkpoint(self, unwritten: Iterable[JournalEntry]) -> Callable[[], None]:
        """Starts a generation of the journal, and returns the slow part for another thread."""
        self.journal.start_generation(unwritten)
        return partial(self.commit, self._make_checkpoint("running"))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Syncs all files and writes the checkpoint, unless a later one is written or the files are closed."""
        with self._lock:
            if checkpoint.generation > self._committed:
                self.output.sync()
                self.failed.sync()
                self.journal.sync()
                write_checkpoint(self.files, checkpoint)
                self._committed = checkpoint.generation
                self.journal.remove_before(checkpoint.generation)

    def sync(self) -> None:
        """Does nothing after ``close``."""
        with self._lock:
            if not self._is_closed:
                self.journal.sync()

    def seal(self, run: Json) -> Checkpoint:
        """Writes the checkpoint of the phase "finishing" and closes the files."""
        with self._lock:
            self.output.sync()
            self.failed.sync()
            sealed = self._make_checkpoint("finishing", run)
            write_checkpoint(self.files, sealed)
        self.close()
        return sealed

    def close(self) -> None:
        """May be called more than once."""
        with self._lock:
            if self._is_closed:
                return
            self._committed = sys.maxsize
            self.output.close()
            self.failed.close()
            self.journal.close()
            if self.previous is not None:
                self.previous.close()

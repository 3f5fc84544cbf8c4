"""The ledger of a run: stores outcomes, and records which tasks are still open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Outcome
from persqa_client.storage.checkpoint import (
    Checkpoint,
    FinishedRun,
    Mode,
    RunDescription,
    State,
    foreign_file_error,
    hide_identity,
    keep_kind,
    merge_folders,
    read_checkpoint,
    read_run_file,
    write_checkpoint,
)
from persqa_client.storage.journal import JournalEntry, digest_line, next_free_generation, read_journal
from persqa_client.storage.listing import is_listed
from persqa_client.storage.numbered_files import find_free_number, has_results, keep_unfinished, number_files
from persqa_client.storage.previous import NO_CHECKS, Asked, PictureChecks, PreviousResults
from persqa_client.storage.recovery import (
    check_nothing_missing,
    check_results_unchanged,
    check_settings_unchanged,
    complete_finish,
    complete_reopening,
    find_runs,
    has_no_outcome,
    remove_replaced,
    remove_unfinished,
)
from persqa_client.storage.run_files import RunFiles, RunLock
from persqa_client.storage.tally import Tally
from persqa_client.storage.transient_ledgers import TransientLedger
from persqa_client.storage.writer import PendingRow, RenderLine, ReorderBuffer, RunWriter
from persqa_client.types import START_POSITION, Json, Position, TaskId


class Ledger:
    """A run stored in locked files, which are opened, or created, at once.

    Methods that write raise StorageError; the run can then be resumed. Only ``sync`` and the callable returned by
    ``checkpoint`` are thread-safe.
    """

    # Whether rows have to wait because lines are not written yet.
    is_behind = False

    def __init__(
        self,
        files: RunFiles,
        description: RunDescription,
        *,
        render: RenderLine,
        fresh: bool = False,
        clock: Callable[[], float] = time.monotonic,
        pictures: PictureChecks = NO_CHECKS,
    ) -> None:
        """``pictures``: finds pictures that changed after they were sent.

        Raises SettingsError if another run holds the lock, a file is foreign, or a setting changed.
        """
        self.files = files
        # Converted as if read from a file, where tuples become lists.
        self.identity = hide_identity(load_object(dump_compact(description.identity)))
        self._new_stamp = description.stamp
        # Image roots and so on; of a resumed run, those of its earlier starts, too.
        self.folders = description.folders
        self._render = render
        self._clock = clock
        self._pictures = pictures
        self._lock = RunLock(files)
        self.state: State = "new"
        self.mode: Mode = "run"
        # Input positions to read from and, in a retry, to read to.
        self.start = START_POSITION
        self.end: Position | None = None
        # State of the input in an earlier process, for comparison by the caller.
        self.stamp = description.stamp
        # Counts of written outcomes.
        self.tally = Tally()
        self.buffer = ReorderBuffer()
        self._last_registered = START_POSITION
        self._writer: RunWriter | None = None
        # Kept from the end of ``finish``, which may be repeated.
        self._finished: FinishedRun | None = None
        self._is_sealed = False
        # Output of the run that a fresh one has replaced; if that run was unfinished, its partial output.
        self.kept_output: Path | None = None
        # Whether a fresh run was killed before its first outcome. The finished run then stays.
        self.dropped_fresh_start = False
        # Used while there is no writer.
        self._seconds = 0.0
        files.prepare()
        self._lock.acquire()
        try:
            self._recover(fresh)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _recover(self, fresh: bool) -> None:
        found = find_runs(self.files)
        unfinished = found.unfinished
        if fresh and unfinished is not None and not has_no_outcome(self.files, unfinished):
            self.kept_output = keep_unfinished(self.files, unfinished).partial
            found = find_runs(self.files)
            unfinished = found.unfinished
        if not fresh and unfinished is not None and has_no_outcome(self.files, unfinished):
            remove_unfinished(self.files)
            self.dropped_fresh_start = found.finished is not None and unfinished.before is None
            unfinished = None
        earlier = unfinished or found.finished
        if fresh or earlier is None:
            if found.finished is not None:
                find_free_number(self.files)  # reports a name that is too long
            generation = next_free_generation(self.files, unfinished.generation) if unfinished else 1
            checkpoint = Checkpoint(self.identity, self._new_stamp, generation=generation, folders=self.folders)
            # Written first: without it the other files would be foreign.
            write_checkpoint(self.files, checkpoint)
            remove_replaced(self.files, self.identity)
            self._start_writing(checkpoint, "new")
            return
        check_nothing_missing(self.files, replace(found, unfinished=unfinished))
        check_settings_unchanged(earlier.identity, self.identity)
        self.folders = merge_folders(earlier.folders, self.folders)
        self._new_stamp = keep_kind(earlier.stamp, self._new_stamp)
        earlier = replace(earlier, folders=self.folders)
        if isinstance(earlier, Checkpoint):
            self._start_writing(earlier, "resumed")
        else:
            self._set_finished(earlier)

    def _start_writing(self, checkpoint: Checkpoint, state: State) -> None:
        self.buffer = ReorderBuffer(read_journal(self.files, checkpoint.generation))
        self._writer = RunWriter(
            self.files,
            checkpoint,
            journaled=self.buffer.unwritten_entries(),
            stamp=self._new_stamp,
            render=self._render,
            clock=self._clock,
            pictures=self._pictures,
        )
        self.identity = checkpoint.identity
        self.state, self.mode, self.stamp = state, checkpoint.mode, checkpoint.stamp
        self.start = self._last_registered = checkpoint.position
        self.end = checkpoint.before.until if checkpoint.before is not None else None
        self.tally = self._writer.tally
        self._finished, self._is_sealed = None, False

    def _set_finished(self, finished: FinishedRun) -> None:
        self._finished, self._seconds = finished, finished.seconds
        self.identity = finished.identity
        self.state, self.mode, self.stamp = "finished", "run", finished.stamp
        self.start, self.end = finished.position, None
        self.tally = Tally.from_json(finished.tally)

    def _get_writer(self) -> RunWriter:
        if self._writer is None:
            raise RuntimeError("the run is already finished or closed")
        return self._writer

    @property
    def seconds(self) -> float:
        return self._seconds if self._writer is None else self._writer.seconds

    @property
    def retries_failed(self) -> bool:
        previous = self._writer.previous if self._writer is not None else None
        return previous is not None and previous.asks_failed

    @property
    def listing(self) -> Path | None:
        """The file with the names of the rows; None if they have none. A retry reads that of the finished run."""
        if not is_listed(self.identity):
            return None
        is_extended = self._writer is not None and self.mode == "run"
        return self.files.listing_partial if is_extended else self.files.listing

    @property
    def last_journaled_row(self) -> int:
        """Last unregistered row with an outcome in the journal, or 0."""
        return max((task_id.row for task_id in self.buffer.journaled), default=0)

    def register_row(
        self,
        line: bytes,
        task_ids: tuple[TaskId, ...],
        position: Position,
        images: Sequence[str] = (),
        key: bytes | None = None,
        former_key: bytes | None = None,
    ) -> tuple[TaskId, ...]:
        """Registers the next input line, and returns its open tasks.

        ``position`` is the one after the line, ``images`` the references of the row, none if the line is no row. A row
        is recognized by its ``key``, or else by the line as it is written; earlier versions used the ``former_key``.

        Raises SettingsError if an answered line has changed.
        """
        writer = self._get_writer()
        previous = writer.previous
        if not self._is_in_range(position, previous):
            return ()
        asked: Asked = dict.fromkeys(task_ids, "")
        kept_failures: frozenset[TaskId] = frozenset()
        if previous is not None:
            asked, kept_failures = previous.choose(task_ids, images, self.buffer.journaled.__contains__)
        if not asked:
            self._pass_over(position, len(task_ids) - len(kept_failures), writer)
            return ()
        failed_offset = previous.failed_offset if previous is not None else 0
        digest = digest_line(line if key is None else key)
        row = PendingRow(line, task_ids, asked, position, digest, failed_offset, kept_failures=kept_failures)
        former_digest = digest_line(former_key) if former_key is not None and self.buffer.journaled else None
        self.buffer.add(row, former_digest, is_readable=bool(images))
        if row.outcomes:
            # The outcomes are of an earlier process. The other questions should be about the same pictures.
            for task_id, outcome in row.outcomes.items() if row.open_tasks else ():
                self._pictures.expect(task_id.row, images, outcome.pictures)
            for complete in self.buffer.take_complete():
                writer.append(complete)
            return row.open_tasks
        return tuple(asked)

    def skip(self, position: Position) -> None:
        writer = self._get_writer()
        if self._is_in_range(position, writer.previous):
            self._pass_over(position, 0, writer)

    def _is_in_range(self, position: Position, previous: PreviousResults | None) -> bool:
        """The line before ``position`` may belong to a later extension."""
        if position.number <= self._last_registered.number:
            raise RuntimeError(f"line {position.number} was registered after line {self._last_registered.number}")
        self._last_registered = position
        return previous is None or not previous.is_past_end(position)

    def _pass_over(self, position: Position, copied_lines: int, writer: RunWriter) -> None:
        if not self.buffer.rows:
            self.buffer.add(PendingRow(b"", (), {}, position))
        newest = self.buffer.rows[-1]
        newest.position = position
        newest.copied_after += copied_lines
        if writer.previous is not None:
            newest.failed_offset = writer.previous.failed_offset
        for row in self.buffer.take_complete():
            writer.append(row)

    def store_outcome(self, outcome: Outcome) -> None:
        """Stores an outcome in the journal, and writes the rows that are now complete, in input order."""
        writer = self._get_writer()
        row = self.buffer.get_row(outcome.task_id)
        writer.journal.append(JournalEntry(row.digest, outcome))
        self.buffer.add_outcome(row, outcome)
        for row in self.buffer.take_complete():
            writer.append(row)

    def sync(self) -> None:
        """Makes stored outcomes survive a power failure."""
        writer = self._writer
        if writer is not None:
            writer.sync()

    def checkpoint(self) -> Callable[[], None]:
        """Prepares a checkpoint. The returned callable writes it, and should run in another thread."""
        return self._get_writer().start_checkpoint(self.buffer.unwritten_entries())

    def finish(self, run: Json) -> None:
        """Renames the results and writes the run file with the members of ``run``.

        Can be repeated after a StorageError. Raises SettingsError if a foreign file has the output's name, or if the
        input of a retry has changed.
        """
        if not self._lock.is_held:
            raise RuntimeError("the run is closed")
        if self._finished is not None:
            return
        if not self._is_sealed:
            writer = self._get_writer()
            if self.buffer.rows:
                raise RuntimeError(f"{self.buffer.tasks} tasks are not written: the run is not at its end")
            if writer.previous is not None:
                writer.previous.check_complete(writer.position)
            earlier = read_run_file(self.files)
            check_results_unchanged(self.files, earlier)
            number = None
            if earlier is not None and self.mode == "run" and has_results(self.files):
                number = find_free_number(self.files)
                self.kept_output = number_files(self.files, number).output
            self._seconds = writer.seal(run, number).seconds
            self._writer, self._is_sealed = None, True
        # Read again, because an earlier attempt may have done a part and recorded it. The last step removes the file.
        stored = read_checkpoint(self.files)
        finished = read_run_file(self.files) if stored is None else complete_finish(self.files, stored)
        if finished is None:
            raise foreign_file_error(self.files.run)
        self._set_finished(finished)

    def reopen(self) -> None:
        checkpoint = self._get_finished().to_reopened_checkpoint()
        write_checkpoint(self.files, checkpoint)
        complete_reopening(self.files, checkpoint)
        self._start_writing(replace(checkpoint, phase="running"), "resumed")

    def retry(self, *, failed: bool = True, changed: bool = False) -> None:
        """Asks the failed rows of a finished run again, and those with answers about pictures that have changed.

        The input is registered again, up to ``end``.
        """
        checkpoint = self._get_finished().to_retry_checkpoint(failed=failed, changed=changed)
        write_checkpoint(self.files, checkpoint)
        self._start_writing(checkpoint, "resumed")

    def _get_finished(self) -> FinishedRun:
        if self._finished is None or not self._lock.is_held:
            raise RuntimeError("only a finished run can be reopened or retried")
        return self._finished

    def close(self) -> None:
        if self._writer is not None:
            self._seconds = self._writer.seconds
            self._writer.close()
            self._writer = None
            checkpoint = read_checkpoint(self.files)
            if checkpoint is not None and has_no_outcome(self.files, checkpoint):
                remove_unfinished(self.files)
        self._lock.release()


AnyLedger = Ledger | TransientLedger

"""Writes the files of a finished run in one step that a crash either completes or undoes.

``ResultsRewriter`` writes those of a finished run anew, and ``MergeWriter`` those of a run that joins others.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from persqa_client.errors import SettingsError, StorageError
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.checkpoint import (
    Checkpoint,
    FileLengths,
    RetryProgress,
    read_checkpoint,
    write_checkpoint,
)
from persqa_client.storage.details import open_file, render_details
from persqa_client.storage.durable import Appender, get_file_size
from persqa_client.storage.finished import FinishedResults, KeptLines, KeptQuestion
from persqa_client.storage.recovery import complete_finish, find_runs, remove_unfinished
from persqa_client.storage.run_files import RunFiles, RunLock
from persqa_client.storage.tally import Tally

# Bytes collected for one write, or read at once.
CHUNK_SIZE = 1 << 20


class ChunkWriter:
    def __init__(self, appender: Appender) -> None:
        self.appender = appender
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size >= CHUNK_SIZE:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self.appender.append(b"".join(self._lines))
            self._lines.clear()
            self._size = 0

    def finish(self) -> int:
        self.flush()
        self.appender.sync()
        return self.appender.length


class FinishedWriter:
    """Writes the partial files of a run in locked files. Finished files stay until ``finish``.

    ``checkpoint``: of the run with empty partial files. Without ``finish``, closing removes what was written.
    """

    def __init__(self, files: RunFiles, checkpoint: Checkpoint) -> None:
        self.files = files
        self._checkpoint = checkpoint
        self._is_finished = False
        write_checkpoint(files, checkpoint)
        with ExitStack() as stack:
            stack.callback(self._undo)
            writers = []
            for path in (files.partial, files.failed_partial, files.details_partial):
                appender = Appender(path)
                stack.callback(appender.close)
                writers.append(ChunkWriter(appender))
            self._output, self._failed, self._details = writers
            self._close = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close.close()

    def add_line(self, line: bytes, *, failed: bool) -> None:
        """Adds a line to the output or the failure file. Questions must come in input order."""
        (self._failed if failed else self._output).add(line)

    def finish(self) -> None:
        """Finishes the files after all questions were added."""
        lengths = FileLengths(self._output.finish(), self._failed.finish(), self._details.finish())
        sealed = dataclasses.replace(self._checkpoint, phase="finishing", lengths=lengths)
        # From here on, the next command with this output completes an interrupted finish, or undoes it.
        self._is_finished = True
        write_checkpoint(self.files, sealed)
        complete_finish(self.files, sealed)

    def _undo(self) -> None:
        if not self._is_finished:
            # What can't be removed now is removed by the next command with this output.
            with suppress(StorageError):
                remove_unfinished(self.files)


class ResultsRewriter(FinishedWriter):
    """Takes each question of a finished run in input order, unchanged or with another outcome.

    The details of other outcomes are appended to the finished ones, as in a retry.
    """

    def __init__(self, results: FinishedResults) -> None:
        run = results.run
        self.tally = Tally.from_json(run.tally)
        checkpoint = Checkpoint(
            identity=run.identity,
            stamp=run.stamp,
            mode="recheck",
            position=run.position,
            tally=self.tally.to_json(),
            seconds=run.seconds,
            before=RetryProgress(run.lengths, run.lengths, run.position),
            run=results.members,
        )
        super().__init__(results.files, checkpoint)

    def keep(self, kept: KeptQuestion) -> None:
        self.add_line(kept.line, failed=kept.failed)

    def replace(self, before: Outcome, after: Outcome, line: bytes, written: bytes) -> None:
        """``line`` and ``written``: the input line, and the new line of the output or the failure file."""
        self.add_line(written, failed=isinstance(after, Failure))
        self._details.add(render_details(line, after, written, rechecked=True))
        self.tally.replace(before, after)

    def finish(self) -> None:
        self._checkpoint = dataclasses.replace(self._checkpoint, tally=self.tally.to_json())
        super().finish()


class MergeWriter(FinishedWriter):
    """Creates the files of a new run, which it locks.

    Raises SettingsError if the output has a run, or a file that no run has written.
    """

    def __init__(self, files: RunFiles, checkpoint: Checkpoint) -> None:
        files.prepare()
        with ExitStack() as stack:
            lock = RunLock(files)
            lock.acquire()
            stack.callback(lock.release)
            refuse_existing_run(files)
            super().__init__(files, checkpoint)
            stack.callback(self._close.close)
            self._close = stack.pop_all()

    def add(self, question: KeptLines) -> None:
        self.add_line(question.line, failed=question.failed)
        for line in question.details:
            self._details.add(line)

    def copy_listing(self, listing: Path) -> None:
        copy_files([listing], self.files.listing_partial)

    def copy_decisions(self, decisions: list[Path]) -> None:
        copy_files(decisions, self.files.decisions)


def refuse_existing_run(files: RunFiles) -> None:
    found = find_runs(files)
    if found.finished is not None or found.unfinished is not None:
        raise SettingsError(f"{files.output} has a run already: choose another -o, or move its files")
    for path in (files.decisions, files.timeline, files.timeline_partial):
        if get_file_size(path) is not None:
            raise SettingsError(f"{path} exists, and the merged run has no use for it: move it, or choose another -o")


def is_merge_finishing(files: RunFiles) -> bool:
    """Whether a crash has interrupted the last step of a merge, which the next command completes."""
    checkpoint = read_checkpoint(files)
    return checkpoint is not None and checkpoint.mode == "merge" and checkpoint.phase == "finishing"


def copy_files(sources: list[Path], target: Path) -> None:
    """One after the other into one file; nothing without sources. A last line that a crash cut off stays alone."""
    if not sources:
        return
    appender = Appender(target)
    try:
        for source in sources:
            last = b""
            with open_file(source) as file:
                while chunk := file.read(CHUNK_SIZE):
                    appender.append(chunk)
                    last = chunk
            if last and not last.endswith(b"\n"):
                appender.append(b"\n")
        appender.sync()
    finally:
        appender.close()

"""Writes the results of a finished run anew, in one step that a crash either completes or undoes."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from persqa_client.errors import StorageError
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.checkpoint import EMPTY, Checkpoint, FileLengths, RetryProgress, write_checkpoint
from persqa_client.storage.details import render_details
from persqa_client.storage.durable import Appender
from persqa_client.storage.finished import FinishedResults, KeptQuestion
from persqa_client.storage.recovery import complete_finish, remove_unfinished
from persqa_client.storage.tally import Tally

# Bytes collected for one write.
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


class ResultsRewriter:
    """Takes each question of a finished run in input order, unchanged or with another outcome.

    The finished files stay until ``finish``. Without it, closing removes what was written. The details of other
    outcomes are appended to the finished ones, as in a retry.
    """

    def __init__(self, results: FinishedResults) -> None:
        self._results = results
        self._files, self._run = results.files, results.run
        self.tally = Tally.from_json(self._run.tally)
        self._is_finished = False
        write_checkpoint(self._files, self._make_checkpoint(EMPTY))
        with ExitStack() as stack:
            stack.callback(self._undo)
            files = self._files
            paths = (files.partial, files.failed_partial, files.details_partial)
            writers = []
            for path in paths:
                appender = Appender(path)
                stack.callback(appender.close)
                writers.append(ChunkWriter(appender))
            self._output, self._failed, self._details = writers
            self._close = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close.close()

    def keep(self, kept: KeptQuestion) -> None:
        (self._failed if kept.failed else self._output).add(kept.line)

    def replace(self, before: Outcome, after: Outcome, line: bytes, written: bytes) -> None:
        """``line`` and ``written``: the input line, and the new line of the output or the failure file."""
        (self._failed if isinstance(after, Failure) else self._output).add(written)
        self._details.add(render_details(line, after, written, rechecked=True))
        self.tally.replace(before, after)

    def finish(self) -> None:
        lengths = FileLengths(self._output.finish(), self._failed.finish(), self._details.finish())
        sealed = self._make_checkpoint(lengths, is_complete=True)
        # From here on, the next run or recheck completes an interrupted finish, or undoes it.
        self._is_finished = True
        write_checkpoint(self._files, sealed)
        complete_finish(self._files, sealed)

    def _make_checkpoint(self, lengths: FileLengths, *, is_complete: bool = False) -> Checkpoint:
        run = self._run
        return Checkpoint(
            identity=run.identity,
            stamp=run.stamp,
            phase="finishing" if is_complete else "running",
            mode="recheck",
            position=run.position,
            lengths=lengths,
            tally=self.tally.to_json(),
            seconds=run.seconds,
            before=RetryProgress(run.lengths, run.lengths, run.position),
            run=self._results.members,
        )

    def _undo(self) -> None:
        if not self._is_finished:
            # What can't be removed now is removed by the next run or recheck.
            with suppress(StorageError):
                remove_unfinished(self._files)

"""Ledgers of runs that can't be resumed: in memory, and with the answers on standard output."""

from __future__ import annotations

import errno
import os
import queue
import select
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from persqa_client.errors import OutputClosed, PersQAError, SettingsError, StorageError
from persqa_client.jsonl import load_object
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.checkpoint import Mode, State
from persqa_client.storage.tally import Tally
from persqa_client.storage.writer import PendingRow, RenderLine, ReorderBuffer
from persqa_client.types import START_POSITION, Json, Position, TaskId

# Seconds that the lines of a stopped run get to be written, if the reader does not take them.
CLOSE_TIMEOUT = 5.0

# Bytes that wait for the reader, above which the run waits, too.
MAX_UNWRITTEN_BYTES = 1 << 20


class TransientLedger:
    """Has the interface of ``Ledger``. Each start is a new run."""

    state: State = "new"
    mode: Mode = "run"
    start = START_POSITION
    end = None
    last_journaled_row = 0
    retries_failed = False
    kept_output = None
    folders: Json | None = None
    # Whether rows are counted once they are registered, because open ones are part of the result.
    counts_open_rows = False

    def __init__(self, render: RenderLine) -> None:
        self._render = render
        self._opened_at = time.monotonic()
        self.tally = Tally()
        self.buffer = ReorderBuffer()

    @property
    def is_behind(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._opened_at

    def register_row(
        self,
        line: bytes,
        task_ids: tuple[TaskId, ...],
        position: Position,
        images: Sequence[str] = (),
        key: bytes | None = None,
        former_key: bytes | None = None,
    ) -> tuple[TaskId, ...]:
        self.buffer.add(PendingRow(line, task_ids, dict.fromkeys(task_ids, ""), position))
        self.tally.rows += self.counts_open_rows
        return task_ids

    def skip(self, position: Position) -> None:
        """Does nothing."""

    def store_outcome(self, outcome: Outcome) -> None:
        self.buffer.add_outcome(self.buffer.get_row(outcome.task_id), outcome)
        for row in self.buffer.take_complete():
            self._write(row)

    def _write(self, row: PendingRow) -> None:
        raise NotImplementedError

    def sync(self) -> None:
        """Does nothing."""

    def checkpoint(self) -> Callable[[], None]:
        return self.sync

    def finish(self, run: Json) -> None:
        """Does nothing."""


class MemoryLedger(TransientLedger):
    counts_open_rows = True

    def __init__(self, render: RenderLine) -> None:
        super().__init__(render)
        self._written: list[PendingRow] = []

    def store_outcome(self, outcome: Outcome) -> None:
        super().store_outcome(outcome)
        self.tally.add(outcome)

    def _write(self, row: PendingRow) -> None:
        self._written.append(row)

    def get_rows(self, *, failed: bool) -> list[dict[str, Any]]:
        return [
            load_object(self._render(row.line, row.outcomes[task_id]))
            for row in (*self._written, *self.buffer.rows)
            for task_id in row.task_ids
            if task_id in row.outcomes and isinstance(row.outcomes[task_id], Failure) is failed
        ]


class RowLines(NamedTuple):
    output: bytes
    failed: bytes


def check_failed_file(path: Path) -> None:
    """Raises SettingsError if the file has lines, which a run does not overwrite."""
    try:
        status = path.stat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) or str(path) == "-":
        raise SettingsError(f"--failed: {path} is not a file; name a file for the failed rows.")
    if stat.S_ISREG(status.st_mode) and status.st_size:
        raise SettingsError(f"--failed: {path} exists; move it, or choose another name.")


def open_failed_file(path: Path) -> int:
    check_failed_file(path)
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SettingsError(f"--failed: {path} can't be written ({error.strerror}): choose another file.") from error


class StreamLedger(TransientLedger):
    """Writes rows in a thread, in input order.

    After the reader has closed the output, methods that write raise OutputClosed; after other errors, StorageError.
    """

    def __init__(self, render: RenderLine, output: int, failed: Path) -> None:
        super().__init__(render)
        self._output = output
        self._failed_path = failed
        self._failed = open_failed_file(failed)
        self._failed_bytes = 0
        self._lines = queue.SimpleQueue[RowLines | None]()
        # Bytes that the thread was given, and that it has written.
        self._given_bytes = 0
        self._written_bytes = 0
        self._error: PersQAError | None = None
        self._thread = threading.Thread(target=self._write_all, name="output", daemon=True)
        self._thread.start()

    @property
    def is_behind(self) -> bool:
        return self._error is None and self._given_bytes - self._written_bytes > MAX_UNWRITTEN_BYTES

    def store_outcome(self, outcome: Outcome) -> None:
        self._raise_error()
        super().store_outcome(outcome)

    def _write(self, row: PendingRow) -> None:
        output: list[bytes] = []
        failed: list[bytes] = []
        for task_id in row.task_ids:
            outcome = row.outcomes[task_id]
            (failed if isinstance(outcome, Failure) else output).append(self._render(row.line, outcome))
            self.tally.add(outcome)
        self.tally.rows += 1
        lines = RowLines(b"".join(output), b"".join(failed))
        self._given_bytes += len(lines.output) + len(lines.failed)
        self._lines.put(lines)

    def _write_all(self) -> None:
        while (lines := self._lines.get()) is not None:
            if self._error is None:
                self._write_lines(lines)
            self._written_bytes += len(lines.output) + len(lines.failed)

    def _write_lines(self, lines: RowLines) -> None:
        name = "standard output"
        try:
            write_all(self._output, lines.output)
            name = str(self._failed_path)
            write_all(self._failed, lines.failed)
            self._failed_bytes += len(lines.failed)
        except OSError as error:
            if error.errno == errno.EPIPE and name == "standard output":
                self._error = OutputClosed()
            else:
                self._error = StorageError(f"{name} can't be written ({error.strerror})")

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error.fresh()

    def sync(self) -> None:
        self._raise_error()

    def finish(self, run: Json) -> None:
        self._end(None)
        self._raise_error()

    def _end(self, timeout: float | None) -> None:
        self._lines.put(None)
        self._thread.join(timeout)

    def close(self) -> None:
        self._end(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            return  # it may still use the file
        os.close(self._failed)
        if not self._failed_bytes and self._failed_path.is_file():
            self._failed_path.unlink()


def write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:
            # The pipe was made non-blocking by another process that has it.
            select.select([], [file], [])

"""A run whose answers go to standard output and its failures to a file. It can't be resumed."""

from __future__ import annotations

import errno
import os
import queue
import select
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import OutputClosed, PersQAError, SettingsError, StorageError
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.ledger import MemoryLedger
from persqa_client.storage.writer import PendingRow, RenderLine
from persqa_client.types import Json, Position, TaskId

# Seconds that the lines of a stopped run get to be written, if the reader does not take them.
CLOSE_TIMEOUT = 5.0

# Bytes that wait for the reader, above which the run waits, too.
MAX_UNWRITTEN_BYTES = 1 << 20


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


class StreamLedger(MemoryLedger):
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
        return task_ids

    def settle(self, outcome: Outcome) -> None:
        self._raise_error()
        self.buffer.settle(outcome)
        while (row := self.buffer.first_complete()) is not None:
            self._hand_over(row)
            self.buffer.remove_first()

    def _hand_over(self, row: PendingRow) -> None:
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
                self._write(lines)
            self._written_bytes += len(lines.output) + len(lines.failed)

    def _write(self, lines: RowLines) -> None:
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

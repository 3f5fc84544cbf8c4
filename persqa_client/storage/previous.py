"""Reads the files of a finished run in input order, while a retry asks some of its tasks again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, Record, SentPicture
from persqa_client.storage.checkpoint import FileLengths, RetryProgress, foreign_file_error
from persqa_client.storage.details import LatestOutcomes
from persqa_client.storage.durable import get_file_size
from persqa_client.storage.records import parse_failure_line
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Position, TaskId

# Bytes of an old file copied per write.
CHUNK_SIZE = 1 << 20


def never_changed(images: Sequence[str], pictures: Sequence[SentPicture]) -> bool:
    return False


def ignore_pictures(row: int, images: Sequence[str], pictures: Sequence[SentPicture]) -> None:
    """Default for callers that don't compare pictures."""


@dataclass(frozen=True, slots=True)
class PictureChecks:
    """``images`` are the references of a row, ``pictures`` what was kept of them with an answer."""

    # Whether the pictures have changed since the answer.
    has_changed: Callable[[Sequence[str], Sequence[SentPicture]], bool] = never_changed
    # Called with the pictures of a row's answer when its other questions are asked.
    expect: Callable[[int, Sequence[str], Sequence[SentPicture]], None] = ignore_pictures


NO_CHECKS = PictureChecks()

# What is asked: code of the earlier failure, or the earlier answer; an empty text for a new task.
Asked = dict[TaskId, str | Record]


class FailureReader:
    """Reads a failure file from an offset. ``next``: task and error code of the line that ``take`` returns."""

    def __init__(self, files: RunFiles, offset: int) -> None:
        self._path = files.failed
        self._file: BinaryIO = files.failed.open("rb")
        self.seek(offset)

    def seek(self, offset: int) -> None:
        self.offset = self._file.seek(offset)
        self._read_next()

    def _read_next(self) -> None:
        self._line = self._file.readline()
        try:
            self.next = parse_failure_line(self._line) if self._line else None
        except ValueError as error:
            raise foreign_file_error(self._path) from error

    def take(self) -> bytes:
        line = self._line
        self.offset += len(line)
        self._read_next()
        return line

    def close(self) -> None:
        self._file.close()


class PreviousResults:
    """Chooses the tasks that are asked again, and copies the lines of all others."""

    def __init__(self, files: RunFiles, progress: RetryProgress, pictures: PictureChecks = NO_CHECKS) -> None:
        self.files = files
        self.end = progress.until
        self.lengths = progress.lengths
        self.done = progress.done
        self.replaced = progress.replaced
        self.asks_failed = progress.asks_failed
        self.asks_changed = progress.asks_changed
        self._pictures = pictures
        for path, length in (
            (files.output, self.lengths.output),
            (files.failed, self.lengths.failed or None),
            (files.details, self.lengths.details or None),
        ):
            size = get_file_size(path)
            if size != length and not (path == files.details and size is None):
                raise SettingsError(
                    f"{path} has changed since the run finished, so its failed rows can't be asked again: "
                    "restore the file, or choose another -o"
                )
        self.output = files.output.open("rb")
        self.output.seek(self.done.output)
        # One reader for the rows that are registered, one for the lines that are copied.
        has_failures = self.lengths.failed > 0
        self.failed = FailureReader(files, self.done.failed) if has_failures else None
        self._copied = FailureReader(files, self.done.failed) if has_failures and not self.asks_failed else None
        self._outcomes: LatestOutcomes | None = None

    @property
    def failed_offset(self) -> int:
        """Bytes of the failure file whose rows are registered."""
        return self.failed.offset if self.failed is not None else self.done.failed

    def choose(
        self, task_ids: tuple[TaskId, ...], images: Sequence[str], journaled: Callable[[TaskId], bool]
    ) -> tuple[Asked, frozenset[TaskId]]:
        """The tasks of a row to ask again, and the failed ones that stay as they are.

        ``journaled``: whether an earlier process has asked the task again; its outcome is used even if the old picture
        has been restored since then.
        """
        failed = self._take_failed(task_ids)
        asked: Asked = dict(failed) if self.asks_failed else {}
        answered = [task_id for task_id in task_ids if task_id not in failed]
        if self.asks_changed and answered:
            for task_id, outcome in self._take_outcomes(task_ids).items():
                if task_id in failed or not isinstance(outcome, Record):
                    continue
                if journaled(task_id) or self._pictures.has_changed(images, outcome.pictures):
                    asked[task_id] = outcome
            asked = dict(sorted(asked.items(), key=lambda item: item[0]))
        elif asked and answered and images:
            for task_id, outcome in self._take_outcomes(task_ids).items():
                if task_id in answered:
                    self._pictures.expect(task_id.row, images, outcome.pictures)
        return asked, frozenset(failed.keys() - asked.keys())

    def _take_failed(self, task_ids: tuple[TaskId, ...]) -> dict[TaskId, str]:
        taken: dict[TaskId, str] = {}
        for task_id in task_ids:
            if self.failed is None or self.failed.next is None or self.failed.next[0] > task_id:
                continue
            failed_id, code = self.failed.next
            if failed_id != task_id:
                raise changed_input_error(f"the failed row {failed_id.row} is missing")
            taken[task_id] = code
            self.failed.take()
        return taken

    def _take_outcomes(self, task_ids: tuple[TaskId, ...]) -> dict[TaskId, Outcome]:
        """Empty if the run has no details. The file is opened when needed, because most retries do not need it."""
        if not self.lengths.details or not self.files.details.exists():
            return {}
        if self._outcomes is None:
            self._outcomes = LatestOutcomes(self.files.details)
        return self._outcomes.take(task_ids)

    def read_lines(self, count: int) -> Iterator[bytes]:
        lines: list[bytes] = []
        size = 0
        for _ in range(count):
            line = self.read_line()
            lines.append(line)
            size += len(line)
            if size >= CHUNK_SIZE:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def read_line(self) -> bytes:
        line = self.output.readline()
        if not line:
            raise changed_input_error("it has more rows than the finished output and failure file")
        return line

    def read_failures(self, end: int, asked: Asked, before: TaskId | None = None) -> Iterator[bytes]:
        """The failures that stay, up to the offset ``end`` and the task ``before``."""
        copied = self._copied
        while copied is not None and copied.offset < end and copied.next is not None:
            task_id = copied.next[0]
            if before is not None and task_id >= before:
                return
            line = copied.take()
            if task_id not in asked:
                yield line

    def mark_done(self, failed_offset: int, replaced: int = 0) -> None:
        """The lines read so far are written, and the failures up to the offset are replaced or copied."""
        self.done = FileLengths(self.output.tell(), failed_offset, self.lengths.details)
        self.replaced += replaced

    def roll_back(self) -> None:
        self.output.seek(self.done.output)
        if self._copied is not None:
            self._copied.seek(self.done.failed)

    def is_past_end(self, position: Position) -> bool:
        """Raises SettingsError if the input has changed."""
        if position.number == self.end.number and not self._is_end(position):
            raise changed_input_error(f"its first {position.number} lines differ")
        return position.number > self.end.number

    def _is_end(self, position: Position) -> bool:
        # Offsets may differ: a line break may have been added to the last line.
        return (position.number, position.digest) == (self.end.number, self.end.digest)

    def check_complete(self, position: Position) -> None:
        if not self._is_end(position):
            raise changed_input_error(
                f"it ends at line {position.number}, and the finished run ended at line {self.end.number}"
            )
        if self.done != self.lengths:
            raise changed_input_error("it has fewer rows than the finished output and failure file")

    @property
    def progress(self) -> RetryProgress:
        return RetryProgress(self.lengths, self.done, self.end, self.asks_failed, self.asks_changed, self.replaced)

    def close(self) -> None:
        self.output.close()
        for reader in (self.failed, self._copied):
            if reader is not None:
                reader.close()


def changed_input_error(difference: str) -> SettingsError:
    return SettingsError(
        f"the input changed since the finished run ({difference}): restore the input, or choose another -o"
    )

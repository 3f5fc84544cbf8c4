"""The results of a finished run while its failures are asked again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import FileLengths, RetryProgress, foreign_file_error
from persqa_client.storage.durable import get_file_size
from persqa_client.storage.records import parse_failure_line
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Position, TaskId

# Bytes of the old output that are copied with one write.
CHUNK_SIZE = 1 << 20


class PreviousResults:
    """Reads the old output and failure file once, in input order.

    Failed tasks are asked again. All other lines are copied to the new output.
    """

    def __init__(self, files: RunFiles, progress: RetryProgress) -> None:
        self.files = files
        self.end = progress.until
        self.lengths = progress.lengths
        self.done = progress.done
        for path, length in ((files.output, self.lengths.output), (files.failed, self.lengths.failed or None)):
            if get_file_size(path) != length:
                raise SettingsError(
                    f"{path} is not as the finished run left it, so its failures can't be asked again: "
                    "restore the file, or choose another -o"
                )
        self.output = files.output.open("rb")
        self.failed = files.failed.open("rb") if self.lengths.failed else None
        self.output.seek(self.done.output)
        # Bytes of the failure file that belong to rows already announced.
        self.failed_offset = self.done.failed
        self.next_failure: tuple[TaskId, str] | None = None
        self.next_size = 0
        if self.failed is not None:
            self.failed.seek(self.failed_offset)
            self._read_next_failure(self.failed)

    def _read_next_failure(self, failed: BinaryIO) -> None:
        line = failed.readline()
        self.next_size = len(line)
        try:
            self.next_failure = parse_failure_line(line) if line else None
        except ValueError as error:
            raise foreign_file_error(self.files.failed) from error

    def take_failed(self, task_ids: tuple[TaskId, ...]) -> dict[TaskId, str]:
        """Which of the next row's tasks failed, with their codes."""
        taken: dict[TaskId, str] = {}
        for task_id in task_ids:
            if self.next_failure is None or self.failed is None or self.next_failure[0] > task_id:
                continue
            failed_id, code = self.next_failure
            if failed_id != task_id:
                raise changed_input_error(f"row {failed_id.row}, which failed, is missing")
            taken[task_id] = code
            self.failed_offset += self.next_size
            self._read_next_failure(self.failed)
        return taken

    def read_lines(self, count: int) -> Iterator[bytes]:
        """The next lines of the old output, in chunks of about ``CHUNK_SIZE`` bytes."""
        lines: list[bytes] = []
        size = 0
        for _ in range(count):
            line = self.output.readline()
            if not line:
                raise changed_input_error("it has more rows than the finished output and failure file")
            lines.append(line)
            size += len(line)
            if size >= CHUNK_SIZE:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def mark_done(self, failed_offset: int) -> None:
        """Notes that the lines read so far are written, and the failures up to an offset replaced."""
        self.done = FileLengths(self.output.tell(), failed_offset)

    def roll_back(self) -> None:
        self.output.seek(self.done.output)

    def is_past_end(self, position: Position) -> bool:
        """Whether the finished run ended before ``position``. Raises SettingsError if its input has changed."""
        if position.number == self.end.number and not self._is_end(position):
            raise changed_input_error(f"its first {position.number} lines differ")
        return position.number > self.end.number

    def _is_end(self, position: Position) -> bool:
        # The offset may differ: the last line may have been given a line break since.
        return (position.number, position.digest) == (self.end.number, self.end.digest)

    def check_complete(self, position: Position) -> None:
        """Raises SettingsError if the input ended before the finished run did."""
        if not self._is_end(position):
            raise changed_input_error(
                f"it ends at line {position.number}, and the finished run ended at line {self.end.number}"
            )
        if self.done != self.lengths:
            raise changed_input_error("it has fewer rows than the finished output and failure file")

    @property
    def progress(self) -> RetryProgress:
        return RetryProgress(self.lengths, self.done, self.end)

    def close(self) -> None:
        self.output.close()
        if self.failed is not None:
            self.failed.close()


def changed_input_error(difference: str) -> SettingsError:
    return SettingsError(
        f"the input changed since the finished run ({difference}): restore the input, or choose another -o"
    )

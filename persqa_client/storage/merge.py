"""A retry's view of the finished run: what failed, what is carried over. Reads the old output and failures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import Before, Lengths, foreign
from persqa_client.storage.durable import file_size
from persqa_client.storage.records import failed_unit
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Position, Unit

CHUNK = 1 << 20
"""Bytes of old output carried over by one write, so that a long stretch between failures costs few of them."""


class OldRun:
    """Two readers that go over the old files once, in the order of the input."""

    def __init__(self, files: RunFiles, before: Before) -> None:
        self.files = files
        self.until = before.until
        self.lengths = before.lengths
        self.done = before.done
        refuse_misfit(files, before.lengths)
        self.output = files.output.open("rb")
        self.failed = files.failed.open("rb") if before.lengths.failed else None
        self.output.seek(before.done.output)
        self.failed_read = before.done.failed
        """Bytes of the failure file that belong to rows already read."""
        self.next: tuple[Unit, str] | None = None
        self.next_size = 0
        if self.failed is not None:
            self.failed.seek(self.failed_read)
            self.look_ahead(self.failed)

    def look_ahead(self, failed: BinaryIO) -> None:
        line = failed.readline()
        self.next_size = len(line)
        try:
            self.next = failed_unit(line) if line else None
        except ValueError as error:
            raise foreign(self.files.failed) from error

    def claim(self, units: tuple[Unit, ...]) -> dict[Unit, str]:
        """Those of a row's units that failed, with their codes; called for each row once, in order."""
        claimed: dict[Unit, str] = {}
        for unit in units:
            if self.next is None or self.failed is None or self.next[0] > unit:
                continue
            if self.next[0] != unit:
                raise changed(f"row {self.next[0].row} of it, which failed, is not there any more")
            claimed[unit] = self.next[1]
            self.failed_read += self.next_size
            self.look_ahead(self.failed)
        return claimed

    def carry(self, count: int) -> Iterator[bytes]:
        """The next ``count`` lines of the old output, some at a time."""
        lines: list[bytes] = []
        size = 0
        for _ in range(count):
            line = self.output.readline()
            if not line:
                raise changed("it has more rows than the finished output and its failure file tell of")
            lines.append(line)
            size += len(line)
            if size >= CHUNK:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def mark(self, failed_read: int) -> None:
        """Says that what was carried so far is written, and that rows up to there in the failure file are done."""
        self.done = Lengths(self.output.tell(), failed_read)

    def roll_back(self) -> None:
        self.output.seek(self.done.output)

    def beyond(self, position: Position) -> bool:
        """Whether the finished run never read the line before ``position``; checks that the input is the same."""
        if position.number == self.until.number and not self.is_end(position):
            raise changed(f"its first {position.number} lines are not those of the finished run")
        return position.number > self.until.number

    def is_end(self, position: Position) -> bool:
        """Whether the finished run ended there. The offset may differ: its last line may have been given an end."""
        return (position.number, position.digest) == (self.until.number, self.until.digest)

    def refuse_rest(self, position: Position) -> None:
        """Raises SettingsError where the pass ends and not all of the finished run was gone over."""
        if not self.is_end(position):
            raise changed(
                f"it ends at line {position.number}, and the finished run went on to line {self.until.number}"
            )
        if self.done != self.lengths:
            raise changed("it has fewer rows than the finished output and its failure file tell of")

    def note(self) -> Before:
        return Before(self.lengths, self.done, self.until)

    def close(self) -> None:
        self.output.close()
        if self.failed is not None:
            self.failed.close()


def refuse_misfit(files: RunFiles, lengths: Lengths) -> None:
    for path, length in ((files.output, lengths.output), (files.failed, lengths.failed or None)):
        if file_size(path) != length:
            raise SettingsError(
                f"{path} is not as the finished run left it, so its failures can't be asked again in their places: "
                "put it back, or choose another -o"
            )


def changed(how: str) -> SettingsError:
    return SettingsError(f"the input changed since the finished run ({how}): put it back, or choose another -o")

"""The open files of a run in one state, which stay readable when they are renamed or replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, Record
from persqa_client.report.row_index import RowPlace
from persqa_client.report.row_reader import DEFAULT_IDENTITY, ReportRow, RowReader, load_own_line, read_outcome
from persqa_client.report.rows import RunState, choose_files, read_identity
from persqa_client.run.image_roots import find_image_roots
from persqa_client.storage.checkpoint import find_recorded_roots
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json

BLOCK_SIZE = 1 << 20


class PinnedFile:
    """An open file, which can be read after it was renamed or replaced. Closed with its last user."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError, also if there is no such file."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._descriptor = -1
            raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error
        state = os.fstat(self._descriptor)
        self.path = path
        self.inode = (state.st_dev, state.st_ino)
        self.version = (*self.inode, state.st_size, state.st_mtime_ns)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, start)

    def iter_lines(self, start: int, *, is_growing: bool) -> Iterator[tuple[int, bytes]]:
        """Whole lines with their places, to the present end. Of a file that grows, the last one may be incomplete."""
        rest, at, end = b"", start, self.size
        while block := self.read(at + len(rest), min(BLOCK_SIZE, end - at - len(rest))):
            lines = split_at_line_feeds(rest + block)
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            for line in lines:
                yield at, line
                at += len(line)
        if rest and not is_growing:
            yield at, rest


def split_at_line_feeds(data: bytes) -> list[bytes]:
    """Splits at line feeds only."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The open files of a run in one state, for a reader."""

    state: RunState
    identity: Json
    roots: tuple[Path, ...]
    reader: RowReader
    output: PinnedFile
    failed: PinnedFile | None
    details: PinnedFile | None

    @property
    def is_growing(self) -> bool:
        return self.state == "unfinished"

    @property
    def files(self) -> tuple[PinnedFile | None, PinnedFile | None, PinnedFile | None]:
        return self.output, self.failed, self.details

    @property
    def inodes(self) -> tuple[object, ...]:
        return tuple(each and each.inode for each in self.files)

    @property
    def versions(self) -> tuple[object, ...]:
        return tuple(each and each.version for each in self.files)

    def read_row(self, place: RowPlace, details: list[tuple[int, int]]) -> ReportRow:
        """``details``: places of the question's lines in the details file."""
        file = self.failed if place.is_failed else self.output
        assert file is not None
        line = file.read(place.start, place.length)
        outcome = self.read_details(details)
        if place.is_failed:
            return self.reader.read_failure_line(place.line, line, outcome)
        return self.reader.read_output_line(place.line, line, outcome if isinstance(outcome, Record) else None).row

    def read_details(self, places: list[tuple[int, int]]) -> Outcome | None:
        file = self.details
        if not places or file is None:
            return None
        return read_outcome(tuple(load_own_line(file.path, file.read(*place)) for place in places))


def open_run(output: Path) -> OpenRun:
    """Raises SettingsError if there is no such output, or if a file of the run can't be read."""
    files = RunFiles.for_output(output)
    paths, state = choose_files(files)
    identity = DEFAULT_IDENTITY | (read_identity(files) or {})
    if state == "finished" and not files.run.exists():
        state = "unknown"
    roots = find_image_roots(None, output.parent, find_recorded_roots(output))
    others = [PinnedFile(path) if path.exists() else None for path in (paths.failed, paths.details)]
    reader = RowReader(identity, paths.output, paths.failed)
    return OpenRun(state, identity, roots, reader, PinnedFile(paths.output), *others)

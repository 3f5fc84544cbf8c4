"""The file with the timeline of a run, on disk. Nothing of a run depends on it: it is neither synced nor checked.

Each process appends a mark and then its samples, so a line that a kill has torn stands before a mark or at the end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from persqa_client.errors import StorageError
from persqa_client.jsonl import dump_compact
from persqa_client.storage.checkpoint import TOOL
from persqa_client.storage.durable import Appender, move_if_present, remove_if_present, write_error
from persqa_client.types import Json

FORMAT = 1
# Member of a mark; its value is the format.
TIMELINE = "timeline"
# How a file of this kind begins.
BEGINNING = dump_compact({"tool": TOOL, TIMELINE: FORMAT})[:-2]
# A day has 2 MB, so this is about a month.
MAX_BYTES = 64 << 20


def is_timeline(path: Path) -> bool:
    """Whether the file is one of these, or is empty. False if there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            start = file.read(len(BEGINNING))
    except OSError:
        return False
    return start in (b"", BEGINNING)


def move_timeline(source: Path, target: Path) -> None:
    """Does nothing if a user's own file has one of the names."""
    if is_timeline(source) and (is_timeline(target) or not os.path.lexists(target)):
        move_if_present(source, target)


def remove_timeline(path: Path) -> None:
    if is_timeline(path):
        remove_if_present(path)


class TimelineFile:
    """Appends lines. Raises StorageError if the name is that of a user's own file, and if a line can't be written."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        if os.path.lexists(path) and not is_timeline(path):
            raise StorageError(f"{path} exists and is not a timeline: move it, or choose another -o")
        try:
            length, is_torn = find_end(path)
        except OSError as error:
            raise write_error(path, error) from error
        self._appender, self._max_bytes = Appender(path, length), max_bytes
        if is_torn:
            self.append(b"\n")

    @property
    def is_full(self) -> bool:
        return self._appender.length >= self._max_bytes

    def append_mark(self, fields: Json) -> None:
        self.append(dump_compact({"tool": TOOL, TIMELINE: FORMAT, **fields}) + b"\n")

    def append(self, line: bytes) -> None:
        if not self.is_full:
            self._appender.append(line)

    def close(self) -> None:
        self._appender.close()


def find_end(path: Path) -> tuple[int, bool]:
    """Length of the file, and whether its last line is incomplete."""
    if not path.exists():
        return 0, False
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 1))
        return length, file.read() not in (b"", b"\n")

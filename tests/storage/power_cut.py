"""What a power failure may leave of a folder, after each change that a program makes in it.

A file has, of what was written since its last fsync, all, nothing, a half, or zeros in the place of all. Changes of
names (new, renamed and removed files and folders) are on the disk in their order: at least those before the last fsync
of a folder, and any number of the later ones. This is what journals of file systems promise, and no more.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

Left = Literal["all", "nothing", "half", "zeros"]
LEFT: tuple[Left, ...] = ("nothing", "half", "zeros", "all")
# Names of the calls after which a folder may have changed.
CHANGES = frozenset(
    (
        *("write", "writelines", "flush", "close", "open", "ftruncate", "truncate", "mkdir", "rmdir"),
        *("replace", "rename", "unlink", "remove", "link", "symlink", "fsync", "utime", "sendfile"),
    )
)
FOLDER = -1  # in place of the number of a file
Names = dict[str, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """``written`` and ``synced``: contents by numbers of files. ``stored`` to ``names``: those that may be left."""

    names: int
    stored: int
    written: dict[int, bytes]
    synced: dict[int, bytes]


@dataclass
class DiskHistory:
    """Every state of the names of a folder's files, and the contents at every moment."""

    folder: Path
    names: list[Names] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)  # of the files that exist, by inode
    _next: int = 0
    _stored: int = 0
    _synced: dict[int, bytes] = field(default_factory=dict)

    def begin(self) -> None:
        """Whatever is in the folder is on the disk."""
        names, written = self._look()
        self.names.append(names)
        self._synced.update(written)

    def record(self) -> None:
        names, written = self._look()
        if names != self.names[-1]:
            self.names.append(names)
        moment = Moment(len(self.names) - 1, self._stored, written, dict(self._synced))
        if not self.moments or moment != self.moments[-1]:
            self.moments.append(moment)

    def record_sync(self, descriptor: int) -> None:
        self.record()
        state = os.fstat(descriptor)
        number = self._numbers.get(state.st_ino)
        if number == FOLDER or state.st_ino == self.folder.stat().st_ino:
            self._stored = len(self.names) - 1
        elif number is not None:
            self._synced[number] = self.moments[-1].written[number]

    def _look(self) -> tuple[Names, dict[int, bytes]]:
        names: Names = {}
        written: dict[int, bytes] = {}
        inodes: dict[int, int] = {}
        for path in sorted(self.folder.rglob("*")):
            name, state = path.relative_to(self.folder).as_posix(), path.lstat()
            if path.is_dir():
                names[name] = inodes[state.st_ino] = FOLDER
                continue
            number = self._numbers.get(state.st_ino)
            if number is None:
                number, self._next = self._next, self._next + 1
            names[name] = inodes[state.st_ino] = number
            written[number] = path.read_bytes()
        self._numbers = inodes
        return names, written

    def iterate_states(self, seed: int | None = None, every: int = 1) -> Iterator[dict[str, bytes | None]]:
        """Distinct states; None is a folder.

        With a ``seed``, each file of a state has something else left of it. ``every``: one of so many moments.
        """
        rng, seen = random.Random(seed), set[int]()
        for moment in self.moments[::every]:
            for index in range(moment.stored, moment.names + 1):
                for left in LEFT:
                    state = {
                        name: None
                        if number == FOLDER
                        else self._leave(moment, number, left if seed is None else rng.choice(LEFT))
                        for name, number in self.names[index].items()
                    }
                    key = hash(tuple(state.items()))
                    if key not in seen:
                        seen.add(key)
                        yield state

    def _leave(self, moment: Moment, number: int, left: Left) -> bytes:
        synced = moment.synced.get(number, b"")
        # A file that was removed since was as long as when it was seen last.
        written = moment.written.get(number, self._last_written(moment, number))
        if left == "nothing" or written == synced:
            return synced
        if left == "all" or not written.startswith(synced):
            return written
        added = written[len(synced) :]
        return synced + (added[: len(added) // 2] if left == "half" else bytes(len(added)))

    def _last_written(self, moment: Moment, number: int) -> bytes:
        for earlier in reversed(self.moments[: self.moments.index(moment)]):
            if number in earlier.written:
                return earlier.written[number]
        return moment.synced.get(number, b"")


def watch_disk(folder: Path, run: Callable[[Path], object]) -> DiskHistory:
    history = DiskHistory(folder)
    history.begin()

    def watch(frame: FrameType, event: str, call: Any) -> None:
        if event == "c_return" and getattr(call, "__name__", "") in CHANGES:
            history.record()

    with hear_syncs(history):
        sys.setprofile(watch)
        try:
            run(folder)
        finally:
            sys.setprofile(None)
    history.record()
    return history


@contextmanager
def hear_syncs(history: DiskHistory) -> Iterator[None]:
    """The calls still sync."""
    fsync = os.fsync

    def hear(fd: Any) -> None:
        fsync(fd)
        history.record_sync(fd if isinstance(fd, int) else fd.fileno())

    os.fsync = hear
    try:
        yield
    finally:
        os.fsync = fsync


def lay_out(folder: Path, state: dict[str, bytes | None]) -> Path:
    folder.mkdir(parents=True)
    for name, data in state.items():
        path = folder / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder

"""The names of a run's rows, in the order in which they were first found.

Only a source that lists files needs it. Names are appended and never moved, so that a row keeps its number when files
appear or disappear. The first line says what the file is; the others are one JSON string each. A line with a ``root``
says where the names are looked up from then on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact, load_object, load_value
from persqa_client.storage.checkpoint import TOOL, foreign_file_error
from persqa_client.storage.durable import Appender, replace_file
from persqa_client.types import Json

Value = TypeVar("Value")

FORMAT = 1
# Member of a run's identity; its value is the format. Runs of earlier versions lack it, and have no listing.
LISTING = "listing"
# Names per write.
BATCH_SIZE = 4096


def is_listed(identity: Json) -> bool:
    return identity.get(LISTING) is not None


def is_listing(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            _read_header(path, file)
    except (OSError, SettingsError):
        return False
    return True


class StoredListing:
    """``locate`` returns the path, which changes when the run is finished or reopened.

    What a killed process left of a last line is ignored, and removed before the next one is appended.
    """

    def __init__(self, locate: Callable[[], Path]) -> None:
        self._locate = locate
        # None if there is no file.
        self.root: str | None = None
        # Which files below the root were listed; empty for all images. None if an earlier version wrote the file.
        self.pattern: str | None = None
        self.count = 0
        # Bytes of whole lines.
        self._length = 0
        try:
            with locate().open("rb") as file:
                self._read_state(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SettingsError(f"{locate()} can't be read: {error.strerror or error}") from error

    def _read_state(self, file: BinaryIO) -> None:
        header = _read_header(self._locate(), file)
        self.root, self._length = str(header["root"]), file.tell()
        pattern = header.get("pattern")
        self.pattern = pattern if isinstance(pattern, str) else None
        for line in file:
            if not line.endswith(b"\n"):
                return
            self._length += len(line)
            if line.startswith(b"{"):
                self.root = str(self._decode(line, load_object)["root"])
            else:
                self.count += 1

    def names(self, skip: int = 0) -> Iterator[str]:
        """Yields the names that are stored at the time of the call, except the first ``skip``."""
        return self._read_names(skip, self.count) if self.count > skip else iter(())

    def _read_names(self, skip: int, end: int) -> Iterator[str]:
        with self._locate().open("rb") as file:
            _read_header(self._locate(), file)
            for line in islice((line for line in file if not line.startswith(b"{")), skip, end):
                name = self._decode(line, load_value)
                if not isinstance(name, str):
                    raise foreign_file_error(self._locate())
                yield name

    def _decode(self, line: bytes, load: Callable[[bytes], Value]) -> Value:
        try:
            return load(line)
        except ValueError as error:
            raise foreign_file_error(self._locate()) from error

    def extend(self, root: str, names: Iterable[str], pattern: str = "") -> int:
        """Appends the names and returns their number. Writes nothing if there are no names and the root is the same."""
        found = iter(names)
        first = list(islice(found, BATCH_SIZE))
        if not first and self.root in (None, root):
            return 0
        before, path = self.count, self._locate()
        if self.root is None:
            header = dump_compact({"tool": TOOL, LISTING: FORMAT, "root": root, "pattern": pattern}) + b"\n"
            replace_file(path, header)
            self.root, self.pattern, self._length = root, pattern, len(header)
        with closing(Appender(path, self._length)) as appender:
            if self.root != root:
                appender.append(dump_compact({"root": root}) + b"\n")
                self.root = root
            batch = first
            while batch:
                appender.append(b"".join([dump_compact(name) + b"\n" for name in batch]))
                self.count, self._length = self.count + len(batch), appender.length
                batch = list(islice(found, BATCH_SIZE))
            appender.sync()
            self._length = appender.length
        return self.count - before


class ListedFiles:
    """The paths of the files that rows were made of. Rows are taken in ascending order."""

    def __init__(self, listing: Path) -> None:
        """Raises SettingsError."""
        stored = StoredListing(lambda: listing)
        self._root, self._names = stored.root or "", stored.names()
        self._row, self._name = 0, ""

    def find(self, row: int) -> str:
        """Empty if the listing does not have the row."""
        while self._row < row:
            self._row, self._name = self._row + 1, next(self._names, "")
        return os.path.join(self._root, self._name) if self._name else ""


def _read_header(path: Path, file: BinaryIO) -> Json:
    try:
        header = load_object(file.readline())
    except ValueError as error:
        raise foreign_file_error(path) from error
    if header.get("tool") != TOOL or not isinstance(header.get("root"), str):
        raise foreign_file_error(path)
    if header.get(LISTING) != FORMAT:
        raise SettingsError(f"{path} was written by another version of {TOOL}: use that version, or choose another -o")
    return header

"""Reads pictures inside of files of many rows. What is open stays open for a while, because neighbours follow."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from cachetools import LRUCache

from persqa_client.errors import RowError
from persqa_client.extras import import_extra
from persqa_client.images.members import Member, Picture, parse_cell
from persqa_client.images.tar_archives import TAR_ERRORS
from persqa_client.images.tar_pictures import TarPictures

# Row groups, files or archives that are open at the same time.
MAX_OPEN = 4


class PictureReader(Protocol):
    """Reads pictures of one file, and is closed by the collector."""

    def read(self, name: str) -> Picture: ...


class OpenReaders:
    """Keeps the readers used last. Thread-safe; each reader is used by one thread at a time."""

    def __init__(self, size: int = MAX_OPEN) -> None:
        self._lock = threading.Lock()
        self._readers: LRUCache[tuple[Any, ...], tuple[threading.Lock, PictureReader]] = LRUCache(size)

    def read(self, key: tuple[Any, ...], open_reader: Callable[[], PictureReader], name: str) -> Picture:
        with self._lock:
            found = self._readers.get(key)
            if found is None:
                found = self._readers[key] = (threading.Lock(), open_reader())
        lock, reader = found
        with lock:
            return reader.read(name)


OPEN_READERS = OpenReaders()


def load_member(path: str, status: os.stat_result, member: Member) -> Picture:
    """``path``: where the file lies. Raises RowError and OSError, and SettingsError if a package is missing."""
    key: tuple[str | int, ...] = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if member.kind in ("tar", "gz"):
        try:
            return OPEN_READERS.read(key, lambda: TarPictures(path), member.name)
        except TAR_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RowError("image_unreadable", f"cannot be read: its archive is broken ({error}).") from error
    import_extra("pyarrow", "parquet", f"a picture in a file .{member.kind}")
    from persqa_client.images import arrow_pictures

    cell = parse_cell(member.name)
    try:
        if member.kind == "arrow":
            return OPEN_READERS.read(key, lambda: arrow_pictures.ArrowPictures(path), member.name)
        group = arrow_pictures.find_group(path, key, cell.row)
        key = (*key, cell.column, group)
        return OPEN_READERS.read(key, lambda: arrow_pictures.GroupPictures(path, cell.column, group), member.name)
    except arrow_pictures.ARROW_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = str(error).partition("\n")[0]
        raise RowError("image_unreadable", f"cannot be read: its file is broken ({reason}).") from error

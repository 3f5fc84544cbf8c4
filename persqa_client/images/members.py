"""Pictures inside of files of many rows, named by the file and the place in it.

``photos.parquet#images/17/1`` is the first picture of row 17 in the column ``images``; the same holds for ``.arrow``
files of Hugging Face's ``datasets``. ``shard.tar#000017.jpg`` is a file in an archive. What is open stays open for a
while, because neighbours follow.
"""

from __future__ import annotations

import os
import re
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from sys import getsizeof
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

from cachetools import LRUCache

from persqa_client.errors import RowError
from persqa_client.extras import import_extra
from persqa_client.images.tar_archives import TAR_ERRORS, is_compressed_archive, open_archive
from persqa_client.stores.access import open_object
from persqa_client.stores.paths import is_object_url

MEMBER = re.compile(r"(?P<file>.+?\.(?P<kind>parquet|arrow|tar|tar\.gz|tgz))#(?P<name>.+)", re.IGNORECASE | re.DOTALL)
CELL = re.compile(r"(?P<column>.+)/(?P<row>[0-9]{1,18})/(?P<number>[0-9]{1,9})", re.DOTALL)
# For the memory of requests in flight: the size of a picture is not known before it is read.
ASSUMED_BYTES = 1_000_000

Kind = Literal["parquet", "arrow", "tar", "gz"]
# Row groups, files or archives that are open at the same time.
MAX_OPEN = 4
# Larger files are not read. 200 million pixels with 16 bits per channel fit.
MAX_FILE_BYTES = 1_000_000_000
# Files whose places are known without reading the archive again, and bytes kept of an archive that is compressed.
MAX_KNOWN = 65_536
KEPT_BYTES = 32_000_000
# What a kept file takes beside its bytes and its name.
ENTRY_BYTES = 300
# Without a number if a store raises them.
STORE_ERRORS = (FileNotFoundError, PermissionError, ConnectionError, TimeoutError)


class Member(NamedTuple):
    # The path of the file.
    file: str
    kind: Kind
    # What stands behind the mark.
    name: str


class Cell(NamedTuple):
    """``row`` and ``number`` (of the picture in a list) count from 1."""

    column: str
    row: int
    number: int


class Picture(NamedTuple):
    """Either the bytes, or a path, as some data sets have."""

    data: bytes | None
    path: str | None = None


def parse_member(path: str) -> Member | None:
    found = MEMBER.fullmatch(path)
    if found is None:
        return None
    kind = found["kind"].lower()
    return Member(found["file"], kind if kind in ("parquet", "arrow", "tar") else "gz", found["name"])  # type: ignore[arg-type]


def name_member(member: Member) -> str:
    """A name for a file of its own, without a suffix if the picture has none: ``photos-17-1``, ``000017.jpg``."""
    found = CELL.fullmatch(member.name)
    if member.kind in ("tar", "gz") or found is None:
        return member.name.replace("/", "-")
    stem = os.path.basename(member.file).rpartition(".")[0].replace(".", "-")
    return f"{stem}-{found['row']}-{found['number']}"


def make_cell_reference(file: str, column: str, row: int, number: int) -> str:
    return f"{file}#{column}/{row}/{number}"


def parse_cell(name: str) -> Cell:
    """Raises RowError."""
    found = CELL.fullmatch(name)
    if found is None or not int(found["row"]) or not int(found["number"]):
        raise missing_member_error(name, "a place is COLUMN/ROW/NUMBER, such as images/17/1")
    return Cell(found["column"], int(found["row"]), int(found["number"]))


def missing_member_error(name: str, reason: str) -> RowError:
    return RowError("image_missing", f"does not exist: its file has no {name!r} ({reason}).")


def large_file_error(size: int) -> RowError:
    limit = f"the limit is {MAX_FILE_BYTES / 1e9:.0f} GB, so make it smaller first"
    return RowError("image_too_large", f"has {size / 1e9:.1f} GB; {limit}.")


class PictureReader(Protocol):
    """Reads pictures of one file, and is closed by the collector."""

    def read(self, name: str) -> Picture: ...


class OpenFile:
    """``lock``: while the file is opened or read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reader: PictureReader | None = None


class OpenReaders:
    """Keeps the readers used last. Thread-safe; each reader is used by one thread at a time."""

    def __init__(self, size: int = MAX_OPEN) -> None:
        self._lock = threading.Lock()
        self._files: LRUCache[tuple[Any, ...], OpenFile] = LRUCache(size)

    def read(self, key: tuple[Any, ...], open_reader: Callable[[], PictureReader], name: str) -> Picture:
        with self._lock:
            file = self._files.get(key)
            if file is None:
                file = self._files[key] = OpenFile()
        with file.lock:
            if file.reader is None:
                file.reader = open_reader()
            try:
                return file.reader.read(name)
            except RowError:
                raise
            except BaseException:
                # In the middle of a file, it would not find its place again: the next call opens it anew.
                file.reader = None
                raise


OPEN_READERS = OpenReaders()


def load_member(path: str, status: os.stat_result | str, member: Member) -> Picture:
    """``path``: where the file lies; of one in an object store, its URL, with its version in place of a status.

    Raises RowError and OSError, what a store raises, and SettingsError if a package is missing.
    """
    key: tuple[str | int, ...]
    if isinstance(status, str):
        key = (path, status)
    else:
        key = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if member.kind in ("tar", "gz"):
        try:
            return OPEN_READERS.read(key, lambda: TarPictures(path), member.name)
        except TAR_ERRORS as error:
            if is_reading_error(error):
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
        if is_reading_error(error):
            raise
        reason = str(error).partition("\n")[0]
        raise RowError("image_unreadable", f"cannot be read: its file is broken ({reason}).") from error


def is_reading_error(error: BaseException) -> bool:
    """Whether the system or the store could not read the file. For a broken one, the libraries also raise OSError."""
    return isinstance(error, OSError) and (error.errno is not None or isinstance(error, STORE_ERRORS))


class TarPictures:
    """Reads files of an archive in any order, and fast in the order of the archive."""

    def __init__(self, path: str, *, max_kept: int = KEPT_BYTES) -> None:
        self._path = path
        self._max_kept = max_kept
        self._file: BinaryIO | None = None
        self._open()

    def __del__(self) -> None:
        self._close()

    def _restart(self) -> None:
        self._close()
        self._open()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> None:
        is_stored = is_object_url(self._path)
        self._file = open_object(self._path) if is_stored else open(self._path, "rb")  # noqa: SIM115 # open while used
        # In a compressed archive, going back means to decompress it again.
        self._is_compressed = is_compressed_archive(self._file)
        self._archive = open_archive(self._file)
        self._known: OrderedDict[str, tarfile.TarInfo] = OrderedDict()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self.kept_bytes = 0
        self._is_begun = False

    def read(self, name: str) -> Picture:
        """Raises RowError if there is no such file, and TAR_ERRORS."""
        data = self._find(name)
        if data is None and self._is_begun:
            self._restart()
            data = self._find(name)
        if data is None:
            raise missing_member_error(name, "check the name")
        return Picture(data)

    def _find(self, name: str) -> bytes | None:
        if name in self._kept:
            return self._kept[name]
        if name in self._known:
            return self._extract(self._known[name])
        while (entry := self._archive.next()) is not None:
            self._is_begun = True
            # The archive would keep all that it has seen.
            self._archive.members = []  # type: ignore[attr-defined]
            if not entry.isfile():
                continue
            is_found = entry.name == name
            if not self._is_compressed:
                self._known.setdefault(entry.name, entry)
                if len(self._known) > MAX_KNOWN:
                    self._known.popitem(last=False)
                data = self._extract(entry) if is_found else b""
            elif is_found or entry.size <= self._max_kept:
                data = self._keep(entry)
            if is_found:
                return data
        return None

    def _extract(self, entry: tarfile.TarInfo) -> bytes:
        if entry.size > MAX_FILE_BYTES:  # of zeros, also in a small archive
            raise large_file_error(entry.size)
        file = self._archive.extractfile(entry)
        return b"" if file is None else file.read()

    def _keep(self, entry: tarfile.TarInfo) -> bytes:
        data = self._extract(entry)
        if entry.name in self._kept:
            self.kept_bytes -= measure_kept(entry.name, self._kept.pop(entry.name))
        self._kept[entry.name] = data
        self.kept_bytes += measure_kept(entry.name, data)
        while self.kept_bytes > self._max_kept and len(self._kept) > 1:
            self.kept_bytes -= measure_kept(*self._kept.popitem(last=False))
        return data


def measure_kept(name: str, data: bytes) -> int:
    return ENTRY_BYTES + getsizeof(name) + len(data)

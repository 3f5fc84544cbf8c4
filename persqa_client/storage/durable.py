"""Writing so that a crash leaves whole lines and whole files. Writes files; every refusal becomes a StorageError."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from persqa_client.errors import SettingsError, StorageError

# What file systems answer that know no fsync of a folder; their renames can't be made safer from here.
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}


def unwritable(path: Path, error: OSError) -> StorageError:
    """The one sentence for a disk that is full, gone read-only or broken."""
    reason = error.strerror or str(error)
    return StorageError(f"{path} can't be written ({reason}): mend that, then the same command goes on from here")


class Appender:
    """A file that only grows, by one ``os.write`` a line, and is cut back to its last whole line when a write fails.

    ``length`` is what it holds of whole lines. Opened at a length, it loses what lies beyond.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self.torn = False
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            self.cut(length)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Writes whole lines. Raises StorageError; then, as far as the disk obeys, the file is as before."""
        if self.torn:
            self.cut(self.length)
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            self.mend()
            raise unwritable(self.path, error) from error
        if written != len(data):
            self.mend()
            raise unwritable(self.path, OSError(errno.ENOSPC, "only part of a line fitted, the disk may be full"))
        self.length += written

    def cut(self, length: int) -> None:
        """Shortens the file to ``length`` bytes."""
        self.torn = True
        self.length = length
        try:
            os.ftruncate(self.fd, length)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.torn = False

    def mend(self) -> None:
        with suppress(StorageError):
            self.cut(self.length)

    def sync(self) -> None:
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        os.close(self.fd)


def replace_file(path: Path, data: bytes) -> None:
    """Puts ``data`` at ``path`` so that a reader, or a crash, finds the old file or the new one and nothing between."""
    draft = draft_of(path)
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise unwritable(path, error) from error
    sync_folder(path.parent)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def draft_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def sync_folder(folder: Path) -> None:
    """Makes the renames in a folder last through a power cut."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise unwritable(folder, error) from error


def move(source: Path, target: Path) -> None:
    """Renames, or does nothing where that has been done before."""
    try:
        os.replace(source, target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(target, error) from error


def remove(path: Path) -> None:
    """Removes a file that may be gone already."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def read_file(path: Path) -> bytes | None:
    """All of a small file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        refuse_long_name(path, error)
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error


def file_size(path: Path) -> int | None:
    """Bytes of what a name leads to; None where there is nothing, -1 where it can't be looked at.

    Raises SettingsError where no file can have that name.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1 if path.is_symlink() else None
    except OSError as error:
        refuse_long_name(path, error)
        return -1


def refuse_long_name(path: Path, error: OSError) -> None:
    if error.errno == errno.ENAMETOOLONG:
        shown = f"{path.name[:40]}…{path.name[-40:]}"
        raise SettingsError(
            f"the file name {shown}, one of those of this run, is too long: give -o a shorter one"
        ) from error

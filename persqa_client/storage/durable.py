"""Crash-safe file operations: files keep whole lines and whole contents.

An OSError while writing becomes a StorageError with path and reason.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from persqa_client.errors import SettingsError, StorageError

# Errors of file systems that cannot fsync a folder.
FOLDER_SYNC_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP}


def write_error(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"{path} can't be written ({reason}): free space or fix the file system")


class Appender:
    """Appends whole lines to a file of ``length`` bytes. After a failed write, the file gets its earlier length."""

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self.needs_truncate = False
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            self.truncate(length)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        if self.needs_truncate:
            self.truncate(self.length)
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            self.try_truncate(self.length)
            raise write_error(self.path, error) from error
        if written != len(data):
            self.try_truncate(self.length)
            raise write_error(self.path, OSError(errno.ENOSPC, "only part of a line was written, the disk may be full"))
        self.length += written

    def truncate(self, length: int) -> None:
        self.needs_truncate = True
        self.length = length
        try:
            os.ftruncate(self.fd, length)
        except OSError as error:
            raise write_error(self.path, error) from error
        self.needs_truncate = False

    def try_truncate(self, length: int) -> None:
        """If this fails, the next ``append`` tries again."""
        with suppress(StorageError):
            self.truncate(length)

    def sync(self) -> None:
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise write_error(self.path, error) from error

    def close(self) -> None:
        os.close(self.fd)


def replace_file(path: Path, data: bytes) -> None:
    """Replaces the contents atomically."""
    temporary = temporary_path(path)
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(fd, remaining) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise write_error(path, error) from error
    sync_folder(path.parent)


def temporary_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def sync_folder(folder: Path) -> None:
    """Makes renames in the folder survive a power failure."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in FOLDER_SYNC_UNSUPPORTED:
            raise write_error(folder, error) from error


def move_if_present(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise write_error(target, error) from error


def remove_if_present(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        check_name_length(path, error)
        raise write_error(path, error) from error


def read_if_present(path: Path) -> bytes | None:
    """None if the file does not exist. Raises SettingsError if it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        check_name_length(path, error)
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error


def get_file_size(path: Path) -> int | None:
    """None if the file does not exist, -1 if its size can't be read. Raises SettingsError if the name is too long."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1 if path.is_symlink() else None
    except OSError as error:
        check_name_length(path, error)
        return -1


def check_name_length(path: Path, error: OSError) -> None:
    if error.errno == errno.ENAMETOOLONG:
        shown = f"{path.name[:40]}…{path.name[-40:]}"
        raise SettingsError(
            f"the file name {shown}, which this run needs, is too long: choose a shorter name for -o"
        ) from error

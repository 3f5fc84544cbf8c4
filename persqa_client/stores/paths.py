"""Files and folders in object stores as paths, named by URL: ``s3://bucket/photos``."""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PosixPath
from typing import Any, NoReturn

from persqa_client.errors import SettingsError
from persqa_client.stores.access import BLOCK_BYTES, ObjectStatus, explain_store_error, open_unbuffered, read_status

# Schemes of object stores in fsspec. Schemes with any host (http, sftp) and chains of schemes are not allowed.
SCHEMES = ("s3", "s3a", "gs", "gcs", "hf", "az", "abfs", "memory")
# How the URL of an ObjectPath begins.
OBJECT_STARTS = tuple(f"{scheme}://" for scheme in SCHEMES)
OBJECT_URL = re.compile(f"(?:{'|'.join(SCHEMES)})://", re.IGNORECASE)
# In a path, two slashes become one.
OBJECT_PATH = re.compile(f"(?P<scheme>{'|'.join(SCHEMES)}):/+(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# Number of leading parts that identify a repository of the Hub: ``datasets/USER/NAME``.
HUB_PARTS = 3


def is_object_url(text: str) -> bool:
    return OBJECT_URL.match(text) is not None


class ObjectPath(PosixPath):
    """Its text is the URL, also after ``parent`` and the like. Reading raises SettingsError for what goes wrong."""

    def __str__(self) -> str:
        scheme, *names = self.parts
        return f"{scheme.lower()}//{'/'.join(names)}"

    def __fspath__(self) -> str:
        return str(self)

    def join_reference(self, path: str) -> str:
        """The URL of a relative path, which does not leave the bucket."""
        scheme, bucket, *names = (*self.parts, "")
        key = posixpath.normpath(posixpath.join("/", *names, path))
        return f"{scheme.lower()}//{bucket}{key}"

    @cached_property
    def status(self) -> ObjectStatus:
        """The status of the file at the first access, which is cached. Raises FileNotFoundError and SettingsError."""
        try:
            return read_status(str(self))
        except (SettingsError, FileNotFoundError):
            raise
        except Exception as error:  # each store has its own exceptions
            self._raise(error)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        status = self.status
        kind = stat.S_IFDIR if status.is_folder else stat.S_IFREG
        return os.stat_result((kind, 0, 0, 1, 0, 0, status.size, 0, 0, 0))

    def stamp(self) -> dict[str, Any]:
        """The values that a later start compares to detect a change of the file."""
        return {"size": self.status.size, "version": self.status.version}

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return self.status is not None
        except FileNotFoundError:
            return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists() and not self.status.is_folder

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists() and self.status.is_folder

    def open(self, mode: str = "rb", buffering: int = -1, *_: object, **__: object) -> Any:
        """Opens the file for reading bytes."""
        try:
            reader = ObjectReader(open_unbuffered(str(self)), self)
        except SettingsError:
            raise
        except Exception as error:  # each store has its own exceptions
            self._raise(error)
        return reader if buffering == 0 else io.BufferedReader(reader, BLOCK_BYTES)

    def read_bytes(self) -> bytes:
        with self.open() as file:
            return bytes(file.read())

    def _raise(self, error: Exception) -> NoReturn:
        raise SettingsError(f"{self} can't be read: {explain_store_error(error)}.") from error


class ObjectReader(io.RawIOBase):
    """An open file of a store, whose errors are SettingsErrors. What was read before stays valid."""

    def __init__(self, file: io.RawIOBase, path: ObjectPath) -> None:
        self._file = file
        self._path = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer)) or b""
        except Exception as error:  # each store has its own exceptions
            self._path._raise(error)
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def restore_object_path(path: Path) -> Path:
    """Converts a path whose text is the URL of an object store to an ObjectPath. Returns any other path unchanged."""
    if isinstance(path, ObjectPath) or (found := OBJECT_PATH.match(os.fspath(path))) is None:
        return path
    return ObjectPath(f"{found['scheme']}://{found['rest']}")


def join_root(root: Path, path: str) -> str:
    """A relative path below a root; in an object store, its URL."""
    return root.join_reference(path) if isinstance(root, ObjectPath) else os.path.join(root, path)


def has_store(roots: Iterable[Path]) -> bool:
    return any(isinstance(root, ObjectPath) for root in roots)


def name_store(url: str) -> str:
    """The bucket of a URL, or the repository of the Hub, which is what credentials are for: ``s3://bucket``."""
    scheme, _, rest = url.partition("://")
    parts = rest.strip("/").split("/")
    return f"{scheme.lower()}://{'/'.join(parts[: HUB_PARTS if scheme.lower() == 'hf' else 1])}"

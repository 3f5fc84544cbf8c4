"""JSONL files that are compressed with gzip or Zstandard, read as they are decompressed."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, cast

from persqa_client.errors import SettingsError
from persqa_client.extras import import_extra
from persqa_client.inputs.files import FileSource
from persqa_client.stores.paths import ObjectPath
from persqa_client.types import Position

Compression = Literal["gzip", "zstd"]
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
NAMES: dict[Compression, str] = {"gzip": "gzip", "zstd": "Zstandard"}


def find_compression(head: bytes) -> Compression | None:
    if head.startswith(GZIP):
        return "gzip"
    return "zstd" if head.startswith(ZSTD) else None


class CompressedFile:
    """Raises SettingsError if a package is missing, or the file is broken."""

    def __init__(self, path: Path, compression: Compression) -> None:
        self._path = path
        self._compression = compression
        self._module: Any = gzip if compression == "gzip" else import_zstd(path)
        own_errors = (zlib.error,) if compression == "gzip" else (self._module.ZstdError,)
        self.errors: tuple[type[Exception], ...] = (OSError, EOFError, *own_errors)

    def open(self) -> BinaryIO:
        place = self._path.open("rb") if isinstance(self._path, ObjectPath) else self._path
        return cast(BinaryIO, self._module.open(place, "rb"))

    def read_start(self, size: int) -> bytes:
        """The first decompressed bytes."""
        with self.open() as file:
            try:
                return file.read(size)
            except self.errors as error:
                self.raise_broken(error)

    def raise_broken(self, error: Exception) -> NoReturn:
        if isinstance(error, OSError) and error.errno is not None:
            raise error
        what = f"The input {self._path} is compressed with {NAMES[self._compression]}"
        raise SettingsError(f"{what}, but can't be decompressed: {str(error).rstrip('.')}.") from error


def import_zstd(path: Path) -> Any:
    """Python has it since version 3.14."""
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_extra(module, "zstd", f"the input {path}, which is compressed with Zstandard,")


class CompressedSource(FileSource):
    """Offsets count decompressed bytes. To continue at one, all data before it is decompressed again."""

    def __init__(self, path: Path, compression: Compression) -> None:
        super().__init__(path)
        self.kind = compression
        self._compressed = CompressedFile(path, compression)

    def progress_total(self) -> None:
        """The decompressed size is not known."""

    def progress_at(self, position: Position) -> int:
        return position.number

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        try:
            yield from super().lines(start)
        except self._compressed.errors as error:
            self._compressed.raise_broken(error)

    def _open(self) -> BinaryIO:
        return self._compressed.open()

    def _has_grown_to(self, offset: int) -> bool:
        """A file that is still being compressed ends in the middle, and is refused."""
        return False

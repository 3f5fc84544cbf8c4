"""Reads files of tar archives in any order, and fast in the order of the archive."""

from __future__ import annotations

import tarfile
from collections import OrderedDict
from typing import BinaryIO

from persqa_client.images.members import Picture, missing_member_error
from persqa_client.images.tar_archives import is_compressed_archive, open_archive

# Files whose places are known without reading the archive again, and bytes kept of an archive that is compressed.
MAX_KNOWN = 65_536
KEPT_BYTES = 32_000_000


class TarPictures:
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
        self._file = open(self._path, "rb")  # noqa: SIM115 # open as long as it is used
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
            if self._is_compressed:
                data = self._keep(entry)
            else:
                self._known.setdefault(entry.name, entry)
                if len(self._known) > MAX_KNOWN:
                    self._known.popitem(last=False)
                data = self._extract(entry) if is_found else b""
            if is_found:
                return data
        return None

    def _extract(self, entry: tarfile.TarInfo) -> bytes:
        file = self._archive.extractfile(entry)
        return b"" if file is None else file.read()

    def _keep(self, entry: tarfile.TarInfo) -> bytes:
        data = self._extract(entry)
        self._kept[entry.name] = data
        self.kept_bytes += len(data)
        while self.kept_bytes > self._max_kept and len(self._kept) > 1:
            self.kept_bytes -= len(self._kept.popitem(last=False)[1])
        return data

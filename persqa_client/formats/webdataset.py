"""WebDataset: tar archives in which the files of a row follow each other and begin with the same name.

The rules of the readers (webdataset/webdataset, ``webdataset/tariterators.py`` and ``autodecode.py``;
huggingface/datasets, ``packaged_modules/webdataset/webdataset.py``):

- The key of a sample is the name of its files up to the first dot, and all its files stand together. A key is not used
  twice in an archive.
- ``json`` is decoded to an object, and ``jpg`` and ``png`` to pictures, by the last part of a name.
- Archives are numbered from 0 with six digits, so that ``train-{000000..000007}.tar`` names them.
- ``datasets`` takes the columns from the first rows, which must have the same parts. Rows with different numbers or
  types of pictures are read by ``webdataset`` only.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from persqa_client.formats.layout import ExportRow, PackedFormat, RowFiles, RowPicture
from persqa_client.formats.packed_rows import make_columns
from persqa_client.jsonl import dump_compact

# Size of an archive, as of a Parquet file.
ARCHIVE_BYTES = 500_000_000
SUFFIXES = {"image/jpeg": "jpg", "image/tiff": "tif"}


class TarFiles(RowFiles):
    def __init__(
        self, folder: Path, parts: Sequence[str], *, details: bool, archive_bytes: int = ARCHIVE_BYTES
    ) -> None:
        self._details = details
        self._parts = {part: TarPart(folder / part, archive_bytes) for part in parts}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            part.close()

    def append(self, part: str, row: ExportRow) -> None:
        files = [*name_picture_files(row.pictures)]
        files.append(("json", dump_compact(make_columns(row.record, details=self._details))))
        self._parts[part].append(files)

    def count_rows(self) -> dict[str, int]:
        return {name: rows for part in self._parts.values() for name, rows in part.counts.items()}


class TarPart:
    """The archives of one part. Also a part without rows has one."""

    def __init__(self, path: Path, archive_bytes: int) -> None:
        """``path``: the archives are beside it, and their names begin like its own."""
        self._begin = path
        self._archive_bytes = archive_bytes
        self.counts: dict[str, int] = {}
        self._rows = 0
        self._open_archive()

    def _open_archive(self) -> None:
        self._path = self._begin.with_name(f"{self._begin.name}-{len(self.counts):06}.tar")
        self.counts[self._path.name] = 0
        self._file: BinaryIO = self._path.open("wb")
        self._archive = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 # closed below

    def append(self, files: Sequence[tuple[str, bytes]]) -> None:
        if self._archive.offset >= self._archive_bytes:
            self.close()
            self._open_archive()
        for part, data in files:
            # Without owner and time, so that equal exports have equal bytes.
            entry = tarfile.TarInfo(f"{self._rows:09}.{part}")
            entry.size, entry.mode = len(data), 0o644
            self._archive.addfile(entry, io.BytesIO(data))
        # The archive would keep all that was added.
        self._archive.members = []  # type: ignore[attr-defined]
        self._rows += 1
        self.counts[self._path.name] += 1

    def close(self) -> None:
        if not self._file.closed:
            self._archive.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def name_picture_files(pictures: Sequence[RowPicture]) -> list[tuple[str, bytes]]:
    """Several pictures have their number, from 0 on, before the suffix."""
    suffixes = [SUFFIXES.get(picture.media_type, picture.media_type.rpartition("/")[2]) for picture in pictures]
    if len(pictures) == 1:
        return [(suffixes[0], pictures[0].data)]
    return [
        (f"{number}.{suffix}", picture.data)
        for number, (suffix, picture) in enumerate(zip(suffixes, pictures, strict=True))
    ]


def open_tar_files(folder: Path, parts: Sequence[str], details: bool) -> RowFiles:
    return TarFiles(folder, parts, details=details)


WEBDATASET = PackedFormat(name="webdataset", consumer="WebDataset", open_files=open_tar_files)

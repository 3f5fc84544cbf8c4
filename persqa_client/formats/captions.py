"""Pictures with a text file beside each: caption sidecars, as trainers of image models read them.

The rules of the readers:

- kohya-ss/sd-scripts (``library/train_util.py``): ``NAME.txt`` beside ``NAME.jpg`` has the caption. Its first line is
  used, or one of all lines with ``enable_wildcard``. Only the files of the folder itself are read.
- Hugging Face's ``imagefolder``: ``metadata.jsonl`` has ``file_name`` and further columns, one row for each caption.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from persqa_client.formats.layout import ExportRow, PackedFormat, PictureLimits, RowFiles, RowPicture
from persqa_client.formats.pictures import fold_name, number_name
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.jsonl import dump_compact

INDEX = "metadata.jsonl"


class CaptionFiles(RowFiles):
    def __init__(self, folder: Path, parts: Sequence[str]) -> None:
        self._parts = {part: CaptionFolder(folder / part) for part in parts}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            part.close()

    def append(self, part: str, row: ExportRow) -> None:
        self._parts[part].append(row)

    def count_rows(self) -> dict[str, int]:
        return {f"{name}/{INDEX}": part.rows for name, part in self._parts.items()}

    def list_entries(self) -> list[str]:
        return [f"{name}/{each}" for name, part in self._parts.items() for each in (INDEX, *part.list_files())]


class CaptionFolder:
    """A picture that several rows are about is written once, with a line for each answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()
        self._index: BinaryIO = (path / INDEX).open("wb")
        # By the digest of the picture.
        self._names: dict[bytes, str] = {}
        # Folded and without suffixes: the text file of two pictures must not be the same.
        self._taken = {posixpath.splitext(INDEX)[0]}
        self.rows = 0

    def append(self, row: ExportRow) -> None:
        (picture,) = row.pictures
        digest = sha256(picture.data).digest()
        name = self._names.get(digest)
        if name is None:
            name = self._names[digest] = self._reserve(picture)
            (self._path / name).write_bytes(picture.data)
        record = row.record
        # One line of the file for each answer.
        caption = " ".join(record.answer.split())
        with (self._path / name).with_suffix(".txt").open("ab") as file:
            file.write(caption.encode("utf-8", "backslashreplace") + b"\n")
        fields = {"file_name": name, "text": record.answer, "question": record.question, "id": record.id}
        self._index.write(dump_compact(fields) + b"\n")
        self.rows += 1

    def _reserve(self, picture: RowPicture) -> str:
        stem, suffix = posixpath.splitext(posixpath.basename(picture.name))
        # A dot would be taken for the beginning of the suffix.
        chosen = number_name(stem.replace(".", "-"), self._taken.__contains__)
        self._taken.add(fold_name(chosen))
        # The text file of a picture NAME.txt would be the picture itself.
        return chosen + (suffix if suffix.lower() in IMAGE_SUFFIXES else f".{picture.media_type.rpartition('/')[2]}")

    def list_files(self) -> list[str]:
        return sorted(each for name in self._names.values() for each in (name, f"{posixpath.splitext(name)[0]}.txt"))

    def close(self) -> None:
        if not self._index.closed:
            self._index.flush()
            os.fsync(self._index.fileno())
            self._index.close()


def open_caption_files(folder: Path, parts: Sequence[str], details: bool) -> RowFiles:
    return CaptionFiles(folder, parts)


CAPTIONS = PackedFormat(
    name="captions",
    consumer="trainers of image models",
    open_files=open_caption_files,
    limits=PictureLimits(min_count=1, max_count=1),
    has_details=False,
)

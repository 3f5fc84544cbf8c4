"""WebDataset: a tar archive, in which the files of a sample follow each other and have one name before the first dot.

The rules (webdataset/webdataset, ``webdataset/tariterators.py``; huggingface/datasets, ``webdataset.py``):

- The key of a sample is the path of its files up to the first dot of the name; what follows is the name of the part.
  Files without a dot, and folders, are ignored.
- The suffix tells what a part is: ``json`` is an object, ``txt``, ``cls`` and the like are text, ``jpg`` is a picture.
- Names may have several dots, as in ``000017.0.jpg``; the last part is the suffix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from sys import getsizeof
from typing import Any, BinaryIO, NamedTuple

from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.images.tar_archives import TAR_ERRORS, open_archive
from persqa_client.inputs.packed_files import PackedSource, write_plain
from persqa_client.inputs.sources import BrokenLine
from persqa_client.jsonl import load_value

SAMPLE_NAME = re.compile(r"(?P<key>(?:.*/|)[^.]+)[.](?P<part>[^/]*)", re.DOTALL)
KEY_FIELD = "__key__"
TEXT_SUFFIXES = frozenset({"txt", "text", "transcript", "caption", "cls", "cls2", "index", "inx", "id"})
JSON_SUFFIXES = frozenset({"json", "jsn"})
# Texts that are longer are no captions.
MAX_TEXT = 16 << 20
# What is held of a sample: its texts and the names of its files, each with what it takes in memory. The row has the
# name of a picture, too, and a name is held as a whole and in two parts.
MAX_SAMPLE = 64 << 20
PART_BYTES = 1_000
NAME_COPIES = 4


class SamplePart(NamedTuple):
    """``text``: of a file that is no picture."""

    key: str
    part: str
    name: str
    text: bytes | None

    @property
    def suffix(self) -> str:
        return self.part.rpartition(".")[2].lower()

    @property
    def size(self) -> int:
        return PART_BYTES + NAME_COPIES * getsizeof(self.name) + len(self.text or b"")


class TarSource(PackedSource):
    kind = "tar"

    def __init__(self, path: Path, image_key: str) -> None:
        super().__init__(path)
        self._image_key = image_key

    def rows(self, skip: int) -> Iterator[tuple[bytes, int]]:
        # By their hashes.
        known = set[int]()
        try:
            with self.path.open("rb") as file:
                for number, (key, group) in enumerate(groupby(read_parts(file), key=lambda part: part.key)):
                    parts, is_large = take_parts(group)
                    repeated = find_repeated(parts) or (parts[0].name if hash(key) in known else None)
                    known.add(hash(key))
                    if number < skip:
                        continue
                    if is_large:
                        line: bytes = refuse_large(key)
                    else:
                        line = self._make_row(key, parts) if repeated is None else refuse_repeated(repeated)
                    yield line, file.tell()
        except TAR_ERRORS as error:
            self.raise_broken(error)

    def _make_row(self, key: str, parts: list[SamplePart]) -> bytes:
        row: dict[str, Any] = {}
        for part in parts:
            if part.text is None:
                continue
            if part.suffix in JSON_SUFFIXES:
                try:
                    value = load_value(part.text)
                except ValueError:
                    return BrokenLine.make(part.text, f"its file {part.name} is not JSON", part.name.encode())
                row |= value if isinstance(value, dict) else {part.part: value}
            else:
                row[part.part] = part.text.decode("utf-8", "replace").strip()
        pictures = [f"{self.own_name}#{part.name}" for part in parts if f".{part.suffix}" in IMAGE_SUFFIXES]
        if pictures:
            row[self._image_key] = pictures
        return write_plain({KEY_FIELD: key, **row})


def take_parts(group: Iterator[SamplePart]) -> tuple[list[SamplePart], bool]:
    """The parts of a sample, up to MAX_SAMPLE, and whether there are more. Those are read past."""
    parts, size = list[SamplePart](), 0
    for part in group:
        size += part.size
        if size <= MAX_SAMPLE:
            parts.append(part)
    return parts, size > MAX_SAMPLE


def find_repeated(parts: list[SamplePart]) -> str | None:
    names = Counter(part.name for part in parts)
    return next((name for name, count in names.items() if count > 1), None)


def refuse_repeated(name: str) -> BrokenLine:
    """The bad row for a repeated name: a name stands for one file, so the row would get the picture of another."""
    text = name.encode("utf-8", "surrogateescape")
    return BrokenLine.make(text, f"the archive has its file {name}, or others of this name, twice")


def refuse_large(key: str) -> BrokenLine:
    text = key.encode("utf-8", "surrogateescape")
    return BrokenLine.make(text, f"the texts and names of the sample {key} have more than {MAX_SAMPLE >> 20} MiB")


def read_parts(file: BinaryIO) -> Iterator[SamplePart]:
    """Pictures are skipped without being read."""
    with open_archive(file) as archive:
        while (entry := archive.next()) is not None:
            # The archive would keep all that it has seen.
            archive.members = []  # type: ignore[attr-defined]
            found = SAMPLE_NAME.fullmatch(entry.name) if entry.isfile() else None
            if found is None:
                continue
            part = SamplePart(found["key"], found["part"], entry.name, None)
            if part.suffix in TEXT_SUFFIXES | JSON_SUFFIXES and entry.size <= MAX_TEXT:
                content = archive.extractfile(entry)
                part = part._replace(text=content.read() if content is not None else None)
            yield part

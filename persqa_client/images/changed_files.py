"""Notices images whose files changed after they were sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

from cachetools import LRUCache

from persqa_client.errors import RowError
from persqa_client.images.members import parse_member
from persqa_client.images.prepare import read_image
from persqa_client.images.references import FileVersion, describe_reference, get_file_version
from persqa_client.outcomes import SentPicture
from persqa_client.types import FileStamp, Row

# Later ones are only counted.
MAX_NAMED = 20
# Files, and rows with earlier answers, that are remembered while a run continues.
MAX_REMEMBERED = 8_192

ADVICE = "--recheck-pictures asks such rows again"


class PictureState(Enum):
    # Also if only the time or the metadata differ.
    SAME = "same"
    CHANGED = "changed"
    # It can't be read now, or isn't an image any more.
    UNREADABLE = "unreadable"
    # An earlier version did not keep what is compared.
    UNKNOWN = "unknown"


class PictureFiles:
    """Compares image files with those that were sent. Reads a file only if its size or time differ."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._digests: LRUCache[FileVersion, str | None] = LRUCache(MAX_REMEMBERED)

    def compare(self, reference: str, picture: SentPicture) -> PictureState:
        kept = picture.file
        if kept is None:
            return PictureState.SAME if is_embedded(reference) else PictureState.UNKNOWN
        version = get_file_version(reference, self._roots)
        if version is None:
            return PictureState.UNREADABLE
        if (version.size, version.modified_ns) == (kept.file_bytes, kept.modified_ns):
            return PictureState.SAME
        digest = self._read_digest(reference, version)
        if digest is None:
            return PictureState.UNREADABLE
        return PictureState.SAME if digest == kept.digest else PictureState.CHANGED

    def _read_digest(self, reference: str, version: FileVersion) -> str | None:
        if version not in self._digests:
            try:
                self._digests[version] = read_image(reference, self._roots).content_digest
            except RowError:
                self._digests[version] = None
        return self._digests[version]

    def has_changed(self, images: Sequence[str], pictures: Sequence[SentPicture]) -> bool:
        """Whether an image of a row differs from the one that an answer is about, and all can be read."""
        states = {self.compare(*pair) for pair in zip(images, pictures, strict=False)}
        return PictureState.CHANGED in states and PictureState.UNREADABLE not in states


def is_embedded(reference: str) -> bool:
    """Whether the picture is in the row, or in a file of many rows, which is compared as an input."""
    return reference.lstrip()[:5].lower() == "data:" or parse_member(reference) is not None


class ChangeReport:
    """Names the first ``MAX_NAMED`` pictures in warnings, and counts all. ``place`` adds the name of the row."""

    def __init__(
        self,
        warn: Callable[[str], None],
        place: Callable[[Row, str], str],
        sentence: str = f"changed since it was asked about before; {ADVICE}.",
        summary: str = "changed during the run, or since its rows were first asked about",
    ) -> None:
        self._warn = warn
        self._place = place
        self._sentence = sentence
        self._summary = summary
        self.count = 0

    def add(self, row: Row, reference: str) -> None:
        self.count += 1
        if self.count <= MAX_NAMED:
            self._warn(self._place(row, f"{describe_reference(reference)} {self._sentence}"))

    @property
    def notes(self) -> list[str]:
        pictures = "picture" if self.count == 1 else "pictures"
        return [f"{self.count:,} {pictures} {self._summary}."] if self.count else []

    def finish(self) -> None:
        """Tells the number of all, if not all were named."""
        if self.count > MAX_NAMED:
            self._warn(self.notes[0])


class PictureWatch:
    """Compares the images that a run sends with those that it sent before, and with those of its rows' earlier answers.

    Nothing is read for it. Memory is bounded: an image that comes again after very many others is not compared.
    """

    def __init__(self, report: ChangeReport) -> None:
        self._report = report
        self._sent: dict[int, FileStamp] = {}
        # By row, of the answers that it already has.
        self._answered: dict[int, dict[str, FileStamp]] = {}

    def expect(self, row: int, images: Sequence[str], pictures: Sequence[SentPicture]) -> None:
        """``pictures``: those of an earlier answer of the row, whose other questions are asked now."""
        stamps = {image: picture.file for image, picture in zip(images, pictures, strict=False)}
        self._answered[row] = {image: file for image, file in stamps.items() if file is not None}
        drop_oldest(self._answered)

    def note(self, row: Row, reference: str, file: FileStamp | None) -> None:
        if file is None:
            return
        # A hash instead of the text bounds the memory.
        key = hash(reference)
        before = self._sent.get(key)
        if before is not file and before != file:
            self._sent[key] = file
            drop_oldest(self._sent)
        answered = self._answered.get(row.number)
        if answered is not None and (kept := answered.get(reference)) is not None and kept.digest != file.digest:
            answered[reference] = file
            self._report.add(row, reference)
        elif before is not None and before.digest != file.digest:
            self._report.add(row, reference)


def drop_oldest(entries: dict[int, FileStamp] | dict[int, dict[str, FileStamp]]) -> None:
    if len(entries) > MAX_REMEMBERED:
        del entries[next(iter(entries))]

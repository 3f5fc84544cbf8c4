"""Says which rows of runs belong together: those about the same picture, or from one row, folder or character.

Pictures with equal content are the same, and so are near duplicates. A row with several pictures joins their groups.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from persqa_client.errors import RowError
from persqa_client.formats.near_duplicates import (
    PlacedPicture,
    Signature,
    compute_signature,
    compute_signatures,
    find_near_pairs,
)
from persqa_client.formats.splits import Groups, Split
from persqa_client.images.references import get_file_version, read_reference
from persqa_client.records.data_record import DataRecord
from persqa_client.records.run_records import RecordedRun


class RowGrouping:
    """``add`` all rows first, then ``join_near_duplicates``, then ask for the part of each row."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._groups = Groups()
        # Digest of a picture by reference or path, which are known after the first pass.
        self._digests: dict[str, str] = {}
        # Paths by digest. For a picture that is data in the row, the signature is stored, and the data are not kept.
        self._pictures: dict[str, PlacedPicture | Signature | None] = {}

    def add(self, record: DataRecord, run: RecordedRun) -> None:
        self._groups.join(self._list_keys(record, run))

    def join_near_duplicates(self, on_picture: Callable[[int], None]) -> int:
        """Returns the number of pictures that are near duplicates of another one. Reads each picture.

        ``on_picture`` gets the number of each picture that was read.
        """
        if self._split.by != "picture":
            return 0
        digests = list(self._pictures)
        found: set[int] = set()
        for earlier, number in find_near_pairs(count_pictures(self._sign_pictures(), on_picture)):
            self._groups.join([digests[earlier], digests[number]])
            found.add(number)
        return len(found)

    def _sign_pictures(self) -> Iterator[Signature | None]:
        files = [each for each in self._pictures.values() if isinstance(each, PlacedPicture)]
        signatures = compute_signatures(files)
        for each in self._pictures.values():
            yield next(signatures) if isinstance(each, PlacedPicture) else each

    def choose_part(self, record: DataRecord, run: RecordedRun) -> str:
        return self._split.choose_part(self._groups.find_name(self._list_keys(record, run)[0]))

    def _list_keys(self, record: DataRecord, run: RecordedRun) -> list[str]:
        """The keys of the groups of a record, at least one. A text-only row is a group of its own."""
        place = record.provenance
        row = f"{run.name}\0{place.row if place.row is not None else f'o{place.line}'}"
        if self._split.by == "tag":
            return ["\0".join(record.tags)]
        if self._split.by == "row" or not record.images:
            return [row]
        if self._split.by == "folder":
            return list(dict.fromkeys(find_picture_folder(each, run) for each in record.images))
        return list(dict.fromkeys(self._find_digest(each, run.roots) for each in record.images))

    def _find_digest(self, reference: str, roots: Sequence[Path]) -> str:
        version = get_file_version(reference, roots)
        key = os.path.realpath(version.path) if version is not None else digest_reference(reference)
        digest = self._digests.get(key)
        if digest is None:
            try:
                digest = sha256(read_reference(reference, roots)).hexdigest()
                if digest not in self._pictures:
                    picture = PlacedPicture(reference, roots)
                    self._pictures[digest] = picture if version is not None else compute_signature(picture)
            except RowError:
                # The row is left out later.
                digest = key
            self._digests[key] = digest
        return digest


def count_pictures(
    signatures: Iterator[Signature | None], on_picture: Callable[[int], None]
) -> Iterator[Signature | None]:
    for number, signature in enumerate(signatures, 1):
        on_picture(number)
        yield signature


def find_picture_folder(reference: str, run: RecordedRun) -> str:
    """Relative to the output, so that it does not depend on where both lie. A picture without a file is by itself."""
    version = get_file_version(reference, run.roots)
    if version is None:
        return digest_reference(reference)
    return os.path.relpath(os.path.realpath(os.path.dirname(version.path)), os.path.realpath(run.output.parent))


def digest_reference(reference: str) -> str:
    """Names that are not UTF-8 have surrogates."""
    return sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()


def group_rows(
    split: Split, rows: Iterable[tuple[DataRecord, RecordedRun]], on_picture: Callable[[int], None]
) -> tuple[RowGrouping, int]:
    """The first pass over all rows, and the number of near duplicates."""
    grouping = RowGrouping(split)
    for record, run in rows:
        grouping.add(record, run)
    return grouping, grouping.join_near_duplicates(on_picture)

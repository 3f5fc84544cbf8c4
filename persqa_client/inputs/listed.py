"""Sources that list files: a row is known by the name of its file, whatever else is listed and however it is written.

The names have the order in which they were first found. A stored listing keeps it for later processes: files that
appear are appended, and files that disappear keep their rows.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from persqa_client.errors import START_AGAIN, SettingsError
from persqa_client.inputs.sources import NamedLine, NamedSource, Source, advance, encode_name, extend_digest
from persqa_client.types import Position


class Listing(Protocol):
    @property
    def root(self) -> str | None:
        """The folder in which the names were looked up; None for an empty listing."""
        ...

    @property
    def pattern(self) -> str | None:
        """See ``ListedSource.pattern``; None if it was not kept."""
        ...

    @property
    def count(self) -> int: ...

    def names(self, skip: int = 0) -> Iterator[str]: ...

    def extend(self, root: str, names: Iterable[str], pattern: str) -> int:
        """Appends the names, and returns their number."""
        ...


def is_never_known(name: str) -> bool:
    return False


def is_never_left_out(path: Path) -> bool:
    return False


class KnownNames:
    """Eight bytes for each name. A new name is taken for a known one once in 10^12 runs over a million files."""

    def __init__(self, names: Iterable[str]) -> None:
        self._hashes = array("q", sorted(array("q", map(hash, names))))

    def __contains__(self, name: str) -> bool:
        place = bisect_left(self._hashes, wanted := hash(name))
        return place < len(self._hashes) and self._hashes[place] == wanted


class ListedSource(NamedSource):
    """``name`` is what users call the source. Without a stored listing, files are listed anew at each call."""

    name: str
    # Which files below the root are listed; empty for all images.
    pattern = ""

    def __init__(self) -> None:
        self.listing: Listing | None = None
        # Rows of the finished part of the run, whose names are found anew if the stored listing was removed.
        self._finished = 0

    @property
    @abstractmethod
    def root(self) -> str:
        """The absolute path, without links, that the names are relative to."""

    def locate(self, name: str) -> str:
        return os.path.join(self.root, name)

    @abstractmethod
    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        """The names that are not known, each of them once, in the same order for the same files."""

    @abstractmethod
    def render_line(self, name: str) -> bytes: ...

    @abstractmethod
    def find_name(self, reference: str) -> str | None:
        """The name of an image that a row refers to."""

    @abstractmethod
    def warnings(self) -> tuple[str, ...]: ...

    @abstractmethod
    def as_written(self) -> Source:
        """The same source for a run of an earlier version, which has no listing."""

    def has_names(self) -> bool:
        return next(self.find_names(is_never_known), None) is not None

    def count_names(self) -> int:
        return sum(1 for _ in self.find_names(is_never_known))

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int:
        return self.count_names() if self.listing is None else self.listing.count

    def progress_at(self, position: Position) -> int:
        return position.number

    def use_listing(self, listing: Listing, finished: int = 0) -> None:
        """Raises SettingsError if the names were looked up in another place, or by another pattern."""
        if listing.root is not None and not is_same_place(listing.root, self.root):
            self._check_moved(listing)
        if listing.pattern not in (None, self.pattern):
            before = f"the pattern {listing.pattern}" if listing.pattern else "all images of the folder"
            raise SettingsError(
                f"The input {self.name} is another one in the same folder: this run was started with {before}. Give "
                f"that one, choose another -o, or {START_AGAIN}."
            )
        self.listing, self._finished = listing, finished

    def _check_moved(self, listing: Listing) -> None:
        """The place may have been moved or mounted elsewhere, with all of its files."""
        advice = f"choose another -o, or {START_AGAIN}."
        if os.path.lexists(listing.root or ""):
            raise SettingsError(
                f"The input {self.name} is not {listing.root}, with which this run was started: give that one, {advice}"
            )
        missing = next((name for name in listing.names() if not os.path.lexists(os.path.join(self.root, name))), None)
        if missing is not None:
            raise SettingsError(
                f"The input {self.name} is not {listing.root}, with which this run was started and which does not "
                f"exist any more: it lacks {missing}. Restore it, {advice}"
            )

    def extend_listing(self) -> int:
        """Adds the files that have appeared to the stored listing, and returns their number."""
        if self.listing is None:
            return 0
        return self.listing.extend(self.root, self._find_unlisted(self.listing), self.pattern)

    def restore_listing(self) -> None:
        """If the stored listing was removed, writes the names of the finished part of the run again."""
        if self.listing is not None and self.listing.count < self._finished:
            self.extend_listing()

    def _find_unlisted(self, listing: Listing) -> Iterator[str]:
        return self.find_names(KnownNames(listing.names()).__contains__)

    def has_more_names(self, position: Position) -> bool:
        if self.listing is not None:
            return self.listing.count > position.number
        return self.has_names() if position.number == 0 else next(self._names(position.number), None) is not None

    def _names(self, skip: int) -> Iterator[str]:
        listing = self.listing
        if listing is not None and listing.count < self._finished:
            return islice(chain(listing.names(), self._find_unlisted(listing)), skip, self._finished)
        if listing is not None:
            return listing.names(skip)
        return islice(self.find_names(is_never_known), skip, None)

    def named_lines(self, start: Position) -> Iterator[NamedLine]:
        position = start
        for name in self._names(start.number):
            position = advance(position, encode_name(name))
            yield NamedLine(self.render_line(name), position, name, self.locate(name))

    def digest_at(self, position: Position) -> str:
        digest = ""
        for name in islice(self._names(0), position.number):
            digest = extend_digest(digest, encode_name(name))
        return digest


def is_same_place(before: str, now: str) -> bool:
    try:
        return before == now or os.path.samefile(before, now)
    except OSError:
        return False

"""Folders outside of which no picture is read, wherever ``..``, an absolute path or a symbolic link leads."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Self

from persqa_client.errors import RowError


class ConfinedRoots(tuple[Path, ...]):
    """The folders in which relative paths are looked up, and the places to which all paths are confined."""

    # Without symbolic links.
    places: frozenset[str]

    @classmethod
    def make(cls, roots: Iterable[Path], places: Collection[str | Path]) -> Self:
        """``places``: folders, and further files of the user's own."""
        made = cls(roots)
        made.places = frozenset(map(os.path.realpath, places))
        return made

    def after(self, folder: Path) -> Self:
        """A copy with a folder that is searched first, and the same places."""
        made = type(self)((folder, *self))
        made.places = self.places
        return made

    def check(self, path: str) -> None:
        """Raises RowError for a path that leads to another place, also if nothing is there.

        The names are compared as they are written, also where the file system ignores case: a path in another case is
        refused. A link that is exchanged after the check is not noticed.
        """
        place = os.path.realpath(path)
        if not any(place == each or place.startswith(os.path.join(each, "")) for each in self.places):
            raise RowError("image_outside", "lies outside of the folders to which images are confined; move it there.")

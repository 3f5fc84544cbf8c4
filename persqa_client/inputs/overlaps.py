"""Inputs that name the same rows: one that is given twice is refused, and a picture in several of them is reported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import combinations

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.folders import FolderSource, is_listed_below
from persqa_client.inputs.listed import is_never_known
from persqa_client.inputs.patterns import PatternSource
from persqa_client.inputs.sources import ImagesSource, Source


def refuse_repeated_inputs(sources: Sequence[Source]) -> None:
    """Raises SettingsError for a file or folder that is given twice, however it is written."""
    known = set[str]()
    for place in (place for source in sources for place in list_places_of(source)):
        real = os.path.realpath(place)
        if real in known:
            raise SettingsError(f"The input {describe_reference(place)} is given twice: give it once.")
        known.add(real)


def list_places_of(source: Source) -> tuple[str, ...]:
    if isinstance(source, FileSource):
        return (str(source.path),)
    if isinstance(source, FolderSource):
        return (str(source.folder),)
    # A pattern also finds links to pictures that it has already found.
    return source.paths if isinstance(source, ImagesSource) and len(source.paths) == 1 else ()


def describe_overlap(sources: Sequence[Source]) -> str | None:
    """A warning with the first picture, or folder of pictures, that two inputs have."""
    for shared, one, other in find_overlaps(sources):
        below = os.path.relpath(shared)
        return (
            f"{describe_reference(shared if below.startswith(os.pardir) else below)} is in two inputs, {one.name} and "
            f"{other.name}: it becomes a row of each of them, and so do other pictures that are in both."
        )
    return None


def find_overlaps(sources: Sequence[Source]) -> Iterator[tuple[str, Source, Source]]:
    folders = [source for source in sources if isinstance(source, FolderSource)]
    for one, other in combinations(folders, 2):
        above, below = sorted((one.root, other.root), key=len)
        if is_listed_below(above, below):
            yield below, one, other
    owners: dict[str, Source] = {}
    for source in sources:
        for picture in list_pictures(source):
            listing = (folder for folder in folders if is_listed_below(folder.root, picture))
            if (owner := owners.setdefault(picture, next(listing, source))) is not source:
                yield picture, owner, source


def list_pictures(source: Source) -> Iterator[str]:
    """Absolute paths, without links to folders."""
    if isinstance(source, PatternSource):
        root = source.root
        return (os.path.join(root, name) for name in source.find_names(is_never_known))
    paths = source.paths if isinstance(source, ImagesSource) else ()
    return (os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) for path in paths)

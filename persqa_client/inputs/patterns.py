"""Patterns of file names, such as ``photos/*.jpg`` and ``photos/**/*.png``."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.images.formats import IMAGE_SUFFIXES, RAW_SUFFIXES
from persqa_client.images.references import ANY_URL
from persqa_client.inputs.folders import ImagesBelowSource, begins_like_image, join_name, sort_key
from persqa_client.inputs.listed import is_never_known
from persqa_client.inputs.own_exports import is_export_folder
from persqa_client.inputs.sources import ImagesSource, Source, describe_names

ANY_FOLDERS = re.compile(r"(?:^|(?<=/))\*\*(?:/+|$)")
# What is found in place of a folder: nothing, a file, a link to itself.
NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# A special character that stands for itself.
ESCAPED = re.compile(r"\[([*?[])\]")


def is_pattern(name: str) -> bool:
    """A path that exists is none, whatever its characters, and neither is a URL with a query."""
    return glob.has_magic(name) and not ANY_URL.match(name) and not os.path.exists(name)


def is_image_file(path: str) -> bool:
    """Whether the file is an image. As in a folder, a file with the suffix of an image is not opened: a broken one
    becomes a row that fails.

    So does a raw photo, which a pattern asks for.
    """
    if os.path.isdir(path):
        return False
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES | RAW_SUFFIXES or begins_like_image(path)


class Matches(NamedTuple):
    # Paths, and links to missing ones, in natural order without regard to case.
    paths: list[str]
    # Exports that match, or have matches in them.
    exports: list[str]
    # Folders that can't be listed, and may have matches.
    unlisted: list[str]

    def warnings(self, name: str) -> tuple[str, ...]:
        """What the pattern of this name leaves out."""
        left_out = (
            ("also matches files of exports of persqa, which are left out", self.exports),
            ("leaves out folders that can't be listed; check their permissions", self.unlisted),
        )
        return tuple(f"The pattern {name} {what}: {describe_names(those)}." for what, those in left_out if those)


def find_matches(pattern: str) -> Matches:
    """``**`` reaches the files in folders by itself. An export below the folder of the pattern is left out, as below a
    folder.
    """
    unlisted: list[str] = []
    matches = expand(os.path.expanduser(pattern), "", unlisted)
    if "**" in pattern:
        matches = (match for match in matches if not os.path.isdir(match))
    find_export = ExportSearch(find_root(pattern)).find_above
    above = {match: find_export(match) for match in matches}
    exports = dict.fromkeys(export for export in above.values() if export is not None)
    paths = [match for match, export in above.items() if export is None]
    return Matches(
        sorted(paths, key=sort_key),
        sorted(exports, key=sort_key),
        sorted(set(map(os.path.normpath, unlisted)), key=sort_key),
    )


class ExportSearch:
    """Looks for exports below a folder, at each folder once."""

    def __init__(self, root: Path) -> None:
        self._root_depth = len(root.parts)
        self._known: dict[str, str | None] = {}

    def find_above(self, path: str) -> str | None:
        """The export that the path is in, or that it is."""
        if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:
            return self._find_around(os.path.dirname(path))
        return self._find_around(path)

    def _find_around(self, folder: str) -> str | None:
        if folder not in self._known:
            is_below = len(Path(folder).parts) > self._root_depth
            above = self._find_around(os.path.dirname(folder)) if is_below else None
            self._known[folder] = above or (folder if is_below and is_export_folder(folder) else None)
        return self._known[folder]


def expand(pattern: str, root: str, unlisted: list[str]) -> Iterator[str]:
    """Expands like ``glob.iglob``, but ``**`` does not follow links to folders, as in a folder. Folders that can't be
    listed are added to ``unlisted``.
    """
    found = ANY_FOLDERS.search(pattern)
    if found is None:
        unlisted += find_unlisted(pattern, root)
        yield from (os.path.join(root, match) for match in glob.iglob(pattern, root_dir=root or None))
        return
    before, after = pattern[: found.start()], pattern[found.end() :]
    unlisted += find_unlisted(f"{before}*", root) if glob.has_magic(before) else ()
    starts = glob.iglob(before, root_dir=root or None) if before else [""]
    for start in starts:
        for folder in walk_folders(os.path.join(root, start), unlisted):
            yield from expand(after or "*", folder, unlisted)


def walk_folders(start: str, unlisted: list[str]) -> Iterator[str]:
    """The folder and the visible ones below it, without that of downloaded pictures."""
    pending = [start]
    while pending:
        folder = pending.pop()
        yield folder
        below = list_folders(folder)
        if below is None:
            unlisted.append(folder)
        pending += below or ()


def find_unlisted(pattern: str, root: str) -> Iterator[str]:
    """The folders at each level in which the next part of the pattern can't be looked for."""
    folders, name = os.path.split(pattern)
    if not folders or not name or not glob.has_magic(pattern):
        return
    yield from find_unlisted(folders, root)
    matches = (os.path.join(root, each) for each in glob.iglob(folders, root_dir=root or None))
    yield from (each for each in matches if is_private(each, name))


def is_private(folder: str, name: str) -> bool:
    """``os.access`` would not see all reasons."""
    try:
        if glob.has_magic(name):
            os.scandir(folder).close()
        else:
            os.lstat(os.path.join(folder, name))
    except OSError as error:
        return error.errno not in NO_FOLDER
    return False


def list_folders(folder: str) -> list[str] | None:
    """The visible folders in it; None if it can't be listed."""
    try:
        with os.scandir(folder or os.curdir) as entries:
            return [
                os.path.join(folder, entry.name)
                for entry in entries
                if not entry.name.startswith(".")
                and entry.name != FETCHED_FOLDER
                and entry.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return None


def find_root(pattern: str) -> Path:
    """The folder above the first part with a special character."""
    parts = Path(os.path.expanduser(pattern)).parts[:-1]
    plain = takewhile(lambda part: not glob.has_magic(ESCAPED.sub("", part)), parts)
    return Path(*(ESCAPED.sub(r"\1", part) for part in plain))


def find_special_part(pattern: str) -> str:
    """The pattern as seen from its folder."""
    parts = Path(os.path.expanduser(pattern)).parts
    return "/".join(parts[len(find_root(pattern).parts) :])


def find_in_folder(name: str, folder: str, leave_out: Callable[[Path], bool]) -> str | None:
    """The input as it is named from the working directory, if the folder has the file or matches of the pattern."""
    path = os.path.join(folder, name)
    if os.path.exists(path):
        return path
    pattern = os.path.join(glob.escape(folder), name)
    is_found = is_pattern(pattern) and not all(leave_out(Path(match)) for match in find_matches(pattern).paths)
    return pattern if is_found else None


class PatternSource(ImagesBelowSource):
    """The images that a pattern matches, named as seen from its folder."""

    def __init__(self, pattern: str, image_key: str, skipped: Sequence[str] = ()) -> None:
        super().__init__(pattern, find_root(pattern), image_key)
        self.pattern = find_special_part(pattern)
        # Other matches, which were not there at the first start.
        self._skipped = skipped
        # Of the last search.
        self._left_out: tuple[str, ...] | None = None

    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        matches = find_matches(self.name)
        self._left_out = matches.warnings(self.name)
        names = {os.path.relpath(match, self.folder).replace(os.sep, "/"): match for match in matches.paths}
        return (name for name, match in names.items() if not is_known(name) and is_image_file(match))

    def warnings(self) -> tuple[str, ...]:
        warnings = find_matches(self.name).warnings(self.name) if self._left_out is None else self._left_out
        if not self._skipped:
            return warnings
        are = "is no image and is" if len(self._skipped) == 1 else "are no images and are"
        return (
            *warnings,
            f"The pattern {self.name} also matches {describe_names(self._skipped)}, which {are} skipped: this run was "
            "started with images alone. Give the others to a run of their own.",
        )

    def as_written(self) -> Source:
        return ImagesSource([join_name(self.folder, name) for name in self.find_names(is_never_known)], self._image_key)

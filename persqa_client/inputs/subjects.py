"""The fields of a row, or the folder of its image, that define who the main character is."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from persqa_client.errors import RowError
from persqa_client.images.boxes import parse_boxes
from persqa_client.images.members import parse_member
from persqa_client.images.references import (
    DATA_URI,
    describe_reference,
    expand_absent,
    find_path,
    list_candidates,
    parse_local_path,
)
from persqa_client.questions.tags import parse_tag
from persqa_client.types import BoxFormat, BoxMark, BoxMode

# What can't be in a tag: letters, digits, hyphens, dots and underscores can.
NO_TAG_CHARACTERS = re.compile(r"[^\w.\-]+")
ENDS = "-._"
# Last parts of a path to a folder that are not the folder's name.
NO_NAMES = frozenset({"", os.curdir, os.pardir})
KNOWN_FOLDERS, KNOWN_PARENTS = 4096, 64


@dataclass(frozen=True, slots=True)
class SubjectFields:
    """Names of the fields that are read. None: the rows have no such field, or it means something else."""

    tag: str | None = "tag"
    description: str | None = None
    reference: str | None = None
    box: str | None = None
    box_format: BoxFormat = "xyxy"
    box_mode: BoxMode = "drawn"
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = (self.tag, self.description, self.reference, self.box)
        object.__setattr__(self, "names", tuple(name for name in names if name is not None))

    def parse_marks(self, fields: dict[str, Any], images: int) -> tuple[BoxMark | None, ...]:
        """Raises RowError (``box_invalid``), also for a row without the field, whose name may be misspelt."""
        if self.box is None:
            return ()
        if self.box not in fields:
            raise RowError(
                "box_invalid", f"the row has no field {self.box!r} (see --box-key); null stands for the whole image"
            )
        try:
            return parse_boxes(fields[self.box], self.box_format, self.box_mode, images)
        except RowError as error:
            raise RowError(error.code, f"the field {self.box!r} {error.message}") from error


TAG_FIELD = SubjectFields()
NO_FIELDS = SubjectFields(tag=None)


def find_folder_tag(reference: str, roots: Sequence[Path]) -> str:
    """The tag that is named by the folder in which the image lies. A missing image is expected in the first root.

    Raises RowError (``bad_tag``) if the folder's name can't be made a tag, or names that of a folder beside it, or the
    image is no file.
    """
    if DATA_URI.match(reference):
        raise RowError("bad_tag", "the image is a data: URI, which lies in no folder that names the tag")
    try:
        path = parse_local_path(reference)
    except RowError as error:
        raise RowError(error.code, f"the image {describe_reference(reference)} {error.message.rstrip('.')}") from error
    member = parse_member(path)
    path = path if member is None else member.file
    directory = os.path.dirname(path)
    if os.path.basename(directory) in NO_NAMES:
        # Only the place of the image gives the name.
        directory = os.path.dirname(os.path.abspath(locate_image(path, roots)))
    # The tag is the same in all roots.
    return make_folder_tag(directory, tuple(roots), os.getcwd())


def locate_image(path: str, roots: Sequence[Path]) -> str:
    try:
        found = find_path(path, roots)
    except (RowError, OSError, ValueError):
        found = None
    return found[0] if found is not None else list_candidates(expand_absent(path), roots or (Path(),))[0]


@lru_cache(KNOWN_FOLDERS)
def make_folder_tag(directory: str, roots: tuple[Path, ...], working_directory: str) -> str:
    """Cached, because most images have their folder in common. Raises RowError."""
    # Not the target of a link: the name that the user gave the folder counts.
    name = os.path.basename(directory)
    shown = describe_reference(name)
    try:
        tag = parse_tag(clean_folder_name(name))
    except ValueError as error:
        reason = f"the folder {shown!r} of the image can't name the tag: {error}"
        raise RowError("bad_tag", f"{reason}; rename the folder, or give the row a tag") from error
    for place in list_candidates(expand_absent(directory), roots or (Path(),)):
        parent = os.path.dirname(os.path.join(working_directory, place))
        named = name_tags(parent).get(tag)
        if named is not None and named != unicodedata.normalize("NFC", name):
            raise RowError(
                "bad_tag",
                f"the folders {describe_reference(named)!r} and {shown!r} both name the tag {tag}; rename one of them, "
                "or give the rows of one a tag",
            )
    return tag


@lru_cache(KNOWN_PARENTS)
def name_tags(parent: str) -> dict[str, str]:
    """The folders in ``parent`` by the tags that they name. Empty if it can't be read."""
    try:
        with os.scandir(parent) as entries:
            names = [unicodedata.normalize("NFC", entry.name) for entry in entries if entry.is_dir()]
    except OSError:
        return {}
    # Sorted, so that the order in which rows are read, or read again, does not count.
    tags: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name != clean_folder_name(name), name)):
        tags.setdefault(f"<{clean_folder_name(name)}>", name)
    return tags


def clean_folder_name(name: str) -> str:
    """``Anna Maria (2)`` -> ``Anna-Maria-2``. Macs decompose letters with accents in the names of files."""
    return NO_TAG_CHARACTERS.sub("-", unicodedata.normalize("NFC", name)).strip(ENDS)

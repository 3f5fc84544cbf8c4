"""Lists the pictures of a folder in the order that people count in. Reads directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from natsort import natsort_keygen, ns

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
natural_key = natsort_keygen(alg=ns.IGNORECASE)


def find_pictures(folder: Path) -> Iterator[str]:
    """Paths of all pictures in and below the folder, each ``normpath(join(folder, relative))``, so the same every time.

    A directory's own pictures come before those of its sub-directories, both in natural order whatever their case
    (``IMG_2.jpg`` before ``img_10.JPG``). A picture is what has a picture's suffix and is no directory: a link that
    leads nowhere is listed, to be reported as a row. Names with a leading dot are left out and links to directories are
    not followed. Memory holds one directory's names at a time. Raises SettingsError naming the directory that can't be
    read.
    """
    ahead = [os.fspath(folder)]
    while ahead:
        directory = ahead.pop()
        pictures, below = listing(directory)
        for name in sorted(pictures, key=in_order):
            yield os.path.normpath(os.path.join(directory, name))
        ahead += [os.path.join(directory, name) for name in sorted(below, key=in_order, reverse=True)]


def count_pictures(folder: Path) -> int:
    """How many find_pictures will yield, without putting them in order; raises as that does."""
    count, ahead = 0, [os.fspath(folder)]
    while ahead:
        directory = ahead.pop()
        pictures, below = listing(directory)
        count += len(pictures)
        ahead += [os.path.join(directory, name) for name in below]
    return count


def listing(directory: str) -> tuple[list[str], list[str]]:
    """Names of the pictures and of the directories in one directory, in no order."""
    pictures, below = [], []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif is_picture_name(entry.name) and not (entry.is_symlink() and os.path.isdir(entry.path)):
                    pictures.append(entry.name)
    except (OSError, ValueError) as error:
        # ValueError is what a name with a NUL gets.
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(
            f"The pictures in {describe_reference(directory)} can't be listed: {reason}; "
            "mend the path or move that folder away."
        ) from error
    return pictures, below


def is_picture_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def in_order(name: str) -> tuple[object, str]:
    """Natural order; names alike in it (``1.jpg``, ``01.JPG``) go by their letters, so nothing is left to chance."""
    return natural_key(name), name

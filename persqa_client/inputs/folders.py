"""Lists the images of a folder in natural order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from natsort import natsort_keygen, ns

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
natural_key = natsort_keygen(alg=ns.IGNORECASE)


def find_folder_images(folder: Path) -> Iterator[str]:
    """Paths of all images in the folder and below it, each as ``normpath(join(folder, relative))``.

    The images of a directory come before those of its sub-directories, both in natural order without regard to case
    (``IMG_2.jpg`` before ``img_10.JPG``). Files are chosen by their suffix. Broken links are included, so that they are
    reported as rows; names with a leading dot are not, and links to directories are not followed. Memory holds the
    names of one directory at a time. Raises SettingsError with the name of a directory that cannot be read.
    """
    pending = [os.fspath(folder)]
    while pending:
        directory = pending.pop()
        images, subdirectories = list_directory(directory)
        for name in sorted(images, key=sort_key):
            yield os.path.normpath(os.path.join(directory, name))
        pending += [os.path.join(directory, name) for name in sorted(subdirectories, key=sort_key, reverse=True)]


def count_folder_images(folder: Path) -> int:
    """How many paths find_folder_images yields, without sorting them. Raises as find_folder_images does."""
    count, pending = 0, [os.fspath(folder)]
    while pending:
        directory = pending.pop()
        images, subdirectories = list_directory(directory)
        count += len(images)
        pending += [os.path.join(directory, name) for name in subdirectories]
    return count


def list_directory(directory: str) -> tuple[list[str], list[str]]:
    """Names of the images and of the sub-directories of a directory, unsorted."""
    images, subdirectories = [], []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    subdirectories.append(entry.name)
                elif has_image_suffix(entry.name) and not (entry.is_symlink() and os.path.isdir(entry.path)):
                    images.append(entry.name)
    except (OSError, ValueError) as error:
        # os.scandir raises ValueError for a name with a NUL.
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        message = f"Cannot list the images in {describe_reference(directory)}: {reason}."
        raise SettingsError(f"{message} Correct the path, or move that folder elsewhere.") from error
    return images, subdirectories


def has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def sort_key(name: str) -> tuple[object, str]:
    """Natural order; names that are equal in it (``1.jpg``, ``01.JPG``) are ordered by their characters."""
    return natural_key(name), name

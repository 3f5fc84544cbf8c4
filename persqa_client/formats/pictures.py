"""Puts the pictures of an export where its rows name them: copied, linked, left in their place, or in the row.

Names in the export are those of the rows, in one folder, and do not depend on where the pictures lie. A name that is
taken gets a number.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import RowError
from persqa_client.formats.layout import PictureChoice, PictureLimits
from persqa_client.images.formats import detect_format
from persqa_client.images.prepare import load_image
from persqa_client.images.references import (
    DATA_URI,
    NamedErrors,
    describe_reference,
    get_file_version,
    parse_local_path,
    read_reference,
)
from persqa_client.storage.durable import write_error

FOLDER = "images"
# The file system, the rows' JSON and the consumers' marks take other characters in various ways.
UNSAFE = re.compile(r"[^\w.() +,=@~-]")
SENT_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
FORMAT_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
MAX_NAME_LENGTH = 120
# A row with a path to a picture that is not a file of its own.
INLINE = "image_inline"


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """``max_pixels`` is the limit of the run whose pictures are written as they were sent; None: as they are.

    ``target`` is the folder of the export when it is finished, and ``absolute`` whether the rows name it.
    """

    choice: PictureChoice
    target: Path
    limits: PictureLimits
    sent: bool = False
    absolute: bool = False


class PreparedPicture(NamedTuple):
    """Equal ``identity``: the same file in the export. ``data`` is None for a file that is not read."""

    identity: str
    name: str
    path: str
    data: bytes | None
    media_type: str


class PictureWriter:
    """Writes into ``folder``, which later gets the name ``settings.target``."""

    def __init__(self, settings: PictureSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    @property
    def file_count(self) -> int:
        return len(self._names)

    def place(self, references: Sequence[str], roots: Sequence[Path], max_pixels: int) -> tuple[str, ...]:
        """What the row names. Raises RowError if a picture can't be exported; then none of the row is written.

        Raises StorageError if the folder can't be written.
        """
        limit = self._settings.limits.max_count
        if limit is not None and len(references) > limit:
            raise RowError("too_many_images", f"the row has {len(references)} pictures; the format takes {limit}")
        prepared = [self._prepare(reference, roots, max_pixels) for reference in references]
        return tuple(self._store(each) for each in prepared)

    def _prepare(self, reference: str, roots: Sequence[Path], max_pixels: int) -> PreparedPicture:
        name = choose_picture_name(reference)
        if self._settings.sent:
            image = load_image(reference, roots, max_pixels=max_pixels)
            name = posixpath.splitext(name)[0] + SENT_SUFFIXES.get(image.media_type, "")
            picture = PreparedPicture("", name, "", image.data, image.media_type)
        elif (
            self._settings.choice != "embed"
            and (version := get_file_version(reference, roots)) is not None
            and version.size
        ):
            # Not read: a copy is made by the file system.
            return PreparedPicture(os.path.realpath(version.path), name, version.path, None, "")
        else:
            picture = self._read(reference, roots, name)
        self._check_limits(picture, reference)
        assert picture.data is not None
        return picture._replace(identity=f"{picture.name}\0{sha256(picture.data).hexdigest()}")

    def _read(self, reference: str, roots: Sequence[Path], name: str) -> PreparedPicture:
        with NamedErrors(reference):
            data = read_reference(reference, roots)
        if self._settings.choice == "leave":
            raise RowError(INLINE, f"{describe_reference(reference)} is not a file that could be left in its place")
        format = detect_format(data) or ""
        if DATA_URI.match(reference):
            name = f"data-{sha256(data).hexdigest()[:12]}{FORMAT_SUFFIXES.get(format, f'.{format.lower()}')}"
        return PreparedPicture("", name, "", data, f"image/{format.lower()}")

    def _check_limits(self, picture: PreparedPicture, reference: str) -> None:
        limits, size = self._settings.limits, len(picture.data or b"")
        if limits.media_types is not None and picture.media_type not in limits.media_types:
            problem = f"{describe_reference(reference)} is {picture.media_type}, which the format does not take"
            raise RowError("image_type", f"{problem}; --sent writes another type")
        if limits.max_bytes is not None and size > limits.max_bytes:
            problem = f"{describe_reference(reference)} has {size / 1e6:.1f} MB, and the format takes"
            raise RowError("image_too_large", f"{problem} {limits.max_bytes / 1e6:.0f} MB; --sent writes a smaller one")

    def _store(self, picture: PreparedPicture) -> str:
        if self._settings.choice == "embed":
            return f"data:{picture.media_type};base64,{base64.b64encode(picture.data or b'').decode()}"
        if self._settings.choice == "leave":
            return os.path.abspath(picture.path)
        name = self._names.get(picture.identity)
        if name is None:
            name = self._reserve(picture.name)
            self._write(picture, name)
            self._names[picture.identity] = name
        place = f"{FOLDER}/{name}"
        return os.path.join(os.path.abspath(self._settings.target), place) if self._settings.absolute else place

    def _reserve(self, name: str) -> str:
        """Names that differ in upper and lower case only are the same file on some systems."""
        stem, suffix = posixpath.splitext(name)
        number, chosen = 2, name
        while chosen.casefold() in self._taken:
            chosen, number = f"{stem}-{number}{suffix}", number + 1
        self._taken.add(chosen.casefold())
        return chosen

    def _write(self, picture: PreparedPicture, name: str) -> None:
        path = self._folder / FOLDER / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if picture.data is not None:
                path.write_bytes(picture.data)
            elif self._settings.choice == "link":
                link_file(picture.path, path)
            else:
                shutil.copyfile(picture.path, path)
        except OSError as error:
            raise write_error(path, error) from error


def link_file(source: str, path: Path) -> None:
    """A hard link, or a symbolic one to another file system."""
    try:
        os.link(os.path.realpath(source), path)
    except OSError:
        os.symlink(os.path.realpath(source), path)


def choose_picture_name(reference: str) -> str:
    """The path below the folder of the rows; of other paths, the name of the file and of its folder."""
    if DATA_URI.match(reference):
        return "data"
    path = parse_local_path(reference).replace("\\", "/")
    parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..", "~")]
    if posixpath.isabs(path) or ".." in path.split("/"):
        parts = parts[-2:]
    return "/".join(make_safe_name(part) for part in parts) or "image"


def make_safe_name(part: str) -> str:
    """Neither hidden nor taken for an option; shortened at the front, so that the suffix stays."""
    safe = UNSAFE.sub("_", part).lstrip(".-")[-MAX_NAME_LENGTH:]
    return safe.lstrip(".- ") or "_"

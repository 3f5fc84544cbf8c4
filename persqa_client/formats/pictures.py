"""Puts the pictures of an export where its rows name them: copied, linked, left in their place, or in the row.

Names in the export are those of the rows, in one folder, and do not depend on where the pictures lie. A name that is
taken gets a number.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from persqa_client.config import DEFAULT_MAX_PIXELS
from persqa_client.errors import RowError
from persqa_client.formats.layout import PictureChoice, PictureLimits, RowPicture
from persqa_client.images.fetched_files import is_fetchable, is_web_url, name_of_url
from persqa_client.images.formats import IMAGE_SUFFIXES, detect_format
from persqa_client.images.members import name_member, parse_member
from persqa_client.images.prepare import HEAD_BYTES, load_image
from persqa_client.images.references import (
    DATA_URI,
    NamedErrors,
    describe_reference,
    get_file_version,
    parse_local_path,
    raise_read_error,
    read_reference,
)
from persqa_client.storage.durable import write_error
from persqa_client.types import BoxMark

FOLDER = "images"
# The file system, the rows' JSON and the consumers' marks take other characters in various ways.
UNSAFE = re.compile(r"[^\w.() +,=@~-]")
SENT_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
FORMAT_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
MAX_NAME_LENGTH = 120
# File systems take 255, and a number may follow.
MAX_NAME_BYTES = 200
# Bytes of a file that are copied at once.
PIECE = 1_000_000
# A row with a path to a picture that is not a file of its own.
INLINE = "image_inline"


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """``sent``: whether pictures are written as they were sent.

    ``target`` is the folder of the export when it is finished, and ``absolute`` whether the rows name it.
    """

    choice: PictureChoice
    target: Path
    limits: PictureLimits
    sent: bool = False
    absolute: bool = False


class SentForm(NamedTuple):
    """The size and the boxes with which the pictures of a row were sent.

    ``marks``: of each image of the row, from the first on; the others have none.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    marks: tuple[BoxMark | None, ...] = ()

    def get_mark(self, number: int) -> BoxMark | None:
        return self.marks[number] if number < len(self.marks) else None


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
        self.settings = settings
        self._folder = folder
        self._names: dict[str, str] = {}
        # Names of files and of folders, folded.
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    @property
    def names(self) -> Collection[str]:
        """The names of the files that were written, below the folder of pictures."""
        return self._names.values()

    @property
    def file_count(self) -> int:
        return len(self._names)

    def place(
        self, pictures: Sequence[str], roots: Sequence[Path], form: SentForm, *, shows_character: bool = False
    ) -> tuple[str, ...]:
        """Writes the pictures, and returns their references in the row. Raises RowError if one can't be exported; then
        none of the row is written.

        ``shows_character``: the last picture is the reference, which does not count as one of the row.

        Raises StorageError if the folder can't be written.
        """
        prepared = self._prepare_all(pictures, roots, form, count=len(pictures) - shows_character)
        before = len(self._names)
        try:
            return tuple(self._store(each) for each in prepared)
        except RowError:
            self._remove_since(before)
            raise

    def load(self, references: Sequence[str], roots: Sequence[Path], form: SentForm) -> tuple[RowPicture, ...]:
        """The pictures with their bytes, for the choice "embed". Raises RowError if one of them can't be exported."""
        return tuple(
            RowPicture(each.name, each.data or b"", each.media_type)
            for each in self._prepare_all(references, roots, form, count=len(references))
        )

    def _prepare_all(
        self, references: Sequence[str], roots: Sequence[Path], form: SentForm, *, count: int
    ) -> list[PreparedPicture]:
        """``count``: of the pictures of the row itself."""
        limit = self.settings.limits.max_count
        if limit is not None and count > limit:
            raise RowError("too_many_images", f"the row has {count} pictures; the format takes {limit}")
        if count < self.settings.limits.min_count:
            raise RowError("no_image", "the row has no picture, and the format needs one")
        return [self._prepare(each, roots, form, number) for number, each in enumerate(references)]

    def _remove_since(self, count: int) -> None:
        for identity in list(self._names)[count:]:
            (self._folder / FOLDER / self._names.pop(identity)).unlink()

    def _prepare(self, reference: str, roots: Sequence[Path], form: SentForm, number: int) -> PreparedPicture:
        name = choose_picture_name(reference)
        if is_fetchable(reference) and not self.settings.sent:
            name = add_suffix(name, reference, roots)
        if self.settings.sent:
            image = load_image(reference, roots, max_pixels=form.max_pixels, mark=form.get_mark(number))
            name = posixpath.splitext(name)[0] + SENT_SUFFIXES.get(image.media_type, "")
            picture = PreparedPicture("", name, "", image.data, image.media_type)
        elif (
            self.settings.choice != "embed"
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
        if self.settings.choice == "leave":
            raise RowError(INLINE, f"{describe_reference(reference)} is not a file that could be left in its place")
        format = detect_format(data) or ""
        suffix = FORMAT_SUFFIXES.get(format, f".{format.lower()}")
        if parse_member(reference) is not None and not posixpath.splitext(name)[1]:
            name = f"{name}{suffix}"
        if DATA_URI.match(reference):
            name = f"data-{sha256(data).hexdigest()[:12]}{suffix}"
        return PreparedPicture("", name, "", data, f"image/{format.lower()}")

    def _check_limits(self, picture: PreparedPicture, reference: str) -> None:
        limits, size = self.settings.limits, len(picture.data or b"")
        if limits.media_types is not None and picture.media_type not in limits.media_types:
            problem = f"{describe_reference(reference)} is {picture.media_type}, which the format does not take"
            raise RowError("image_type", f"{problem}; --sent writes another type")
        if limits.max_bytes is not None and size > limits.max_bytes:
            problem = f"{describe_reference(reference)} has {size / 1e6:.1f} MB, and the format takes"
            raise RowError("image_too_large", f"{problem} {limits.max_bytes / 1e6:.0f} MB; --sent writes a smaller one")

    def _store(self, picture: PreparedPicture) -> str:
        if self.settings.choice == "embed":
            return f"data:{picture.media_type};base64,{base64.b64encode(picture.data or b'').decode()}"
        if self.settings.choice == "leave":
            return os.path.abspath(picture.path)
        name = self._names.get(picture.identity)
        if name is None:
            name = self._reserve(picture.name)
            self._write(picture, name)
            self._names[picture.identity] = name
        place = f"{FOLDER}/{name}"
        return os.path.join(os.path.abspath(self.settings.target), place) if self.settings.absolute else place

    def _reserve(self, name: str) -> str:
        """No file and no folder has the name of a file."""
        *folders, last = name.split("/")
        place = ""
        for folder in folders:
            place = number_name(f"{place}{folder}", lambda each: each in self._taken)
            self._folders.add(fold_name(place))
            place += "/"
        chosen = number_name(f"{place}{last}", lambda each: each in self._taken or each in self._folders)
        self._taken.add(fold_name(chosen))
        return chosen

    def _write(self, picture: PreparedPicture, name: str) -> None:
        path = self._folder / FOLDER / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if picture.data is not None:
                path.write_bytes(picture.data)
            elif self.settings.choice == "link":
                link_file(picture.path, path)
            else:
                copy_file(picture.path, path)
        except OSError as error:
            raise write_error(path, error) from error
        except RowError:
            path.unlink()
            raise


def fold_name(name: str) -> str:
    """Equal for names that are one on some systems: in upper and lower case, and with composed and separate accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def number_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """``is_taken`` gets the folded name."""
    stem, suffix = posixpath.splitext(name)
    number, chosen = 2, name
    while is_taken(fold_name(chosen)):
        chosen, number = f"{stem}-{number}{suffix}", number + 1
    return chosen


def copy_file(source: str, path: Path) -> None:
    """Raises RowError if the source can't be read, and OSError if the copy can't be written."""
    with path.open("wb") as copy, NamedErrors(source), open_picture_file(source) as file:
        while piece := read_piece(file):
            copy.write(piece)


def open_picture_file(path: str) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise_read_error(error)


def read_piece(file: FileIO) -> bytes:
    try:
        return file.read(PIECE)
    except OSError as error:
        raise_read_error(error)


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
    if is_fetchable(reference):
        inside = None if is_web_url(reference) else parse_member(reference)
        return make_safe_name(name_of_url(reference) or "image" if inside is None else name_member(inside))
    path = parse_local_path(reference).replace("\\", "/")
    if (member := parse_member(path)) is not None:
        return make_safe_name(name_member(member))
    parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..", "~")]
    if posixpath.isabs(path) or ".." in path.split("/"):
        parts = parts[-2:]
    return "/".join(make_safe_name(part) for part in parts) or "image"


def add_suffix(name: str, reference: str, roots: Sequence[Path]) -> str:
    """Adds the suffix of the format if the URL of a downloaded picture has no suffix, or that of a page such as
    ``.php``.
    """
    version = get_file_version(reference, roots)
    if version is None or posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES:
        return name
    with NamedErrors(reference), open_picture_file(version.path) as file:
        format = detect_format(file.read(HEAD_BYTES)) or ""
    return f"{name}{FORMAT_SUFFIXES.get(format, f'.{format.lower()}')}"


def make_safe_name(part: str) -> str:
    """A name that is neither hidden nor like an option. It is shortened at the front, so that the suffix stays."""
    safe = UNSAFE.sub("_", part).lstrip(".-")[-MAX_NAME_LENGTH:]
    safe = safe.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")
    return safe.lstrip(".- ") or "_"

"""Prepares an image for sending.

An upright, opaque, still 8-bit JPEG, PNG or WebP in sRGB and within the limits of size is sent unchanged, without its
metadata. Other images are decoded and re-encoded.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import stringzilla
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.colour import changes_colours
from persqa_client.images.containers import (
    MissingEnd,
    StrippedImage,
    TruncatedImage,
    check_bmp,
    check_gif,
    check_tiff,
    is_raw_photo,
)
from persqa_client.images.decode import (
    BOMB_ERRORS,
    DECODER_ERRORS,
    OPENERS,
    check_dimensions,
    open_image,
    reencode_image,
    truncated_error,
)
from persqa_client.images.end_markers import restore_end
from persqa_client.images.formats import (
    RAW_PHOTO,
    RAW_SUFFIXES,
    SUPPORTED,
    describe_content,
    detect_format,
    is_unsupported_image,
)
from persqa_client.images.heif import check_heif, merge_associations
from persqa_client.images.jpeg import strip_jpeg
from persqa_client.images.members import MAX_FILE_BYTES
from persqa_client.images.png import strip_png
from persqa_client.images.references import FileVersion, NamedErrors, get_file_version, read_reference
from persqa_client.images.sizes import fit_size
from persqa_client.images.webp import strip_webp
from persqa_client.types import BoxMark, EncodedImage

# A reference may be a long data: URI.
MAX_SUFFIX_LENGTH = 8

# Formats that can be sent unchanged, without metadata. Stripping also detects truncated files.
STRIPPERS: dict[str, Callable[[bytes], StrippedImage]] = {"JPEG": strip_jpeg, "PNG": strip_png, "WEBP": strip_webp}
# Formats that are always re-encoded.
COMPLETENESS_CHECKS: dict[str, Callable[[bytes], None]] = {
    "GIF": check_gif,
    "BMP": check_bmp,
    "TIFF": check_tiff,
    "AVIF": check_heif,
    "HEIC": check_heif,
}
# Formats whose header shows whether an image can be sent. TIFFs may be raw photos.
PLAIN_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP"})
# Bytes that show a format.
HEAD_BYTES = 4096
# Not images, or formats without any mark of their own, for which Pillow takes text and other files.
NO_IMAGES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "IM", "IMT", "PCD"})


@dataclass(frozen=True)
class SourceImage:
    reference: str
    format: str
    data: bytes  # without metadata if it can be removed without decoding
    orientation: int = 1
    profile: bytes = b""  # ICC profile, if the colours are not sRGB
    plain_size: tuple[int, int] | None = None  # width and height if the file can be sent unchanged

    @cached_property
    def digest(self) -> bytes:
        """Equal for equal images, independent of file names and metadata."""
        digest = blake2b(self.data, digest_size=16, salt=bytes([self.orientation]))
        digest.update(self.profile)
        return digest.digest()

    @property
    def content_digest(self) -> str:
        """Tells a changed image from an unchanged one. Much cheaper than ``digest``, but not safe against forgery."""
        hash, seed = stringzilla.hash, self.orientation
        return f"{hash(self.data, seed):016x}{hash(self.profile, seed):016x}"

    def as_is(self, max_pixels: int) -> EncodedImage | None:
        size = self.plain_size
        if size is None or fit_size(size, max_pixels) != size:
            return None
        media_type = f"image/{self.format.lower()}"
        return EncodedImage(self.data, media_type, *size, source_digest=self.content_digest)

    def reencoded(self, max_pixels: int, mark: BoxMark | None = None) -> EncodedImage:
        """Takes about 30 ms for 12 megapixels. Raises RowError like reencode_image."""
        with NamedErrors(self.reference):
            image = reencode_image(self.data, self.format, self.orientation, max_pixels, self.profile, mark)
        return replace(image, source_digest=self.content_digest)


def load_image(reference: str, roots: Sequence[Path], *, max_pixels: int, mark: BoxMark | None = None) -> EncodedImage:
    """``reference`` is a path (relative ones are looked up in each of ``roots``), a file:// URL or a data: URI. Blocks.

    Raises RowError like read_image and reencode_image.
    """
    source = read_image(reference, roots)
    plain = source.as_is(max_pixels) if mark is None else None
    return plain or source.reencoded(max_pixels, mark)


def read_image(reference: str, roots: Sequence[Path]) -> SourceImage:
    """Raises RowError ``image_not_a_picture``, ``image_unsupported``, ``image_truncated``, ``image_extreme_ratio`` or
    ``image_bomb``, or like read_reference.
    """
    with NamedErrors(reference):
        return _parse_image(reference, read_reference(reference, roots))


def parse_image(reference: str, data: bytes, *, restores_end: bool = True) -> SourceImage:
    """Detects the format of a file's content and removes its metadata. Raises like read_image.

    Fast without ``restores_end``: a file that lacks only its end marker is refused, too.
    """
    with NamedErrors(reference):
        return _parse_image(reference, data, restores_end)


def check_picture_data(reference: str, data: bytes) -> None:
    """Raises RowError as read_image does, without a subject."""
    _parse_image(reference, data)


def _parse_image(reference: str, data: bytes, restores_end: bool = True) -> SourceImage:
    format = detect_format(data)
    if format in (None, "TIFF") and has_raw_suffix(reference):
        raise raw_photo_error()
    if format is None:
        raise other_format_error(data)
    is_whole = True
    try:
        stripped = strip_metadata(data, format)
    except TruncatedImage as error:
        can_restore = restores_end and isinstance(error, MissingEnd)
        data, is_whole = (can_restore and restore_end(data, format)) or b"", False
        if not data:
            raise truncated_error(format) from error
        try:
            stripped = strip_metadata(data, format)
        except TruncatedImage:
            # It is broken in the middle, and not only without its end.
            raise truncated_error(format) from error
    if stripped is None:
        return SourceImage(reference, format, merge_associations(data) if format == "AVIF" else data)
    check_dimensions(stripped.width, stripped.height, format)
    profile = stripped.profile if stripped.profile and changes_colours(stripped.profile) else b""
    is_plain = is_whole and stripped.plain and stripped.orientation == 1 and not profile
    plain_size = (stripped.width, stripped.height) if is_plain else None
    return SourceImage(reference, format, stripped.data, stripped.orientation, profile, plain_size)


def other_format_error(data: bytes) -> RowError:
    if is_unsupported_image(data):
        return RowError("image_unsupported", f"is {describe_content(data)}; {SUPPORTED}.")
    if description := describe_other_image(data):
        return RowError("image_unsupported", f"is {description}; {SUPPORTED}.")
    return RowError("image_not_a_picture", f"is {describe_content(data)}; {SUPPORTED}.")


@lru_cache(maxsize=1)
def list_other_formats() -> list[str]:
    Image.init()
    return [format for format in Image.OPEN if format not in OPENERS and format not in NO_IMAGES]


def describe_other_image(data: bytes) -> str | None:
    """Describes the image, for a message after "is"; None if Pillow does not support the format."""
    for format in list_other_formats():
        factory, accepts = Image.OPEN[format]
        try:
            if accepts is not None and accepts(data[:16]) is not True:
                continue
            opened = factory(io.BytesIO(data), "")
        except (*DECODER_ERRORS, *BOMB_ERRORS, DeprecationWarning):
            continue
        if min(opened.size) > 0:
            return f"an image of the format {format} ({opened.format_description})"
    return None


def has_raw_suffix(reference: str) -> bool:
    return os.path.splitext(reference[-MAX_SUFFIX_LENGTH:])[1].lower() in RAW_SUFFIXES


def raw_photo_error() -> RowError:
    return RowError("image_unsupported", f"is {RAW_PHOTO}; export it as JPEG.")


def strip_metadata(data: bytes, format: str) -> StrippedImage | None:
    """None for formats that are always re-encoded. Raises TruncatedImage."""
    if format in STRIPPERS:
        return STRIPPERS[format](data)
    if format == "TIFF" and is_raw_photo(data):
        raise raw_photo_error()
    COMPLETENESS_CHECKS[format](data)
    return None


class PictureSize(NamedTuple):
    # Size of the file.
    bytes: int
    # In pixels, before it is turned upright or reduced.
    width: int
    height: int


def measure_picture(reference: str, roots: Sequence[Path]) -> PictureSize:
    """Reads the whole file only if its header does not suffice.

    A plain file that is cut off later is not noticed. Raises RowError like ``read_image``. Blocks.
    """
    version = get_file_version(reference, roots)
    size = None if version is None or version.size > MAX_FILE_BYTES else read_picture_header(version)
    if size is not None:
        with NamedErrors(reference):
            check_dimensions(size.width, size.height, "")
        return size
    source = read_image(reference, roots)
    with NamedErrors(reference):
        opened = open_image(source.data, source.format)
    return PictureSize(len(source.data) if version is None else version.size, *opened.size)


def read_picture_header(version: FileVersion) -> PictureSize | None:
    """None if the header does not show the size of an image that can be sent."""
    try:
        with open(version.path, "rb") as file:
            format = detect_format(file.read(HEAD_BYTES))
            if format not in PLAIN_FORMATS:
                return None
            file.seek(0)
            opened = OPENERS[format](file)  # type: ignore[arg-type]
            return PictureSize(version.size, *opened.size)
    except (*DECODER_ERRORS, *BOMB_ERRORS, RowError):
        return None

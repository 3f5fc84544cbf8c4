"""From an image reference to the image that is sent.

The format is detected from the content, never from the name. An upright, opaque, still 8-bit JPEG, PNG or WebP within
the pixel limit is sent as it is, without its metadata; any other image is decoded and encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from persqa_client.errors import RowError
from persqa_client.images.containers import StrippedImage, TruncatedImage, check_bmp, check_gif, check_tiff
from persqa_client.images.decode import check_dimensions, reencode_image, truncated_error
from persqa_client.images.formats import SUPPORTED, describe_content, detect_format, is_unsupported_image
from persqa_client.images.heif import check_heif
from persqa_client.images.jpeg import strip_jpeg
from persqa_client.images.png import strip_png
from persqa_client.images.references import name_reference_in_errors, read_reference
from persqa_client.images.webp import strip_webp
from persqa_client.types import EncodedImage

# Formats that can be sent as they are, without their metadata. Stripping also finds truncated files.
STRIPPERS: dict[str, Callable[[bytes], StrippedImage]] = {"JPEG": strip_jpeg, "PNG": strip_png, "WEBP": strip_webp}
# Formats that are always decoded and encoded again.
COMPLETENESS_CHECKS: dict[str, Callable[[bytes], None]] = {
    "GIF": check_gif,
    "BMP": check_bmp,
    "TIFF": check_tiff,
    "AVIF": check_heif,
    "HEIC": check_heif,
}


@dataclass(frozen=True)
class SourceImage:
    """A complete image file that has not been decoded."""

    reference: str
    format: str
    data: bytes  # without metadata where that can be removed without decoding
    orientation: int = 1
    plain_size: tuple[int, int] | None = None  # width and height if the file can be sent as it is

    @cached_property
    def digest(self) -> bytes:
        """Equal for files that show the same image, whatever their names and their metadata."""
        return blake2b(self.data, digest_size=16, salt=bytes([self.orientation])).digest()

    def as_is(self, max_pixels: int) -> EncodedImage | None:
        """The image without decoding it; None if it must be decoded and encoded again."""
        if self.plain_size is None or self.plain_size[0] * self.plain_size[1] > max_pixels:
            return None
        return EncodedImage(self.data, f"image/{self.format.lower()}", *self.plain_size)

    def reencoded(self, max_pixels: int) -> EncodedImage:
        """Raises RowError as reencode_image does. Takes some 30 ms for a photo of 12 megapixels."""
        with name_reference_in_errors(self.reference):
            return reencode_image(self.data, self.format, self.orientation, max_pixels)


def load_image(reference: str, roots: Sequence[Path], *, max_pixels: int) -> EncodedImage:
    """The image upright, opaque, without metadata, of at most ``max_pixels`` (width times height).

    ``reference`` is a path (a relative one is looked up in each of ``roots`` in turn), a file:// URL or a data: URI.
    Blocks while it reads and decodes. Raises RowError as read_image and reencode_image do.
    """
    source = read_image(reference, roots)
    return source.as_is(max_pixels) or source.reencoded(max_pixels)


def read_image(reference: str, roots: Sequence[Path]) -> SourceImage:
    """Reads and checks an image file, and removes its metadata if that is possible without decoding.

    Raises RowError ``image_not_a_picture``, ``image_unsupported``, ``image_truncated``, ``image_extreme_ratio`` or
    ``image_bomb``, or as read_reference does.
    """
    with name_reference_in_errors(reference):
        data = read_reference(reference, roots)
        format = detect_format(data)
        if format is None:
            code = "image_unsupported" if is_unsupported_image(data) else "image_not_a_picture"
            raise RowError(code, f"is {describe_content(data)}; {SUPPORTED}.")
        try:
            stripped = strip_metadata(data, format)
        except TruncatedImage as error:
            raise truncated_error(format) from error
        if stripped is None:
            return SourceImage(reference, format, data)
        check_dimensions(stripped.width, stripped.height, format)
    plain_size = (stripped.width, stripped.height) if stripped.plain and stripped.orientation == 1 else None
    return SourceImage(reference, format, stripped.data, stripped.orientation, plain_size)


def strip_metadata(data: bytes, format: str) -> StrippedImage | None:
    """The file without metadata; None for formats that are always encoded again. Raises TruncatedImage."""
    if format in STRIPPERS:
        return STRIPPERS[format](data)
    COMPLETENESS_CHECKS[format](data)
    return None

"""From a row's picture reference to the picture that goes over the wire. Reads files.

What a file is, its bytes say, never its name. An upright, opaque, still 8-bit JPEG, PNG or WebP within the limit keeps
its own bytes without its metadata; anything else is decoded once and encoded once, so that none of the original's
metadata gets out.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pi_heif import HeifImageFile
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from persqa_client.errors import RowError
from persqa_client.images.colour import opaque
from persqa_client.images.containers import Stripped, Truncated
from persqa_client.images.formats import KNOWN, READERS, detect_format, is_foreign_picture, strip, words_for
from persqa_client.images.heif import unlink_metadata
from persqa_client.images.orientation import exif_orientation
from persqa_client.images.references import describe_reference, read_reference
from persqa_client.types import EncodedImage

MAX_DECODED_PIXELS = 200_000_000
MAX_RATIO = 200
"""Qwen's image processors refuse 200:1 and more (``MAX_RATIO`` in qwen-vl-utils), and there is nothing to see in it."""
JPEG_QUALITY = 90
JPEG_MAX_SIDE = 65_500
"""libjpeg's JPEG_MAX_DIMENSION."""
SMALL_SIDE = 64
"""Drawings smaller than this stay lossless: JPEG would blur what little there is, and PNG costs no more."""

OPENERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
    "HEIC": HeifImageFile,
}
"""Called directly: Image.open would warn about sizes, and would try every other format that Pillow has."""

Redraw = Callable[[bytes, str, int, int, str], EncodedImage]
"""``redrawn``, or what spares some of its work."""

BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
DAMAGE = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, EOFError, struct.error),
    UserWarning,
)
"""What Pillow's and pi-heif's readers raise for damaged files: they read on in good faith until something gives way.

Pillow also warns of damaged TIFF tags, which comes as an exception where warnings are errors.
"""


def load_image(reference: str, roots: Sequence[Path], *, max_pixels: int, redraw: Redraw | None = None) -> EncodedImage:
    """The picture upright, opaque, without metadata, of at most ``max_pixels`` (width times height).

    ``reference`` is a path (a relative one is looked up in each root in turn), a file:// URL or a data: URI;
    ``redraw`` stands in for ``redrawn``. Raises
    RowError: ``image_not_a_picture``, ``image_unsupported``, ``image_truncated``, ``image_extreme_ratio``,
    ``image_bomb``, or one of read_reference's. Blocks while it reads and decodes: call it in a thread.
    """
    data = read_reference(reference, roots)
    name = describe_reference(reference)
    format = detect_format(data)
    if format is None:
        code = "image_unsupported" if is_foreign_picture(data) else "image_not_a_picture"
        raise RowError(code, f"{name} is {words_for(data)}; {KNOWN}.")
    try:
        return picture_of(data, format, max_pixels, name, redraw or redrawn)
    except Truncated as error:
        raise RowError(
            "image_truncated", f"{name} begins as {format} but is cut off or damaged; fetch it anew."
        ) from error


def picture_of(data: bytes, format: str, max_pixels: int, name: str, redraw: Redraw) -> EncodedImage:
    """Raises RowError for what won't do by its size or colours, and Truncated for broken files."""
    stripped = strip(data, format)
    if stripped is None:
        return redraw(data, format, 1, max_pixels, name)
    check_size(stripped.width, stripped.height, name)
    own = own_bytes(stripped, format, max_pixels)
    return redraw(stripped.data, format, stripped.orientation, max_pixels, name) if own is None else own


def ready(data: bytes, max_pixels: int) -> EncodedImage | None:
    """The picture, if it goes out as its own bytes; None for all else, broken files included."""
    format = detect_format(data)
    if format not in READERS:
        return None
    try:
        stripped = READERS[format](data)
        check_size(stripped.width, stripped.height, "")
    except (Truncated, RowError):
        return None
    return own_bytes(stripped, format, max_pixels)


def own_bytes(stripped: Stripped, format: str, max_pixels: int) -> EncodedImage | None:
    if stripped.plain and stripped.orientation == 1 and stripped.width * stripped.height <= max_pixels:
        return EncodedImage(stripped.data, f"image/{format.lower()}", stripped.width, stripped.height)
    return None


def check_size(width: int, height: int, name: str) -> None:
    """Raises RowError for too many pixels or too long a shape, Truncated for a header that says there are none."""
    if width < 1 or height < 1:
        raise Truncated("no pixels")
    if width * height > MAX_DECODED_PIXELS:
        raise RowError("image_bomb", f"{name} has {width} x {height} pixels; {too_many()}.")
    if max(width, height) >= MAX_RATIO * min(width, height):
        limit = f"models refuse {MAX_RATIO}:1 and more"
        raise RowError("image_extreme_ratio", f"{name} has {width} x {height} pixels; {limit}, so crop it.")


def too_many() -> str:
    return f"at most {MAX_DECODED_PIXELS // 1_000_000} million are decoded, so make it smaller first"


def redrawn(data: bytes, format: str, orientation: int, max_pixels: int, name: str) -> EncodedImage:
    """Decoded (the first frame), made opaque 8-bit, reduced, turned upright, and encoded. Raises as picture_of does."""
    if format == "HEIC":
        data = unlink_metadata(data)
    with decoder_errors(name):
        opened = OPENERS[format](io.BytesIO(data))
    check_size(*opened.size, name)
    if opened.mode == "LAB":
        raise RowError("image_unsupported", f"{name} holds its colours as CIELAB; save it as RGB first.")
    if format == "AVIF":
        # TIFF is turned by Pillow and HEIC by libheif while they decode; GIF and BMP know no turning.
        orientation = exif_orientation(opened.info.get("exif", b""))
    target = fit_to_pixels(opened.size, max_pixels)
    with decoder_errors(name):
        if format == "JPEG":
            # Decodes at 1/2, 1/4 or 1/8 of the size where that is still at least what is wanted.
            opened.draft(None, target)
        opened.load()
    if format == "HEIC":
        # libheif may find another size than the header's when it decodes.
        target = fit_to_pixels(opened.size, max_pixels)
    image = opaque(opened, data)
    if image.size != target:
        image = image.resize(target, Image.Resampling.LANCZOS)
    return encoded(upright(image, orientation), format)


@contextmanager
def decoder_errors(name: str) -> Iterator[None]:
    """Around a decoder's work alone, so that a mistake of ours is not taken for a damaged file."""
    try:
        yield
    except BOMB as error:
        raise RowError("image_bomb", f"{name} unpacks to more pixels than it says; {too_many()}.") from error
    except DAMAGE as error:
        raise Truncated(str(error)) from error


def fit_to_pixels(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The size itself if it is within ``max_pixels``, else the largest of (nearly) its ratio that is."""
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    short = max(1, int(min(size) * scale))
    long = min(int(max(size) * scale), max_pixels // short)
    return (long, short) if width > height else (short, long)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turned as EXIF's orientation asks."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def encoded(image: Image.Image, format: str) -> EncodedImage:
    # Pillow writes what it finds here (GIF comments, profiles) into the new file.
    image.info.clear()
    small = format in ("PNG", "GIF", "BMP") and max(image.size) < SMALL_SIDE
    target = "PNG" if small or max(image.size) > JPEG_MAX_SIDE else "JPEG"
    out = io.BytesIO()
    image.save(out, target, quality=JPEG_QUALITY)
    return EncodedImage(out.getvalue(), f"image/{target.lower()}", *image.size)

"""A table of valid image files of many kinds, and how each arrives at the server."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from PIL import Image

from tests.images import image_files
from tests.images.image_files import BLUE, HEIC, RED, WHITE, XMP, encode, make_exif

MAX_PIXELS = 60_000  # of the run that sends the files
HEIGHT = 120
GREYS = (0, 36, 72, 109, 145, 181, 218, 255)
# Where the colours of a scene are compared: its corners, and the middles of its greys.
POINTS = ((16, 16), (16, 104), (150, 16), (150, 104), *((24 + 16 * place, 60) for place in range(8)))
# Each scene has a size of its own, so that the image that arrived can be told from the others.
WIDTHS = count(200)

# How an upright image is stored so that this orientation rotates it upright again.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class ValidFile:
    """A file, and the image that arrives."""

    data: bytes
    upright: Image.Image
    media_type: str = "image/jpeg"
    tolerance: int = 5
    as_is: bool = False  # whether it is sent without encoding it again
    suffix: str = "dat"
    size: tuple[int, int] | None = None  # as it arrives, if other than that of ``upright``
    points: tuple[tuple[int, int], ...] = POINTS


def draw_scene(width: int = 0, height: int = HEIGHT, ground: Any = WHITE, mode: str = "RGB") -> Image.Image:
    """Red at the top left, a row of greys in the middle."""
    image = Image.new(mode, (width or next(WIDTHS), height), ground)
    opaque = (255,) if mode == "RGBA" else ()
    image.paste((*RED, *opaque), (0, 0, 32, 32))
    for place, grey in enumerate(GREYS):
        image.paste((grey, grey, grey, *opaque), (16 + 16 * place, 44, 32 + 16 * place, 76))
    return image


def drawing_type(kind: str) -> str:
    """Media type of a scene that is encoded again: it has few colours."""
    return "image/png" if kind in ("PNG", "GIF", "BMP", "TIFF") else "image/jpeg"


def sent_as_is(kind: str, make: Callable[..., bytes], mode: str = "RGB", **settings: Any) -> ValidFile:
    upright = draw_scene().convert(mode)
    data = make(upright, **settings)
    tolerance = 0 if kind == "png" or settings.get("lossless") else 8
    return ValidFile(data, upright, f"image/{kind}", tolerance, as_is=True)


def reencoded(kind: str, mode: str = "RGB", *, tolerance: int = 5, **settings: Any) -> ValidFile:
    image = draw_scene()
    if mode == "1":
        image = image.convert("1", dither=Image.Dither.NONE)
    else:
        image = image.convert(mode, palette=Image.Palette.ADAPTIVE)
    return ValidFile(encode(image, kind, **settings), image.convert("RGB"), drawing_type(kind), tolerance)


def rotated(kind: str, orientation: int) -> ValidFile:
    upright = draw_scene()
    stored = upright.transpose(TRANSPOSITIONS[orientation]) if orientation in TRANSPOSITIONS else upright
    makes: dict[str, Callable[..., bytes]] = {
        "JPEG": image_files.jpeg_with_metadata,
        "PNG": image_files.png_with_metadata,
        "WEBP": image_files.webp_with_metadata,
    }
    make = makes.get(kind)
    data = make(stored, orientation=orientation) if make else encode(stored, kind, exif=make_exif(orientation))
    as_is = orientation == 1 and make is not None
    return ValidFile(data, upright, f"image/{kind.lower()}" if as_is else drawing_type(kind), tolerance=12, as_is=as_is)


def with_16_bits(kind: str, **settings: Any) -> ValidFile:
    """16-bit grey, nearly all of which would be white if it were clipped at 255."""
    upright = draw_scene().convert("L")
    values = struct.pack(f"<{len(upright.tobytes())}H", *(value * 257 for value in upright.tobytes()))
    return ValidFile(
        encode(Image.frombytes("I;16", upright.size, values), kind, **settings), upright, drawing_type(kind)
    )


def transparent(kind: str, **settings: Any) -> ValidFile:
    """The transparent pixels are black."""
    image = draw_scene(ground=(0, 0, 0, 0), mode="RGBA")
    return ValidFile(encode(image, kind, **settings), draw_scene(image.width), drawing_type(kind), tolerance=8)


def animated(kind: str, **settings: Any) -> ValidFile:
    upright = draw_scene()
    later = [Image.new("RGB", upright.size, colour) for colour in (BLUE, "black")]
    return ValidFile(
        encode(upright, kind, save_all=True, append_images=later, **settings), upright, drawing_type(kind), tolerance=12
    )


def too_large(kind: str, width: int, height: int, size: tuple[int, int], **settings: Any) -> ValidFile:
    big = draw_scene(width, height)
    return ValidFile(encode(big, kind, exif=make_exif(), **settings), big, drawing_type(kind), size=size, tolerance=8)


def with_suffix(file: ValidFile, suffix: str) -> ValidFile:
    return replace(file, suffix=suffix)


def heic() -> ValidFile:
    upright = image_files.red_and_blue(32, 16).transpose(Image.Transpose.ROTATE_270)
    return ValidFile(HEIC, upright, tolerance=12, size=(32, 64), points=((4, 4), (12, 4), (4, 28), (12, 28)))


VALID_FILES: dict[str, ValidFile] = {
    "JPEG with EXIF, GPS, XMP, IPTC, ICC, comment, thumbnail and motion video": sent_as_is(
        "jpeg", image_files.jpeg_with_metadata
    ),
    "JPEG in grey": sent_as_is("jpeg", image_files.jpeg_with_metadata, "L"),
    "progressive JPEG": sent_as_is("jpeg", image_files.jpeg_with_metadata, progressive=True),
    "JPEG named .png": with_suffix(sent_as_is("jpeg", image_files.jpeg_with_metadata), "png"),
    "PNG with text, eXIf, profile, time and trailing bytes": sent_as_is("png", image_files.png_with_metadata),
    "PNG in grey": sent_as_is("png", image_files.png_with_metadata, "L"),
    "PNG named .jpg": with_suffix(sent_as_is("png", image_files.png_with_metadata), "jpg"),
    "lossy WebP with EXIF, XMP, ICC and trailing bytes": sent_as_is("webp", image_files.webp_with_metadata),
    "lossless WebP with EXIF, XMP, ICC and trailing bytes": sent_as_is(
        "webp", image_files.webp_with_metadata, lossless=True
    ),
    "CMYK JPEG": reencoded("JPEG", "CMYK", tolerance=8, exif=make_exif(), quality=95),
    "palette PNG": reencoded("PNG", "P", exif=make_exif()),
    "1-bit PNG": reencoded("PNG", "1", exif=make_exif()),
    "16-bit PNG": with_16_bits("PNG", exif=make_exif()),
    "PNG with alpha": transparent("PNG", exif=make_exif()),
    "GIF with a comment": reencoded("GIF", comment=b"secret note"),
    "animated GIF": animated("GIF", comment=b"secret note"),
    "GIF with a transparent colour": transparent("GIF"),
    "BMP": reencoded("BMP"),
    "BMP with a palette": reencoded("BMP", "P"),
    "1-bit BMP": reencoded("BMP", "1"),
    "TIFF": reencoded("TIFF", exif=make_exif(), description="secret note"),
    "TIFF with LZW": reencoded("TIFF", compression="tiff_lzw"),
    "BigTIFF": reencoded("TIFF", big_tiff=True),
    "TIFF of a fax": reencoded("TIFF", "1", compression="group4"),
    "CMYK TIFF": reencoded("TIFF", "CMYK"),
    "16-bit TIFF": with_16_bits("TIFF"),
    "16-bit TIFF with deflate": with_16_bits("TIFF", compression="tiff_adobe_deflate"),
    "TIFF with alpha": transparent("TIFF"),
    "TIFF of two pages": animated("TIFF"),
    "WebP with alpha": transparent("WEBP", lossless=True, exif=make_exif(), xmp=XMP),
    "lossy WebP with alpha": transparent("WEBP", quality=100, exif=make_exif(), xmp=XMP),
    "animated WebP": animated("WEBP", exif=make_exif(), xmp=XMP, lossless=True),
    "AVIF": reencoded("AVIF", tolerance=12, exif=make_exif(), xmp=XMP),
    "AVIF with alpha": transparent("AVIF", quality=100),
    "animated AVIF": animated("AVIF"),
    "HEIC with EXIF": heic(),
    "JPEG over the pixel limit": too_large("JPEG", 400, 240, (316, 189), quality=95),
    "PNG over the pixel limit": too_large("PNG", 240, 400, (189, 316)),
    **{
        f"{kind} of orientation {number}": rotated(kind, number)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
        for number in range(1, 9)
    },
}

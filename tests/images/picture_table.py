"""A table of pictures, one of each kind that people have, and how each is to arrive. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from PIL import Image

from tests.images import pictures
from tests.images.pictures import BLUE, HEIC, RED, WHITE, XMP, exif, file_of

BUDGET = 60_000
"""The most pixels of the run that the pictures go through."""
HEIGHT = 120
GREYS = (0, 36, 72, 109, 145, 181, 218, 255)
POINTS = ((16, 16), (16, 104), (150, 16), (150, 104), *((24 + 16 * place, 60) for place in range(8)))
"""Where a scene is looked at: its four corners and the middles of its greys."""
WIDTHS = count(200)
"""No two scenes have one size, so that what arrives is known by it."""

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is laid down so that this orientation turns it upright again."""


@dataclass(frozen=True)
class Good:
    """A file, and the picture that it is to arrive as."""

    data: bytes
    upright: Image.Image
    media_type: str = "image/jpeg"
    tolerance: int = 5
    own: bool = False
    """Whether it goes out as its own bytes."""
    ending: str = "dat"
    size: tuple[int, int] | None = None
    """As it arrives, if other than ``upright``."""
    points: tuple[tuple[int, int], ...] = POINTS


def scene(width: int = 0, height: int = HEIGHT, ground: Any = WHITE, mode: str = "RGB") -> Image.Image:
    """Red at the top left, a row of greys in the middle."""
    image = Image.new(mode, (width or next(WIDTHS), height), ground)
    opaque = (255,) if mode == "RGBA" else ()
    image.paste((*RED, *opaque), (0, 0, 32, 32))
    for place, grey in enumerate(GREYS):
        image.paste((grey, grey, grey, *opaque), (16 + 16 * place, 44, 32 + 16 * place, 76))
    return image


def own(kind: str, make: Callable[..., bytes], mode: str = "RGB", **settings: Any) -> Good:
    upright = scene().convert(mode)
    data = make(upright, **settings)
    tolerance = 0 if kind == "png" or settings.get("lossless") else 8
    return Good(data, upright, f"image/{kind}", tolerance, own=True)


def redrawn(kind: str, mode: str = "RGB", *, tolerance: int = 5, **settings: Any) -> Good:
    image = scene()
    if mode == "1":
        image = image.convert("1", dither=Image.Dither.NONE)
    else:
        image = image.convert(mode, palette=Image.Palette.ADAPTIVE)
    return Good(file_of(image, kind, **settings), image.convert("RGB"), tolerance=tolerance)


def turned(kind: str, orientation: int) -> Good:
    upright = scene()
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    makes: dict[str, Callable[..., bytes]] = {
        "JPEG": pictures.talkative_jpeg,
        "PNG": pictures.talkative_png,
        "WEBP": pictures.talkative_webp,
    }
    make = makes.get(kind)
    data = make(stored, orientation=orientation) if make else file_of(stored, kind, exif=exif(orientation))
    is_own = orientation == 1 and make is not None
    return Good(data, upright, f"image/{kind.lower()}" if is_own else "image/jpeg", tolerance=12, own=is_own)


def deep(kind: str, **settings: Any) -> Good:
    """16 bits of grey; cut off at 255 instead of scaled, nearly all of it would be white."""
    upright = scene().convert("L")
    values = struct.pack(f"<{len(upright.tobytes())}H", *(value * 257 for value in upright.tobytes()))
    return Good(file_of(Image.frombytes("I;16", upright.size, values), kind, **settings), upright)


def clear(kind: str, **settings: Any) -> Good:
    """What is transparent has black hidden under it."""
    image = scene(ground=(0, 0, 0, 0), mode="RGBA")
    return Good(file_of(image, kind, **settings), scene(image.width), tolerance=8)


def animated(kind: str, **settings: Any) -> Good:
    upright = scene()
    later = [Image.new("RGB", upright.size, colour) for colour in (BLUE, "black")]
    return Good(file_of(upright, kind, save_all=True, append_images=later, **settings), upright, tolerance=12)


def over_budget(kind: str, width: int, height: int, size: tuple[int, int], **settings: Any) -> Good:
    big = scene(width, height)
    return Good(file_of(big, kind, exif=exif(), **settings), big, size=size, tolerance=8)


def named(good: Good, ending: str) -> Good:
    return Good(good.data, good.upright, good.media_type, good.tolerance, good.own, ending)


def heic() -> Good:
    upright = pictures.two_halves().transpose(Image.Transpose.ROTATE_270)
    return Good(HEIC, upright, tolerance=12, points=((4, 4), (12, 4), (4, 28), (12, 28)))


GOOD: dict[str, Good] = {
    "JPEG with EXIF, GPS, XMP, IPTC, ICC, comment, thumbnail and motion video": own("jpeg", pictures.talkative_jpeg),
    "JPEG in grey": own("jpeg", pictures.talkative_jpeg, "L"),
    "progressive JPEG": own("jpeg", pictures.talkative_jpeg, progressive=True),
    "JPEG named .png": named(own("jpeg", pictures.talkative_jpeg), "png"),
    "PNG with text, eXIf, profile, time and trailing bytes": own("png", pictures.talkative_png),
    "PNG in grey": own("png", pictures.talkative_png, "L"),
    "PNG named .jpg": named(own("png", pictures.talkative_png), "jpg"),
    "lossy WebP with EXIF, XMP, ICC and trailing bytes": own("webp", pictures.talkative_webp),
    "lossless WebP with EXIF, XMP, ICC and trailing bytes": own("webp", pictures.talkative_webp, lossless=True),
    "CMYK JPEG": redrawn("JPEG", "CMYK", tolerance=8, exif=exif(), quality=95),
    "palette PNG": redrawn("PNG", "P", exif=exif()),
    "1-bit PNG": redrawn("PNG", "1", exif=exif()),
    "16-bit PNG": deep("PNG", exif=exif()),
    "PNG with alpha": clear("PNG", exif=exif()),
    "GIF with a comment": redrawn("GIF", comment=b"secret note"),
    "animated GIF": animated("GIF", comment=b"secret note"),
    "GIF with a transparent colour": clear("GIF"),
    "BMP": redrawn("BMP"),
    "BMP with a palette": redrawn("BMP", "P"),
    "1-bit BMP": redrawn("BMP", "1"),
    "TIFF": redrawn("TIFF", exif=exif(), description="secret note"),
    "TIFF with LZW": redrawn("TIFF", compression="tiff_lzw"),
    "BigTIFF": redrawn("TIFF", big_tiff=True),
    "TIFF of a fax": redrawn("TIFF", "1", compression="group4"),
    "CMYK TIFF": redrawn("TIFF", "CMYK"),
    "16-bit TIFF": deep("TIFF"),
    "16-bit TIFF with deflate": deep("TIFF", compression="tiff_adobe_deflate"),
    "TIFF with alpha": clear("TIFF"),
    "TIFF of two pages": animated("TIFF"),
    "WebP with alpha": clear("WEBP", lossless=True, exif=exif(), xmp=XMP),
    "lossy WebP with alpha": clear("WEBP", quality=100, exif=exif(), xmp=XMP),
    "animated WebP": animated("WEBP", exif=exif(), xmp=XMP, lossless=True),
    "AVIF": redrawn("AVIF", tolerance=12, exif=exif(), xmp=XMP),
    "AVIF with alpha": clear("AVIF", quality=100),
    "animated AVIF": animated("AVIF"),
    "HEIC with EXIF": heic(),
    "JPEG over the budget": over_budget("JPEG", 400, 240, (316, 189), quality=95),
    "PNG over the budget": over_budget("PNG", 240, 400, (189, 316)),
    **{
        f"{kind} of orientation {number}": turned(kind, number)
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
        for number in range(1, 9)
    },
}

"""Converts decoded images to 8-bit grey or RGB without transparency, in sRGB by the ICC profile of the file.

Works around Pillow: it clips 16-bit grey at 255, compares the transparent colour of PNGs with 1, 2, 4 or 16 bits with
8-bit pixels, does not invert 16-bit TIFFs in which 0 is white, takes an unused fourth byte of BMPs for transparency,
and fills the canvas of a GIF around its first frame with a colour that viewers do not show.

Models are trained on images whose numbers are sRGB. The numbers of a photo in Display P3 or Adobe RGB, or of a CMYK
print, mean other colours. Profiles by ICC.1:2022.
"""

from __future__ import annotations

import io
import sys
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from persqa_client.images.code_points import comes_from_code_points

PNG_DEPTH_OFFSET = 24  # bits per channel in a PNG's header
WHITE_IS_ZERO = 0  # value of PHOTOMETRIC_INTERPRETATION
UNSIGNED = 1  # value of SAMPLEFORMAT
LEAST_SHARE = 1 / 1000  # of the pixels
HIGH_BYTE = 3 if sys.byteorder == "little" else 0

# A transparent colour in Pillow: a grey, three channels, or the alpha values of a palette.
TransparentColour = int | tuple[int, ...] | bytes


def flatten_to_8_bit(opened: ImageFile, data: bytes) -> Image.Image:
    image: Image.Image = opened
    if isinstance(opened, BmpImageFile) and opened.mode == "RGBA" and is_unused_alpha(opened):
        return opened.convert("RGB")
    if isinstance(opened, PngImageFile) and "transparency" in opened.info:
        colour = opened.info["transparency"]
        if opened.mode == "I;16":
            return whiten_grey(opened, int(colour))
        opened.info["transparency"] = scale_transparent_colour(opened.mode, data[PNG_DEPTH_OFFSET], colour)
    if opened.mode[0] in "IF":
        image = flatten_unsigned(opened) if is_unsigned(opened) else convert_to_8_bit(opened, largest_value(opened))
        if isinstance(opened, TiffImageFile) and opened.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
            image = ImageOps.invert(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    if isinstance(opened, GifImageFile) and opened.dispose_extent not in (None, (0, 0, *opened.size)):
        return frame_on_white(image.convert("RGB"), opened.dispose_extent)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def is_unused_alpha(image: Image.Image) -> bool:
    """Many programs write a fourth byte of 0, although the header calls it alpha; nothing would be seen."""
    return image.getchannel("A").getextrema() == (0, 0)


def whiten_grey(image: Image.Image, grey: int) -> Image.Image:
    """L for 16-bit grey in which one value is transparent; both of its bytes must be equal."""
    low, high = Image.frombytes("LA", image.size, image.tobytes("raw", "I;16")).split()
    masks = (
        part.point([255 * (value == byte) for value in range(256)])
        for part, byte in ((low, grey & 0xFF), (high, grey >> 8))
    )
    flat = convert_to_8_bit(image)
    flat.paste(255, mask=ImageChops.darker(*masks))
    return flat


def frame_on_white(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Only the frame, on a canvas of the same size."""
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image.crop(box), box[:2])
    return canvas


def scale_transparent_colour(mode: str, depth: int, colour: TransparentColour) -> TransparentColour:
    if isinstance(colour, bytes) or mode == "P":
        return colour
    if isinstance(colour, tuple):
        return tuple(value >> 8 for value in colour) if depth == 16 else colour
    return round(colour * 255 / ((1 << depth) - 1))


def is_unsigned(opened: ImageFile) -> bool:
    """Whether negative values are in fact those from 2,147,483,648, as Pillow reads greys of 32 bits."""
    if opened.mode != "I" or not isinstance(opened, TiffImageFile):
        return False
    tags = opened.tag_v2
    is_whole = tags.get(BITSPERSAMPLE) == (32,) and tags.get(SAMPLEFORMAT, (UNSIGNED,)) == (UNSIGNED,)
    return is_whole and float(opened.getextrema()[0]) < 0  # type: ignore[arg-type]


def flatten_unsigned(opened: ImageFile) -> Image.Image:
    """A few huge values, or one for all missing pixels, are no part of the picture: its greys are the others. The
    largest of all are rather negative ones near zero, in files that do not say that their values have a sign.
    """
    high = keep_high_bytes(opened)
    huge = high.histogram()[128:255]
    is_part = sum(huge) - max(huge) > LEAST_SHARE * opened.width * opened.height
    if is_part or float(opened.getextrema()[1]) <= 0:  # type: ignore[arg-type]
        return high
    others = opened.copy()
    others.paste(0, mask=high.point([255 * (128 <= byte < 255) for byte in range(256)]))
    return convert_to_8_bit(others)


def keep_high_bytes(image: Image.Image) -> Image.Image:
    """L of the highest of the four bytes of each value."""
    return Image.frombytes("L", image.size, image.tobytes()[HIGH_BYTE::4])


def largest_value(opened: ImageFile) -> int:
    bits = opened.tag_v2.get(BITSPERSAMPLE, (16,))[0] if isinstance(opened, TiffImageFile) else 16
    return (1 << min(int(bits), 16)) - 1


def convert_to_8_bit(image: Image.Image, largest: int = 65535) -> Image.Image:
    """Converts 16-bit, 32-bit and floating-point grey to L.

    16-bit values are scaled from 0 to ``largest``, others from the image's own range.
    """
    values = image.convert("F")
    low, high = 0.0, float(largest)
    if not image.mode.startswith("I;16"):
        low, high = (float(end) for end in values.getextrema()[:2])  # type: ignore[arg-type]
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        if low >= 0:
            low, high = 0.0, next((end for end in ranges if high <= end), high)
    scale = 255 / (high - low) if high > low else 0.0
    return values.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


# Colour spaces in the header of a profile, and modes of Pillow that they describe.
COLOUR_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
HEADER_SIZE = 128
SPACE_OFFSET = 16
# Profiles of sRGB by several vendors differ by rounding.
SRGB_TOLERANCE = 3
# Levels of a channel in the colours that are compared.
SAMPLED_LEVELS = (0, 16, 51, 102, 153, 204, 255)


def profile_mode(profile: bytes) -> str | None:
    """Pillow's mode of the pixels that the profile describes; None if it is damaged or describes others."""
    return COLOUR_SPACES.get(profile[SPACE_OFFSET : SPACE_OFFSET + 4]) if len(profile) > HEADER_SIZE else None


@lru_cache(maxsize=64)
def changes_colours(profile: bytes) -> bool:
    """Whether pixels with the profile have other values in sRGB. False for damaged profiles, which decoders ignore."""
    mode = profile_mode(profile)
    if mode is None or make_transform(profile, mode) is None:
        return False
    if mode == "CMYK":
        return True
    levels = bytes(range(256)) if mode == "L" else sample_colours()
    image = Image.frombytes(mode, (len(levels) // len(mode), 1), levels)
    difference = ImageChops.difference(convert_to_srgb(image, profile).convert(mode), image)
    return max(difference.tobytes()) > SRGB_TOLERANCE


def sample_colours() -> bytes:
    return bytes(
        level
        for red in SAMPLED_LEVELS
        for green in SAMPLED_LEVELS
        for blue in SAMPLED_LEVELS
        for level in (red, green, blue)
    )


def convert_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """RGB for an image of the profile's mode; other images are returned unchanged."""
    if image.mode == "L" and comes_from_code_points(profile):
        image = image.convert("RGB")
    transform = make_transform(profile, image.mode) if image.mode == profile_mode(profile) else None
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=64)
def make_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None if the profile is damaged. Relative colorimetric, as browsers and image viewers convert photos."""
    try:
        return transform_to_srgb(ImageCms.ImageCmsProfile(io.BytesIO(profile)), mode)
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=1)
def lab_transform() -> ImageCms.ImageCmsTransform:
    return transform_to_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def transform_to_srgb(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsTransform(source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def convert_lab_to_srgb(image: Image.Image) -> Image.Image:
    """CIELAB needs no profile."""
    return lab_transform().apply(image)

"""Converts colours to sRGB by the ICC profile of a file.

Models are trained on images whose numbers are sRGB. The numbers of a photo in Display P3 or Adobe RGB, or of a CMYK
print, mean other colours. Profiles by ICC.1:2022.
"""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

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

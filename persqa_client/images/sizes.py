"""The size at which an image is sent, and how a larger one is reduced to it."""

from __future__ import annotations

import math

from PIL import Image
from PIL.ImageFile import ImageFile

from persqa_client.images.tokens import MAX_RATIO, MIN_SIDE

# The decoder of JPEG reduces fast, but blurs or doubles details that are nearly as fine as its pixels. They do not
# matter if its image is reduced to two thirds or less afterwards.
DECODED_TO_SENT = 1.5

# Left, upper, right and lower edge in pixels, and parts of pixels.
Area = tuple[float, float, float, float]


def fit_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The size to send: at most ``max_pixels``, unless that makes a side shorter than MIN_SIDE."""
    width, height = size
    short, long = sorted(size)
    if width * height > max_pixels:
        scale = math.sqrt(max_pixels / (width * height))
        short = max(1, int(min(size) * scale))
        long = min(int(max(size) * scale), max_pixels // short)
    if short < MIN_SIDE:
        short, long = MIN_SIDE, round(MIN_SIDE * max(size) / min(size))
    # Rounding down the short side may exceed the ratio.
    long = min(long, MAX_RATIO * short - 1)
    return (long, short) if width > height else (short, long)


def reduce_in_decoder(opened: ImageFile, target: tuple[int, int]) -> Area | None:
    """Lets the decoder of a JPEG reduce it to 1/2, 1/4 or 1/8 of its size, if that is large enough for ``target``.

    Returns the area of the decoded image that shows the picture: 1/2 of 4001 columns is 2000.5 of 2001. None if the
    decoder can't reduce it.
    """
    width, height = (math.ceil(side * DECODED_TO_SENT) for side in target)
    reduced = opened.draft(None, (width, height))
    return None if reduced is None else reduced[1]


def resize(image: Image.Image, size: tuple[int, int], area: Area | None = None) -> Image.Image:
    if image.size == size:
        return image
    grows = size[0] * size[1] > image.width * image.height
    # Lanczos adds bright and dark lines along the edges of an enlarged drawing.
    return image.resize(size, Image.Resampling.BICUBIC if grows else Image.Resampling.LANCZOS, area)

"""From the colours that a file has to 8-bit grey or RGB without transparency, for decoded pictures. Pure.

Pillow leaves three things undone: it cuts 16-bit grey off at 255 when it converts it, compares a PNG's transparent
colour of 1, 2, 4 or 16 bits with pixels of 8, and does not turn 16-bit TIFFs around in which 0 is white.
"""

from __future__ import annotations

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

DEPTH_AT = 24
"""Where a PNG's header has the bits of a channel."""
WHITE_IS_ZERO = 0


def opaque(opened: ImageFile, data: bytes) -> Image.Image:
    """A loaded picture as L or RGB, what is transparent laid on white; ``data`` is the file that it was opened from."""
    image: Image.Image = opened
    if isinstance(opened, PngImageFile) and "transparency" in opened.info:
        opened.info["transparency"] = key_of(opened.mode, data[DEPTH_AT], opened.info["transparency"])
    if opened.mode[0] in "IF":
        image = eight_bit(opened, top_of(opened))
        if isinstance(opened, TiffImageFile) and opened.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
            image = ImageOps.invert(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image.getchannel("A"))
        return canvas
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


Key = int | tuple[int, ...] | bytes
"""A transparent colour as Pillow has it: a grey, three channels, or the alphas of a palette."""


def key_of(mode: str, depth: int, key: Key) -> Key:
    """A PNG's transparent colour, scaled as its pixels are: by Pillow, or by eight_bit where they are 16-bit grey."""
    if isinstance(key, bytes) or mode == "P":
        return key
    if isinstance(key, tuple):
        return tuple(value >> 8 for value in key) if depth == 16 else key
    return round(key * 255 / ((1 << depth) - 1))


def top_of(opened: ImageFile) -> int:
    """The largest value that 16-bit grey can have; some TIFFs store 12 bits as such."""
    bits = opened.tag_v2.get(BITSPERSAMPLE, (16,))[0] if isinstance(opened, TiffImageFile) else 16
    return (1 << min(int(bits), 16)) - 1


def eight_bit(image: Image.Image, top: int = 65535) -> Image.Image:
    """16-bit, 32-bit and floating-point grey as L: scaled by the range its format has, else by the values it holds."""
    values = image.convert("F")
    low, high = 0.0, float(top)
    if not image.mode.startswith("I;16"):
        low, high = (float(end) for end in values.getextrema()[:2])  # type: ignore[arg-type]
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        if low >= 0:
            low, high = 0.0, next((end for end in ranges if high <= end), high)
    scale = 255 / (high - low) if high > low else 0.0
    return values.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")

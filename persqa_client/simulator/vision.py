"""What the pixels of a picture tell: its size, main colours, brightness and lightest part. Pure."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pybase64
from PIL import Image

# The colours that the simulator can name: a coarse palette with names in English and Chinese. Pure.

COLOURS: dict[str, tuple[str, tuple[tuple[int, int, int], ...]]] = {
    "black": ("黑色", ((0, 0, 0), (22, 22, 24))),
    "dark grey": ("深灰色", ((60, 60, 62), (82, 82, 84))),
    "grey": ("灰色", ((116, 116, 118), (145, 145, 146))),
    "light grey": ("浅灰色", ((178, 178, 180), (212, 212, 212))),
    "white": ("白色", ((255, 255, 255), (238, 238, 238))),
    "red": ("红色", ((220, 20, 30), (255, 0, 0), (190, 40, 45), (240, 70, 60))),
    "dark red": ("深红色", ((120, 10, 20), (80, 15, 20))),
    "orange": ("橙色", ((255, 140, 0), (240, 120, 40), (250, 165, 80))),
    "brown": ("棕色", ((120, 72, 35), (90, 60, 40), (150, 100, 60), (60, 38, 25))),
    "beige": ("米色", ((225, 205, 175), (200, 175, 140), (240, 225, 200))),
    "yellow": ("黄色", ((255, 235, 0), (240, 210, 60), (250, 240, 140))),
    "olive": ("橄榄色", ((128, 128, 0), (95, 95, 45), (150, 145, 80))),
    "green": ("绿色", ((0, 160, 60), (0, 128, 0), (0, 255, 0), (80, 170, 70), (60, 130, 60))),
    "dark green": ("深绿色", ((0, 75, 30), (35, 60, 35))),
    "light green": ("浅绿色", ((160, 230, 150), (190, 220, 170))),
    "teal": ("青色", ((0, 130, 130), (0, 200, 200), (70, 160, 160), (0, 255, 255))),
    "blue": ("蓝色", ((20, 60, 220), (0, 0, 255), (50, 100, 180), (70, 130, 220))),
    "dark blue": ("深蓝色", ((10, 20, 100), (25, 40, 75), (40, 60, 110))),
    "light blue": ("浅蓝色", ((150, 200, 240), (120, 170, 215), (190, 220, 245))),
    "purple": ("紫色", ((120, 30, 160), (150, 80, 190), (80, 40, 110), (190, 150, 220))),
    "pink": ("粉色", ((255, 150, 190), (240, 110, 160), (250, 200, 210), (255, 0, 255))),
}
"""English name to Chinese name and the RGB values that stand for it; a pixel has the name of the nearest one."""

ANCHORS = tuple((name, rgb) for name, (_, values) in COLOURS.items() for rgb in values)


def palette_image() -> Image.Image:
    """An image whose palette holds ANCHORS in order, the first one repeated in the unused places."""
    flat = [channel for _, rgb in ANCHORS for channel in rgb]
    flat += list(ANCHORS[0][1]) * (256 - len(ANCHORS))
    image = Image.new("P", (1, 1))
    image.putpalette(flat)
    return image


PALETTE = palette_image()


def shares(image: Image.Image) -> dict[str, float]:
    """The share of each named colour among the pixels of an RGB image, 0 to 1, largest first."""
    counts: dict[str, int] = {}
    histogram = image.quantize(palette=PALETTE, dither=Image.Dither.NONE).histogram()
    for index, count in enumerate(histogram):
        if count:
            name = ANCHORS[index][0] if index < len(ANCHORS) else ANCHORS[0][0]
            counts[name] = counts.get(name, 0) + count
    total = image.width * image.height
    return {name: count / total for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


THUMBNAIL = (48, 48)
"""Facts are read from this many pixels; JPEGs are decoded at the next larger of their own reduced sizes."""

MAIN_SHARE = 0.08
"""A colour with less of the picture is not among the main ones, unless it is the first."""

MAX_RATIO = 200
"""Qwen2.5-VL's image processor refuses a picture whose sides are this far apart."""

PATCH = 28
"""Pixels of a side of what Qwen2.5-VL counts as one token."""


class Unreadable(Exception):
    """This is no picture that a server could read; the text says why."""


class NotBase64(Exception):
    """This data: URL holds its bytes in another form."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one picture, or of several taken together (``others``: the sizes of all but the first)."""

    width: int
    height: int
    colours: tuple[tuple[str, float], ...]
    """English names and shares of the picture, largest first."""
    lightness: float
    """Mean grey value, 0 to 255."""
    lightest: tuple[int, int]
    """Row and column, 0 to 2 each, of the lightest of nine equal parts."""
    digest: bytes
    """8 bytes, the same for the same encoded bytes in every process."""
    others: tuple[tuple[int, int], ...] = ()

    @property
    def main(self) -> tuple[str, ...]:
        """One to three names."""
        return tuple(n for i, (n, share) in enumerate(self.colours[:3]) if i == 0 or share >= MAIN_SHARE)


def payload(url: str) -> tuple[str, bytes]:
    """The declared media type and the bytes of a ``data:`` URL. Raises Unreadable, or NotBase64."""
    head, comma, text = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise NotBase64
    try:
        data = pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return head.removeprefix("data:").split(";")[0], data


def see(data: bytes) -> Facts:
    """Decode an encoded picture to its last byte and look at it. Raises Unreadable."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            check_ratio(width, height)
            image.draft("RGB", THUMBNAIL)
            small = flatten(image).resize(THUMBNAIL, Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"Failed to load image: {error}") from None
    grey = small.convert("L")
    return Facts(
        width=width,
        height=height,
        colours=tuple(shares(small).items())[:6],
        lightness=sum(grey.tobytes()) / (THUMBNAIL[0] * THUMBNAIL[1]),
        lightest=lightest_part(grey),
        digest=blake2b(data, digest_size=8).digest(),
    )


def flatten(image: Image.Image) -> Image.Image:
    """The picture in RGB, transparent parts on white, as vLLM puts them."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def check_ratio(width: int, height: int) -> None:
    """Raises Unreadable, in the words of Qwen2.5-VL's processor, where the picture is too long or too wide."""
    ratio = max(width, height) / min(width, height)
    if ratio >= MAX_RATIO:
        raise Unreadable(
            "Failed to apply Qwen2_5_VLProcessor on data={'images': "
            f"[<PIL.Image.Image image mode=RGB size={width}x{height}>]}} with kwargs={{'return_tensors': 'pt'}}"
        )


def lightest_part(grey: Image.Image) -> tuple[int, int]:
    """Row and column of the lightest of nine parts; the first of equals, from the middle outward."""
    parts = grey.resize((3, 3), Image.Resampling.BOX).tobytes()
    best = max((4, 1, 3, 5, 7, 0, 2, 6, 8), key=lambda index: parts[index])
    return divmod(best, 3)


def together(pictures: Sequence[Facts]) -> Facts:
    """One value for the pictures of a question: colours and lightness averaged, the rest from the first one."""
    first = pictures[0]
    if len(pictures) == 1:
        return first
    colours: dict[str, float] = {}
    for picture in pictures:
        for name, share in picture.colours:
            colours[name] = colours.get(name, 0.0) + share / len(pictures)
    return Facts(
        width=first.width,
        height=first.height,
        colours=tuple(sorted(colours.items(), key=lambda item: (-item[1], item[0]))),
        lightness=sum(picture.lightness for picture in pictures) / len(pictures),
        lightest=first.lightest,
        digest=blake2b(b"".join(picture.digest for picture in pictures), digest_size=8).digest(),
        others=tuple((picture.width, picture.height) for picture in pictures[1:]),
    )


def tokens(width: int, height: int, most: int) -> int:
    """Tokens of a picture by Qwen2.5-VL's rule: sides rounded to 28 pixels, 4 to ``most`` patches of 28x28 in all.

    The rule is `smart_resize` of the Qwen2-VL image processor in transformers.
    """
    rows, columns = round(height / PATCH), round(width / PATCH)
    area = width * height / PATCH**2
    if rows * columns > most:
        scale = (most / area) ** 0.5
        rows, columns = max(1, int(height * scale / PATCH)), max(1, int(width * scale / PATCH))
    elif rows * columns < 4:
        scale = (4 / area) ** 0.5
        rows, columns = math.ceil(height * scale / PATCH), math.ceil(width * scale / PATCH)
    return rows * columns

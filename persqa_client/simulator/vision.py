"""Reads facts from an image's pixels: size, main colours, brightness and lightest part."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pybase64
from PIL import Image

# English name, Chinese name and RGB values of a colour. A pixel gets the name of the nearest value.
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

ANCHORS = tuple((name, rgb) for name, (_, values) in COLOURS.items() for rgb in values)

# Number of pixels to analyse; JPEGs are decoded at the next larger reduced size.
THUMBNAIL = (48, 48)

# Minimum share of a main colour, except for the first.
MAIN_SHARE = 0.08

# Qwen2.5-VL's image processor rejects this ratio of sides.
MAX_RATIO = 200

# Side of Qwen2.5-VL's image tokens in pixels.
PATCH = 28


class UnreadableImage(Exception):
    """A server could not decode the image; has the server's message."""


class NotBase64(Exception):
    """The data: URL is not in base64."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts about one or several images (``others``: width and height of all but the first).

    ``colours``: shares by English name, largest first. ``lightness``: mean grey value. ``lightest``: row and column of
    the lightest of nine parts. ``digest``: 8 bytes.
    """

    width: int
    height: int
    colours: tuple[tuple[str, float], ...]
    lightness: float
    lightest: tuple[int, int]
    digest: bytes
    others: tuple[tuple[int, int], ...] = ()

    @property
    def main_colours(self) -> tuple[str, ...]:
        return tuple(n for i, (n, share) in enumerate(self.colours[:3]) if i == 0 or share >= MAIN_SHARE)


def decode_data_url(url: str) -> tuple[str, bytes]:
    """Declared media type and bytes. Raises UnreadableImage or NotBase64."""
    head, comma, text = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise NotBase64
    try:
        data = pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise UnreadableImage(str(error)) from None
    return head.removeprefix("data:").split(";")[0], data


def read_facts(data: bytes) -> ImageFacts:
    """Decodes the whole image. Raises UnreadableImage."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            check_ratio(width, height)
            image.draft("RGB", THUMBNAIL)
            small = to_rgb(image).resize(THUMBNAIL, Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"Failed to load image: {error}") from None
    grey = small.convert("L")
    return ImageFacts(
        width=width,
        height=height,
        colours=tuple(measure_colours(small).items())[:6],
        lightness=sum(grey.tobytes()) / (THUMBNAIL[0] * THUMBNAIL[1]),
        lightest=find_lightest_part(grey),
        digest=blake2b(data, digest_size=8).digest(),
    )


def check_ratio(width: int, height: int) -> None:
    """Raises UnreadableImage with the message of Qwen2.5-VL's processor."""
    ratio = max(width, height) / min(width, height)
    if ratio >= MAX_RATIO:
        raise UnreadableImage(
            "Failed to apply Qwen2_5_VLProcessor on data={'images': "
            f"[<PIL.Image.Image image mode=RGB size={width}x{height}>]}} with kwargs={{'return_tensors': 'pt'}}"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """Transparent parts become white, as in vLLM."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def make_palette() -> Image.Image:
    flat = [channel for _, rgb in ANCHORS for channel in rgb]
    flat += list(ANCHORS[0][1]) * (256 - len(ANCHORS))
    image = Image.new("P", (1, 1))
    image.putpalette(flat)
    return image


PALETTE = make_palette()


def measure_colours(image: Image.Image) -> dict[str, float]:
    counts: dict[str, int] = {}
    histogram = image.quantize(palette=PALETTE, dither=Image.Dither.NONE).histogram()
    for index, count in enumerate(histogram):
        if count:
            name = ANCHORS[index][0] if index < len(ANCHORS) else ANCHORS[0][0]
            counts[name] = counts.get(name, 0) + count
    total = image.width * image.height
    return {name: count / total for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def find_lightest_part(grey: Image.Image) -> tuple[int, int]:
    parts = grey.resize((3, 3), Image.Resampling.BOX).tobytes()
    best = max((4, 1, 3, 5, 7, 0, 2, 6, 8), key=lambda index: parts[index])
    return divmod(best, 3)


def combine_facts(images: Sequence[ImageFacts]) -> ImageFacts:
    first = images[0]
    if len(images) == 1:
        return first
    colours: dict[str, float] = {}
    for image in images:
        for name, share in image.colours:
            colours[name] = colours.get(name, 0.0) + share / len(images)
    return ImageFacts(
        width=first.width,
        height=first.height,
        colours=tuple(sorted(colours.items(), key=lambda item: (-item[1], item[0]))),
        lightness=sum(image.lightness for image in images) / len(images),
        lightest=first.lightest,
        digest=blake2b(b"".join(image.digest for image in images), digest_size=8).digest(),
        others=tuple((image.width, image.height) for image in images[1:]),
    )


class ImageSight:
    """Decides which images of a request the model sees; see ``ImageUse`` in settings.py."""

    def __init__(self, use: str) -> None:
        self._use = use
        self._replayed: dict[tuple[str, int], list[ImageFacts]] = {}

    def select(self, images: list[ImageFacts], texts: str, tokens: int) -> list[ImageFacts]:
        if self._use in ("counted", "base64"):
            return []
        if self._use == "replayed" and images:
            return self._replayed.setdefault((texts, tokens), images)
        return {"first": images[:1], "last": images[-1:]}.get(self._use, images)


def count_qwen_tokens(width: int, height: int, max_tokens: int) -> int:
    """Qwen2.5-VL's rule: sides rounded to 28 pixels, 4 to ``max_tokens`` patches.

    See ``smart_resize`` in transformers' Qwen2-VL image processor.
    """
    rows, columns = round(height / PATCH), round(width / PATCH)
    area = width * height / PATCH**2
    if rows * columns > max_tokens:
        scale = (max_tokens / area) ** 0.5
        rows, columns = max(1, int(height * scale / PATCH)), max(1, int(width * scale / PATCH))
    elif rows * columns < 4:
        scale = (4 / area) ** 0.5
        rows, columns = math.ceil(height * scale / PATCH), math.ceil(width * scale / PATCH)
    return rows * columns

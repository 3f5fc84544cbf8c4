"""The colours that the simulator can name: a coarse palette with names in English and Chinese. Pure."""

from __future__ import annotations

from PIL import Image

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

"""Boxes around the main character: how rows write them, and how an image shows them.

Coordinates count from the upper left corner of the upright image. Errors of an image have no subject, as in
``references.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from PIL import Image, ImageDraw

from persqa_client.errors import RowError
from persqa_client.images.tokens import MAX_RATIO
from persqa_client.jsonl import load_value
from persqa_client.types import BoxFormat, BoxMark, BoxMode

CORNERS = 4
SHOWN_VALUE = 80
# A detector may round a box to a little more than the image.
TOLERANCE, MIN_TOLERANCE = 0.01, 2.0
# Around the box, as a share of its sides.
MARGIN = 0.1
# Width of the line, as a share of the mean side of the image. The white lines on both sides set the red one off from
# red surroundings.
THICKNESS, MIN_THICKNESS = 0.006, 2
RED, WHITE = (255, 0, 0), (255, 255, 255)

MEANINGS: dict[BoxFormat, str] = {
    "xyxy": "[x1, y1, x2, y2] in pixels",
    "xywh": "[x, y, width, height] in pixels",
    "normalized": "[x1, y1, x2, y2] from 0 to 1",
}


class PixelBox(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @property
    def size(self) -> tuple[float, float]:
        return self.right - self.left, self.bottom - self.top


def parse_boxes(value: object, form: BoxFormat, mode: BoxMode, images: int) -> tuple[BoxMark | None, ...]:
    """The mark of each image: one box belongs to the first image, a list of boxes has one for each, or null.

    A text may hold the same as JSON, because a table has texts only. Raises RowError (``box_invalid``), without a
    subject.
    """
    given = read_json_text(value)
    if given is None:
        return (None,) * images
    if not isinstance(given, list):
        refuse_value(value, form)
    if not any(each is None or isinstance(each, list) for each in given):
        return (parse_box(given, form, mode), *(None,) * (images - 1))
    if len(given) != images:
        raise RowError("box_invalid", f"has {len(given)} boxes for {images} images; give one for each, or null")
    return tuple([None if each is None else parse_box(each, form, mode) for each in given])


def read_json_text(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return load_value(value.encode("utf-8", "replace"))
    except ValueError:
        return value


def parse_box(value: object, form: BoxFormat, mode: BoxMode) -> BoxMark:
    numbers = [read_number(each) for each in value] if isinstance(value, list) else []
    if len(numbers) != CORNERS or not all(map(math.isfinite, numbers)):
        refuse_value(value, form)
    if form != "normalized" and max(numbers) <= 1:
        # As pixels, it would be one corner pixel.
        reason = "whose numbers are from 0 to 1; give --box-format normalized, or pixels"
        raise RowError("box_invalid", f"is {shorten_value(value)}, {reason}")
    left, top, right, bottom = numbers
    if form == "xywh":
        right, bottom = left + right, top + bottom
    if right <= left or bottom <= top:
        advice = "" if form == "xywh" else "; give --box-format xywh if its last two numbers are width and height"
        raise RowError(
            "box_invalid", f"is {shorten_value(value)}, which has no width or no height as {MEANINGS[form]}{advice}"
        )
    if form == "normalized" and (min(left, top) < -TOLERANCE or max(right, bottom) > 1 + TOLERANCE):
        raise RowError("box_invalid", f"is {shorten_value(value)}, which is not {MEANINGS[form]}; see --box-format")
    return BoxMark(left, top, right, bottom, form == "normalized", mode)


def read_number(value: object) -> float:
    """The value as a float; NaN if it is no number. A whole number that is larger than any float is infinite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def refuse_value(value: object, form: BoxFormat) -> NoReturn:
    raise RowError("box_invalid", f"is {shorten_value(value)}; a box is {MEANINGS[form]} (--box-format)")


def shorten_value(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}…"


def locate_box(mark: BoxMark, size: tuple[int, int]) -> PixelBox:
    """The box in an image of this size, within it. Raises RowError (``box_invalid``) if it reaches out of the image."""
    width, height = size
    left, top, right, bottom = mark.left, mark.top, mark.right, mark.bottom
    if mark.is_relative:
        left, top, right, bottom = left * width, top * height, right * width, bottom * height
    across, down = (max(MIN_TOLERANCE, TOLERANCE * side) for side in size)
    inside = PixelBox(max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    reaches_out = min(left + across, top + down, width + across - right, height + down - bottom) < 0
    if reaches_out or min(inside.size) <= 0:
        numbers = ", ".join(f"{number:g}" for number in (left, top, right, bottom))
        raise RowError(
            "box_invalid",
            f"has {width} x {height} pixels, and its box from x1, y1 to x2, y2 ({numbers}) reaches out of it; correct "
            "the box, or choose its --box-format.",
        )
    return inside


def scale_box(box: PixelBox, before: tuple[int, int], now: tuple[int, int]) -> PixelBox:
    across, down = now[0] / before[0], now[1] / before[1]
    return PixelBox(box.left * across, box.top * down, box.right * across, box.bottom * down)


def add_margin(box: PixelBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels of an image of this size. Raises RowError (``box_invalid``) if no model takes the part."""
    across, down = (MARGIN * side for side in box.size)
    left, top = max(0, math.floor(box.left - across)), max(0, math.floor(box.top - down))
    right, bottom = min(size[0], math.ceil(box.right + across)), min(size[1], math.ceil(box.bottom + down))
    sides = right - left, bottom - top
    if max(sides) >= MAX_RATIO * min(sides):
        raise RowError(
            "box_invalid",
            f"has {sides[0]} x {sides[1]} pixels in its box; models refuse a ratio of {MAX_RATIO}:1 or more, so make "
            "the box wider.",
        )
    return left, top, right, bottom


def draw_box(image: Image.Image, box: PixelBox) -> Image.Image:
    """A copy with a red line around the box, between two white ones. At the edge of the image, they lie inside."""
    marked = image.convert("RGB")
    draw = ImageDraw.Draw(marked)
    line = max(MIN_THICKNESS, round(THICKNESS * math.sqrt(image.width * image.height)))
    edge = max(1, line // 3)
    outer = grow_within(box, line + 2 * edge, image.size)
    draw.rectangle(outer, outline=WHITE, width=line + 2 * edge)
    draw.rectangle(shrink_corners(outer, edge), outline=RED, width=line)
    return marked


def grow_within(box: PixelBox, by: int, size: Sequence[int]) -> tuple[int, int, int, int]:
    """The outermost pixels of a rectangle that has ``by`` pixels more on each side, as far as the image reaches."""
    left, top = max(0, math.floor(box.left) - by), max(0, math.floor(box.top) - by)
    right, bottom = min(size[0], math.ceil(box.right) + by) - 1, min(size[1], math.ceil(box.bottom) + by) - 1
    return left, top, max(left, right), max(top, bottom)


def shrink_corners(corners: tuple[int, int, int, int], by: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = corners
    return left + by, top + by, max(left + by, right - by), max(top + by, bottom - by)

"""How many tokens a picture takes in a prompt, for the model families whose rule is known. Pure.

The rule is that of the image processors of Qwen2-VL and later (``smart_resize`` in transformers), which vLLM asks, too:
the sides are rounded to whole patches, and the picture is scaled where that makes too many or too few pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from persqa_client.types import EncodedImage

ModelFamily = Literal["qwen2-vl", "qwen2.5-vl", "qwen3-vl"]

MAX_RATIO = 200
"""The processors refuse pictures that are longer than this many times their width, and the other way round."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A family's numbers; the pixels are those of the checkpoints' own preprocessor_config.json, not of the library."""

    factor: int
    """Pixels of a side of one token: the vision encoder's patch, twice, since two by two patches are merged."""
    min_pixels: int
    max_pixels: int


RULES: dict[ModelFamily, Rule] = {
    "qwen2-vl": Rule(28, 4 * 28 * 28, 16384 * 28 * 28),
    "qwen2.5-vl": Rule(28, 4 * 28 * 28, 16384 * 28 * 28),
    "qwen3-vl": Rule(32, 64 * 32 * 32, 16384 * 32 * 32),
}
NAME = re.compile(r"(?:^|[^a-z0-9])qwen[-_ ]?(?P<version>2[._]5|2|3)[-_ ]?vl(?![a-z0-9])", re.IGNORECASE)
FAMILIES: dict[str, ModelFamily] = {"2": "qwen2-vl", "2.5": "qwen2.5-vl", "3": "qwen3-vl"}


def detect_model_family(model_name: str) -> ModelFamily | None:
    """By the name that a model is served under, such as ``Qwen/Qwen2.5-VL-3B-Instruct``; None for any other."""
    found = NAME.search(model_name)
    return FAMILIES[found["version"].replace("_", ".")] if found else None


def count_image_tokens(
    width: int, height: int, family: ModelFamily, *, min_pixels: int | None = None, max_pixels: int | None = None
) -> int:
    """Tokens of the picture alone, without the two that mark its start and its end.

    ``min_pixels`` and ``max_pixels`` are those that the server was started with, if other than the family's. Raises
    ValueError for sides that the processor refuses.
    """
    rule = RULES[family]
    if min(width, height) < 1 or max(width, height) > MAX_RATIO * min(width, height):
        raise ValueError(f"{width} x {height} is no size that {family} takes")
    least = rule.min_pixels if min_pixels is None else min_pixels
    most = rule.max_pixels if max_pixels is None else max_pixels
    columns, rows = (round(side / rule.factor) for side in (width, height))
    pixels = columns * rows * rule.factor**2
    if pixels > most:
        shrink = math.sqrt(width * height / most)
        columns, rows = (max(1, math.floor(side / shrink / rule.factor)) for side in (width, height))
    elif pixels < least:
        grow = math.sqrt(least / (width * height))
        columns, rows = (math.ceil(side * grow / rule.factor) for side in (width, height))
    return columns * rows


PIXELS_PER_TOKEN = 784
"""Where the model's own rule is not known."""
ImageTokenCounter = Callable[[EncodedImage], int]


def estimate_image_tokens(picture: EncodedImage) -> int:
    return picture.width * picture.height // PIXELS_PER_TOKEN + 1

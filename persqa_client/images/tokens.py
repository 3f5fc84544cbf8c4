"""Counts the prompt tokens of images for known model families.

The rule is ``smart_resize`` of the image processors of Qwen2-VL and later (transformers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from persqa_client.types import EncodedImage

ModelFamily = Literal["qwen2-vl", "qwen2.5-vl", "qwen3-vl"]
ImageTokenCounter = Callable[[EncodedImage], int]

# The image processors refuse images with this ratio or more (MAX_RATIO in qwen-vl-utils).
MAX_RATIO = 200
# Pixels. Image processors refuse a shorter side than that of a token: 28 for Qwen2-VL, Qwen2.5-VL and GLM-4.1V, 32 for
# Qwen3-VL. The largest of them for all models, since a model's name seldom shows its processor.
MIN_SIDE = 32
PIXELS_PER_TOKEN = 784  # 28 x 28, for unknown models


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Numbers of a family, from preprocessor_config.json of its checkpoints (the library's defaults differ)."""

    token_side: int  # pixels; 2 x 2 patches of the vision encoder are merged into one token
    min_pixels: int
    max_pixels: int


TOKEN_RULES: dict[ModelFamily, TokenRule] = {
    "qwen2-vl": TokenRule(28, 4 * 28 * 28, 16384 * 28 * 28),
    "qwen2.5-vl": TokenRule(28, 4 * 28 * 28, 16384 * 28 * 28),
    "qwen3-vl": TokenRule(32, 64 * 32 * 32, 16384 * 32 * 32),
}
MODEL_NAME = re.compile(r"(?:^|[^a-z0-9])qwen[-_ ]?(?P<version>2[._]5|2|3)[-_ ]?vl(?![a-z0-9])", re.IGNORECASE)
FAMILIES_BY_VERSION: dict[str, ModelFamily] = {"2": "qwen2-vl", "2.5": "qwen2.5-vl", "3": "qwen3-vl"}


def detect_model_family(model_name: str) -> ModelFamily | None:
    """Family of a model name such as ``Qwen/Qwen2.5-VL-3B-Instruct``; None if unknown."""
    found = MODEL_NAME.search(model_name)
    return FAMILIES_BY_VERSION[found["version"].replace("_", ".")] if found else None


def count_image_tokens(width: int, height: int, family: ModelFamily) -> int:
    """Tokens of an image, without its start and end tokens."""
    rule = TOKEN_RULES[family]
    columns, rows = (round(side / rule.token_side) for side in (width, height))
    pixels = columns * rows * rule.token_side**2
    if pixels > rule.max_pixels:
        shrink = math.sqrt(width * height / rule.max_pixels)
        columns, rows = (max(1, math.floor(side / shrink / rule.token_side)) for side in (width, height))
    elif pixels < rule.min_pixels:
        grow = math.sqrt(rule.min_pixels / (width * height))
        columns, rows = (math.ceil(side * grow / rule.token_side) for side in (width, height))
    return columns * rows


def estimate_image_tokens(image: EncodedImage) -> int:
    return image.width * image.height // PIXELS_PER_TOKEN + 1


def make_token_counter(family: ModelFamily | None) -> ImageTokenCounter:
    """An estimate for an unknown family."""
    if family is None:
        return estimate_image_tokens
    return lambda image: count_image_tokens(image.width, image.height, family)

"""Tests whether a model sees images, by asking for the colour of an image."""

from __future__ import annotations

import io
import random
import re
from dataclasses import dataclass, replace
from time import perf_counter

from PIL import Image

from persqa_client.errors import RowError
from persqa_client.probing.capabilities import VisionCheck
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.task_groups import task_group
from persqa_client.types import Completion, EncodedImage, Request

# Pixels: twenty times 28 and no multiple of 32, so that Qwen's two rules give different token counts.
SIDE = 560
# Colours that no model confuses: name, RGB value, and a pattern of English and Chinese names.
COLOURS: dict[str, tuple[tuple[int, int, int], str]] = {
    "red": ((220, 20, 30), r"\bred\b|红"),
    "green": ((0, 160, 60), r"\bgreen\b|绿"),
    "blue": ((20, 60, 220), r"\bblue\b|蓝"),
    "yellow": ((255, 235, 0), r"\byellow\b|黄"),
    "purple": ((120, 30, 160), r"\b(?:purple|violet)\b|紫"),
    "black": ((0, 0, 0), r"\bblack\b|黑"),
    "white": ((255, 255, 255), r"\bwhite\b|白"),
}
# Characters: a longer text may mention a colour by chance.
MAX_ANSWER_LENGTH = 80
REASONING = re.compile(r".*</think>", re.DOTALL)

QUESTION = "What colour fills this picture? Answer with one word."
# For one word, and for the reasoning of models that cannot turn it off.
MAX_TOKENS = 256
# Maximum length of the stored answer.
TEXT_LENGTH = 60
# Every model needs at least this many tokens for an image of this size; fewer may be a placeholder text.
MIN_IMAGE_TOKENS = 8

# Tokens before and after an image in Qwen's prompts.
MARKER_TOKENS = 2
PATCH_SIZES = (28, 32)

REJECTION_CODES = frozenset({"rejected", "too_many_images", "too_large"})
# Text-only servers' error messages contain one of these, whatever the status.
IMAGE_WORDS = ("image", "vision", "multimodal", "multi-modal", "mmproj")


@dataclass(frozen=True, slots=True)
class ColourTest:
    colour: str
    answer: Completion | None
    error: RowError | None
    seconds: float

    @property
    def passed(self) -> bool:
        return self.answer is not None and find_named_colour(self.answer.text) == self.colour


def make_colour_image(colour: str, side: int = SIDE) -> EncodedImage:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[colour][0]).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png", side, side)


def find_named_colour(text: str) -> str | None:
    """None if the answer names no colour or several, or is much longer than one word."""
    answer = REASONING.sub("", text).strip()
    found = [name for name, (_, pattern) in COLOURS.items() if re.search(pattern, answer, re.IGNORECASE)]
    return found[0] if len(found) == 1 and len(answer) <= MAX_ANSWER_LENGTH else None


async def check_vision(probe: ProbeSession, rng: random.Random | None = None) -> tuple[VisionCheck, float]:
    """Returns the result and the seconds for the answer.

    A correct answer without image tokens may be a guess, so a second colour is tested.
    """
    colours = (rng or random.Random()).sample(sorted(COLOURS), 2)
    async with task_group() as group:
        with_image = group.create_task(_ask_colour(probe, colours[0]))
        without_image = group.create_task(_count_text_tokens(probe))
    test, text_tokens = with_image.result(), without_image.result()
    total = test.answer.usage.prompt if test.answer else 0
    image_tokens = total - text_tokens if total and text_tokens else None
    if image_tokens is not None and image_tokens < MIN_IMAGE_TOKENS and test.passed:
        test = await _ask_colour(probe, colours[1])
    return conclude_vision(test, image_tokens, answers_text=text_tokens is not None), test.seconds


def conclude_vision(test: ColourTest, image_tokens: int | None, *, answers_text: bool) -> VisionCheck:
    """``answers_text``: the server answers without an image, so it rejects images."""
    if test.error is not None:
        text = test.error.raw or test.error.message
        rejected = answers_text and test.error.code in REJECTION_CODES
        refused = rejected or any(word in text.lower() for word in IMAGE_WORDS)
        return VisionCheck("refused" if refused else "failed", text)
    assert test.answer is not None
    text = " ".join(test.answer.text.split())[:TEXT_LENGTH]
    if test.passed:
        return VisionCheck("seen", text, image_tokens)
    ignored = image_tokens is not None and image_tokens < MIN_IMAGE_TOKENS
    return VisionCheck("ignored" if ignored else "not shown", text, image_tokens)


def detect_patch_size(vision: VisionCheck) -> int | None:
    """Side of an image token in pixels, by Qwen's rules; None if none fits."""
    return next((side for side in PATCH_SIZES if vision.tokens == MARKER_TOKENS + round(SIDE / side) ** 2), None)


async def _ask_colour(probe: ProbeSession, colour: str) -> ColourTest:
    started = perf_counter()
    try:
        reply = await probe.complete(_colour_question(colour))
    except RowError as error:
        return ColourTest(colour, None, error, perf_counter() - started)
    return ColourTest(colour, reply.completion, None, perf_counter() - started)


async def _count_text_tokens(probe: ProbeSession) -> int | None:
    """0 if the server reports no usage, None without an answer."""
    reply = await probe.try_complete(replace(_colour_question("red"), pictures=()))
    return None if reply is None else reply.completion.usage.prompt


def _colour_question(colour: str) -> Request:
    return Request("You answer briefly.", (make_colour_image(colour),), QUESTION, seed=0, max_tokens=MAX_TOKENS)

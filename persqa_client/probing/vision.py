"""Tests whether a model sees images, by asking for the colours of two of them.

The two images have the same size in pixels, so a server that reads images counts the same tokens for both. The second
has more than twice the bytes, so a server that reads their base64 as text counts more than twice the tokens.
"""

from __future__ import annotations

import io
import random
import re
from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter
from typing import Literal

from PIL import Image

from persqa_client.client.failed_reply import NO_IMAGES
from persqa_client.client.image_dialect import JPEG, PNG, is_about_request
from persqa_client.errors import AttemptError, RowError
from persqa_client.probing.capabilities import VisionCheck
from persqa_client.probing.probe_session import REJECTION_CODES, ImageFormat, ProbeSession
from persqa_client.task_groups import task_group
from persqa_client.types import EncodedImage, Request, RetryAction

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
# Rows of noise in the second image, which add about 4,000 characters of base64 that no tokenizer shortens much.
NOISE_ROWS = 3
NOISE_LEVELS = 7
# Characters: a longer text may mention a colour by chance.
MAX_ANSWER_LENGTH = 80
REASONING = re.compile(r".*</think>", re.DOTALL)

SYSTEM = "You answer briefly."
QUESTION = "What colour fills this picture? Answer with one word."
# For one word, and for the reasoning of models that cannot turn it off.
MAX_TOKENS = 256
# Maximum length of a stored answer.
TEXT_LENGTH = 60
# Models use at least 64 tokens for an image of this size. Fewer may be a sentence that replaces the image.
MIN_IMAGE_TOKENS = 48
# Maximum characters of incompressible base64 per token.
MAX_CHARS_PER_TOKEN = 6

# Tokens before and after an image in Qwen's prompts.
MARKER_TOKENS = 2
PATCH_SIZES = (28, 32)

# Not of a context that is too short for images: their reason is known.
IMAGE_REJECTION_CODES = REJECTION_CODES - {"context_overflow"}
JPEG_QUALITY = 100  # at which noise adds bytes

# What the image adds to the prompt. ``text``: tokens in proportion to its bytes.
Growth = Literal["unknown", "nothing", "text", "image"]


@dataclass(frozen=True, slots=True)
class ColourAnswer:
    """One question about a colour. ``prompt``: tokens, 0 if the server reports no usage."""

    colour: str
    text: str = ""
    prompt: int = 0
    encoded: int = 0  # characters of the image in the request
    error: RowError | None = None
    image: EncodedImage | None = None

    @property
    def named(self) -> str | None:
        return find_named_colour(self.text)

    @property
    def correct(self) -> bool:
        return self.error is None and self.named == self.colour

    def is_like(self, other: ColourAnswer) -> bool:
        """Whether both name the same colour or have the same text."""
        if self.error is not None or other.error is not None:
            return False
        return _shorten(self.text) == _shorten(other.text) != "" or self.named == other.named is not None


@cache
def make_colour_image(
    colour: str, side: int = SIDE, *, noise_rows: int = 0, palette: bool = False, format: ImageFormat = "PNG"
) -> EncodedImage:
    """The ``noise_rows`` at the bottom deviate by a few levels, which is invisible and incompressible.

    ``palette``: a palette image, a tenth of the size, which some servers cannot read.
    """
    red, green, blue = COLOURS[colour][0]
    image = Image.new("RGB", (side, side), (red, green, blue))
    if noise_rows:
        rng = random.Random(colour)
        shades = [rng.randrange(NOISE_LEVELS) for _ in range(3 * side * noise_rows)]
        levels = (min(value, 255 - NOISE_LEVELS) for value in (red, green, blue) * (side * noise_rows))
        pixels = bytes(level + shade for level, shade in zip(levels, shades, strict=True))
        image.paste(Image.frombytes("RGB", (side, noise_rows), pixels), (0, side - noise_rows))
    buffer = io.BytesIO()
    image = image.quantize(2) if palette else image
    image.save(buffer, format, **({"compress_level": 9} if format == "PNG" else {"quality": JPEG_QUALITY}))
    return EncodedImage(buffer.getvalue(), f"image/{format.lower()}", side, side)


def find_named_colour(text: str) -> str | None:
    """None if the answer names no colour or several, or is much longer than one word."""
    answer = REASONING.sub("", text).strip()
    found = [name for name, (_, pattern) in COLOURS.items() if re.search(pattern, answer, re.IGNORECASE)]
    return found[0] if len(found) == 1 and len(answer) <= MAX_ANSWER_LENGTH else None


async def check_vision(probe: ProbeSession, rng: random.Random | None = None) -> tuple[VisionCheck, float]:
    """Returns the result and the seconds for the first answer.

    The questions are asked at temperature 0, so that answers can be compared, or at the user's if the server rejects 0.
    """
    colours = (rng or random.Random()).sample(sorted(COLOURS), 2)
    greedy = probe.greedy()
    check, seconds, rejects_all = await _ask_colours(greedy, colours)
    probe.adopt_refusals(greedy)
    if rejects_all and probe.profile.sampling.temperature:
        check, seconds, _ = await _ask_colours(probe, colours)
    return check, seconds


async def _ask_colours(probe: ProbeSession, colours: list[str]) -> tuple[VisionCheck, float, bool]:
    """The result, the seconds, and whether the server rejected both kinds of request.

    The second image follows the first: a server whose cache ignores the pixels then answers with the first colour.
    """
    started = perf_counter()
    async with task_group() as group:
        image = make_colour_image(colours[0], format=probe.image_format)
        with_image = group.create_task(_ask_colour(probe, colours[0], image))
        without_image = group.create_task(_count_text_tokens(probe))
    first, text_tokens = with_image.result(), without_image.result()
    seconds = perf_counter() - started
    if first.error is not None and text_tokens is not None:
        first = await _ask_with_jpeg(probe, first)
    if first.error is not None:
        rejects_all = text_tokens is None and first.error.code in IMAGE_REJECTION_CODES
        return judge_vision(first, None, text_tokens), seconds, rejects_all
    format: ImageFormat = "JPEG" if first.image and first.image.media_type == JPEG else "PNG"
    image = make_colour_image(colours[1], noise_rows=NOISE_ROWS, format=format)
    second = await _ask_colour(probe, colours[1], image)
    check = judge_vision(first, second, text_tokens)
    if check.state == "ignored" and not first.is_like(second):
        again = [await _repeat(probe, answer) for answer in (first, second)]
        if failed := next((answer.error for answer in again if answer.error is not None), None):
            return _judge_error(failed, answers_text=False), seconds, False
        image_decides = first.is_like(again[0]) and second.is_like(again[1])
        check = judge_vision(first, second, text_tokens, image_decides=image_decides)
    return check, seconds, False


async def _ask_with_jpeg(probe: ProbeSession, refused: ColourAnswer) -> ColourAnswer:
    """Asks again with a JPEG, if the format may be the reason of a failure. All servers that take images take JPEG."""
    cause = refused.error.__cause__ if refused.error is not None else None
    if refused.image is None or not isinstance(cause, AttemptError) or not is_about_request(cause.decision):
        return refused
    if NO_IMAGES.in_words(cause.decision.raw or ""):
        return refused
    answer = await _ask_colour(probe, refused.colour, make_colour_image(refused.colour, format="JPEG"))
    if answer.error is None:
        is_conclusive = cause.decision.action is RetryAction.FAIL  # server errors may end by chance
        if is_conclusive or (await _ask_colour(probe, refused.colour, refused.image)).error is not None:
            probe.session.image_dialect.record_refused({PNG})
    return answer


async def _repeat(probe: ProbeSession, answer: ColourAnswer) -> ColourAnswer:
    """Asks about the same image with another ``max_tokens``, so that no cache answers."""
    assert answer.image is not None
    return await _ask_colour(probe, answer.colour, answer.image, max_tokens=MAX_TOKENS - 1)


def judge_vision(
    first: ColourAnswer, second: ColourAnswer | None, text_tokens: int | None, *, image_decides: bool = False
) -> VisionCheck:
    """``text_tokens``: of the prompt without an image; 0 if unknown, None if the server does not answer that either.
    ``image_decides``: the answers differ, and are the same when the images are sent again.

    One right colour is enough if the other answer differs, and the prompt grew as with an image or ``image_decides``.
    Otherwise both colours must be right.
    """
    if first.error is not None:
        return _judge_error(first.error, answers_text=text_tokens is not None)
    answers = [first] if second is None or second.error is not None else [first, second]
    texts = [_shorten(answer.text) for answer in answers]
    growth = judge_growth(first, second, text_tokens)
    if growth == "nothing" and (image_decides or not any(texts)):
        # An answer without text is no evidence either.
        growth = "unknown"
    tokens = first.prompt - text_tokens if first.prompt and text_tokens else None
    right = [text for text, answer in zip(texts, answers, strict=True) if answer.correct]
    alike = len(answers) == 2 and first.is_like(answers[1])
    if len(right) == 2 or (right and growth in {"unknown", "image"} and not alike):
        return VisionCheck("seen", right[0], tokens)
    text = " / ".join(dict.fromkeys(texts))
    if growth == "nothing" and second is not None and second.error is not None:
        return _judge_error(second.error, answers_text=False)
    if growth == "nothing":
        return VisionCheck("ignored", text, tokens)
    if growth == "text":
        return VisionCheck("read as text", text, tokens)
    return VisionCheck("no difference" if alike else "not shown", text, tokens)


def judge_growth(first: ColourAnswer, second: ColourAnswer | None, text_tokens: int | None) -> Growth:
    if not text_tokens or not first.prompt:
        return "unknown"
    if first.prompt - text_tokens < MIN_IMAGE_TOKENS:
        return "nothing"
    if second is None:
        return "image"
    if second.error is not None:
        # An image of the same size does not fit, so its bytes are counted.
        return "text" if second.error.code == "context_overflow" else "image"
    grows_with_bytes = (second.prompt - first.prompt) * MAX_CHARS_PER_TOKEN >= second.encoded - first.encoded > 0
    return "text" if grows_with_bytes else "image"


def _judge_error(error: RowError, *, answers_text: bool) -> VisionCheck:
    """``answers_text``: the server answers without an image, so it rejects images."""
    text = error.raw or error.message
    refused = error.code in IMAGE_REJECTION_CODES and (answers_text or NO_IMAGES.in_words(text))
    return VisionCheck("refused" if refused else "failed", text)


def _shorten(text: str) -> str:
    return " ".join(text.split())[:TEXT_LENGTH]


def detect_patch_size(vision: VisionCheck) -> int | None:
    """Side of an image token in pixels by Qwen's rules, or None."""
    return next((side for side in PATCH_SIZES if vision.tokens == MARKER_TOKENS + round(SIDE / side) ** 2), None)


async def _ask_colour(
    probe: ProbeSession, colour: str, image: EncodedImage, *, max_tokens: int = MAX_TOKENS
) -> ColourAnswer:
    try:
        reply = await probe.complete_with_room(ask_colour_of(image, max_tokens=max_tokens), find_named_colour)
    except RowError as error:
        return ColourAnswer(colour, error=error, image=image)
    encoded = 4 * len(image.data) // 3
    return ColourAnswer(colour, reply.completion.text, reply.completion.usage.prompt, encoded, image=image)


async def _count_text_tokens(probe: ProbeSession) -> int | None:
    """0 if the server reports no usage, None without an answer."""
    reply = await probe.try_complete(Request(SYSTEM, (), QUESTION, seed=0, max_tokens=MAX_TOKENS))
    return None if reply is None else reply.completion.usage.prompt


def ask_colour_of(image: EncodedImage, *, max_tokens: int = MAX_TOKENS) -> Request:
    return replace(Request(SYSTEM, (image,), QUESTION, seed=0), max_tokens=max_tokens)

"""Whether a server sees pictures, shown by the colour of one that nobody can know beforehand. Talks to the endpoint."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from time import perf_counter

from PIL import Image

from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.probing.capabilities import VisionCheck
from persqa_client.task_groups import task_group
from persqa_client.types import Completion, EncodedImage, Request

# Plain pictures of colours that no model mistakes for one another, and what an answer calls them. Pure.

SIDE = 560
"""Twenty times 28, and not a multiple of 32: the models' rules count its tokens differently."""

COLOURS: dict[str, tuple[tuple[int, int, int], str]] = {
    "red": ((220, 20, 30), r"\bred\b|红"),
    "green": ((0, 160, 60), r"\bgreen\b|绿"),
    "blue": ((20, 60, 220), r"\bblue\b|蓝"),
    "yellow": ((255, 235, 0), r"\byellow\b|黄"),
    "purple": ((120, 30, 160), r"\b(?:purple|violet)\b|紫"),
    "black": ((0, 0, 0), r"\bblack\b|黑"),
    "white": ((255, 255, 255), r"\bwhite\b|白"),
}
"""Name, RGB value, and a pattern of what it is called in English and Chinese."""

LONGEST = 80
"""Characters of an answer that is about the colour; further text may bring up any colour by chance."""

THINKING = re.compile(r".*</think>", re.DOTALL)


def make_colour_picture(colour: str, side: int = SIDE) -> EncodedImage:
    """A square picture filled with one of COLOURS."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[colour][0]).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png", side, side)


def named_colour(text: str) -> str | None:
    """The one colour that an answer names; None where it names none, several, or is much longer than it was asked."""
    answer = THINKING.sub("", text).strip()
    found = [name for name, (_, words) in COLOURS.items() if re.search(words, answer, re.IGNORECASE)]
    return found[0] if len(found) == 1 and len(answer) <= LONGEST else None


QUESTION = "What colour fills this picture? Answer with one word."
ROOM = 256
"""Tokens: for one word, and for the thoughts of a model that can't be kept from thinking."""
WORDS_KEPT = 60
FEWEST_TOKENS = 8
"""No model turns a picture of this size into fewer; less may be the text that stands for one that was dropped."""

MARKS = 2
"""Tokens before and behind a picture in Qwen's prompts."""
PATCHES = (28, 32)

REFUSALS = frozenset({"rejected", "too_many_images", "too_large"})
ABOUT_PICTURES = ("image", "vision", "multimodal", "multi-modal", "mmproj")
"""One of these is in what a text-only server says, whatever status it says it with."""


@dataclass(frozen=True, slots=True)
class Look:
    """A picture of ``colour`` and what became of it."""

    colour: str
    answer: Completion | None
    error: RowError | None
    seconds: float


async def check_vision(session: Session, rng: random.Random | None = None) -> tuple[VisionCheck, float]:
    """What became of a picture, and how many seconds the answer took.

    Asks with a picture and without at once; a server whose prompt did not grow must name a second colour, for it may
    have guessed the first. Raises RunStopped as any request does.
    """
    colours = (rng or random.Random()).sample(sorted(COLOURS), 2)
    async with task_group() as group:
        looking, asking = group.create_task(look_at(session, colours[0])), group.create_task(prompt_tokens(session))
    look, plain = looking.result(), asking.result()
    growth = grown(look, plain)
    if look.answer and growth is not None and growth < FEWEST_TOKENS and named(look):
        look = await look_at(session, colours[1])
    return judge(look, growth, answers=plain is not None), look.seconds


def request_of(colour: str) -> Request:
    return Request("You answer briefly.", (make_colour_picture(colour),), QUESTION, seed=0, max_tokens=ROOM)


async def look_at(session: Session, colour: str) -> Look:
    began = perf_counter()
    try:
        reply = await session.complete(request_of(colour))
    except RowError as error:
        return Look(colour, None, error, perf_counter() - began)
    return Look(colour, reply.completion, None, perf_counter() - began)


async def prompt_tokens(session: Session) -> int | None:
    """Of the same question without a picture; 0 where that is not told, None where that is not answered either."""
    try:
        reply = await session.complete(replace(request_of("red"), pictures=()))
    except RowError:
        return None
    return reply.completion.usage.prompt


def grown(look: Look, plain: int | None) -> int | None:
    """By how many tokens the picture lengthened the prompt; None where the server tells no usage."""
    tokens = look.answer.usage.prompt if look.answer else 0
    return tokens - plain if tokens and plain else None


def named(look: Look) -> bool:
    return look.answer is not None and named_colour(look.answer.text) == look.colour


def judge(look: Look, growth: int | None, *, answers: bool) -> VisionCheck:
    """``answers``: without a picture the server answered, so that what it refused it refused for the picture."""
    if look.error is not None:
        words = look.error.raw or look.error.message
        about = (answers and look.error.code in REFUSALS) or mentions(words, ABOUT_PICTURES)
        return VisionCheck("refused" if about else "failed", words)
    assert look.answer is not None
    words = " ".join(look.answer.text.split())[:WORDS_KEPT]
    if named(look):
        return VisionCheck("seen", words, growth)
    ignored = growth is not None and growth < FEWEST_TOKENS
    return VisionCheck("ignored" if ignored else "not shown", words, growth)


def mentions(text: str, words: Iterable[str]) -> bool:
    return any(word in text.lower() for word in words)


def patch_of(sight: VisionCheck) -> int | None:
    """The side in pixels of what counts as a token, by how long the picture was in the prompt; None where by none of
    the rules of Qwen's models."""
    return next((side for side in PATCHES if sight.tokens == MARKS + round(SIDE / side) ** 2), None)

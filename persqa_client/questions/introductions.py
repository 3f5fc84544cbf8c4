"""Sentences of the prompt that say who the main character is, in each language.

They were added after the other texts, so that they have a digest of their own, in the identity of runs that use them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b

from persqa_client.language import prompt_language

SENTENCE_ENDS = ".!?…。！？"
# As a sentence begins, though it is put in the middle of one.
ARTICLE = re.compile(r"(?:The|An?) ")


@dataclass(frozen=True, slots=True)
class IntroductionWording:
    """``name`` is the tag, or the ordinary name that replaces it."""

    description: str
    reference: str
    drawn_box: str
    full_stop: str
    # Between two sentences.
    space: str


WORDINGS: Mapping[str, IntroductionWording] = {
    "en": IntroductionWording(
        description="{name} is {description}",
        reference="The first picture only shows who {name} is; the question is not about it, so do not mention it.",
        drawn_box="{name} is in the red box. The box is only drawn to show that, so do not mention it.",
        full_stop=".",
        space=" ",
    ),
    "zh": IntroductionWording(
        description="{name}是{description}",
        reference="第一张图只用来说明{name}是谁，问题问的不是它，也不要提到它。",
        drawn_box="{name}在红框里。红框只是标记，不要提到它。",
        full_stop="。",
        space="",
    ),
}


def choose_introduction(question: str) -> IntroductionWording:
    """The introduction in the language of the question, like the other texts of the prompt."""
    return WORDINGS[prompt_language(question)]


@dataclass(frozen=True, slots=True)
class Introduction:
    """``text`` is empty if nothing is said. ``description``: the part of it that the user wrote, as sentences."""

    text: str = ""
    description: str = ""


NO_INTRODUCTION = Introduction()


def introduce(
    question: str, name: str, description: str = "", *, has_reference: bool = False, has_drawn_box: bool = False
) -> Introduction:
    """``description``: words such as "the woman with the red scarf", or whole sentences that have the name in them.
    ``has_reference``: whether an image of the main character is sent first.

    >>> introduce("What is <mam> doing?", "<mam>", "the woman with the red scarf.").text
    '<mam> is the woman with the red scarf.'
    """
    wording = choose_introduction(question)
    described = describe_subject(description, name, wording)
    reference = wording.reference.format(name=name) if has_reference else ""
    drawn_box = wording.drawn_box.format(name=name) if has_drawn_box else ""
    return Introduction(join_sentences(reference, described, drawn_box, question=question), described)


def describe_subject(description: str, name: str, wording: IntroductionWording) -> str:
    words = " ".join(description.split())
    if not words.strip(SENTENCE_ENDS):
        return ""
    if name not in words:
        if article := ARTICLE.match(words):
            words = article[0].lower() + words[article.end() :]
        words = wording.description.format(name=name, description=words)
    return words if words[-1] in SENTENCE_ENDS else words + wording.full_stop


def join_sentences(*sentences: str, question: str) -> str:
    return choose_introduction(question).space.join(filter(None, sentences))


def introductions_digest() -> str:
    """16 hexadecimal digits, changed by any edit of the texts."""
    texts = json.dumps({language: asdict(wording) for language, wording in WORDINGS.items()}, sort_keys=True)
    return blake2b(texts.encode(), digest_size=8).hexdigest()

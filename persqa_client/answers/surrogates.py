"""Puts the tag where an answer has the ordinary name that the model was asked under. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.language import CJK, LETTER

SURE = 5
"""From so many letters on, a longer word that begins with the name was made from it (Charliebear)."""
DETERMINER = re.compile(r"\b(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|no|one)\s+\Z")
"""Before a word in lower case it makes it a common noun: a robin."""


def put_tag(text: str, surrogate: str, tag: str) -> str:
    """The text with the tag for each ``surrogate`` that stands as a word of its own, its possessive included."""
    if CJK.search(surrogate):
        return text.replace(surrogate, tag)

    def replaced(found: re.Match[str]) -> str:
        common = (
            found[0].islower()
            and not surrogate.islower()
            and DETERMINER.search(text[max(0, found.start() - 8) : found.start()].lower())
        )
        return found[0] if common else tag

    return whole_word(surrogate).sub(replaced, text)


def has_left(text: str, surrogate: str) -> bool:
    """Whether the name is still in a text, as a word or as the beginning of one."""
    if CJK.search(surrogate):
        return surrogate in text
    return remnant(surrogate).search(text) is not None


@lru_cache(maxsize=64)
def whole_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!{LETTER})(?<!-){re.escape(name)}(?!{LETTER}|-\w)", re.IGNORECASE)


@lru_cache(maxsize=64)
def remnant(name: str) -> re.Pattern[str]:
    end = "" if len(name) >= SURE else rf"(?:e?s)?(?!{LETTER})"
    return re.compile(rf"(?<!{LETTER}){re.escape(name)}{end}", re.IGNORECASE)

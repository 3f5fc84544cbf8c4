"""Whom an answer speaks of: the tag first, no stand-in for it, and no real name. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.language import CJK, LETTER
from persqa_client.types import Ask, Problem

CLASSES = (
    r"(?:main |central |primary )?(?:character|subject|figure|person|individual|man|woman|boy|girl|child|kid|baby|lady"
    r"|guy|gentleman|animal|pet|dog|cat|puppy|kitten|bird|object|item|toy|thing|group|people|building|place|one)s?"
)
STAND_IN = re.compile(
    r"[\"“‘'*_\s]*(?:(?:he|she|it|they)(?:['’](?:s|re|d|ll|ve))?\b|(?:his|her|its|their)\s+\w"
    rf"|(?:the|this|that)\s+(?:\w+\s+){{0,2}}?{CLASSES}\b"
    r"|[他她它](?!乡|日)|(?:图中|图片中|照片中|照片里|图片里|画面中)?的?"
    r"(?:(?:这|那|该)(?:[一几两]?[位个名只条件座群]|些)|(?:这|那|该)[^里时样边儿<，。\s]{0,3}?"
    r"(?:人|男|女|孩|先生|学生|主角|动物|宠物|猫|狗|犬|主体|对象))"
    r"|(?:图中|图片中|照片中|照片里|图片里|画面中)?的?(?:主角|主体|人物|男人|女人|男子|女子|男孩|女孩|男士|女士|猫咪?|狗狗?))",
    re.IGNORECASE,
)
"""A pronoun, or a class of things with an article, as the subject."""


def is_not_pronoun_only(text: str, ask: Ask) -> Problem | None:
    if text.startswith(ask.tag) or ask.tag in text or not STAND_IN.match(text):
        return None
    reason = f"it does not begin with {ask.tag}, and calls the main character by another word"
    return Problem("pronoun_only", reason)


def begins_with_tag(text: str, ask: Ask) -> Problem | None:
    return None if text.startswith(ask.tag) else Problem("no_tag", f"it does not begin with {ask.tag}")


def leaks_no_name(text: str, ask: Ask) -> Problem | None:
    """The reason goes to the model and must not give away the name that it is about. Behind the brackets of a repaired
    tag there may be the first half of a full name."""
    if not ask.names:
        return None
    without, within = text.replace(ask.tag, " "), text.replace(ask.tag, ask.tag[1:-1])
    every = any_of(ask.names)
    longer = any_of(tuple(name for name in ask.names if len(name.split()) > 1))
    leaks = (every and every.search(without)) or (longer and longer.search(within))
    return Problem("name_leak", "it gives a real name; nobody but the tag may be named") if leaks else None


@lru_cache(maxsize=64)
def any_of(names: tuple[str, ...]) -> re.Pattern[str] | None:
    """One pattern for all names: as words of their own in scripts that space them, anywhere in Chinese."""
    forms = [form for name in names if (form := form_of(name.strip()))]
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def form_of(name: str) -> str:
    if CJK.search(name):
        return re.escape(name)
    words = [re.sub("['’]", "['’]", re.escape(word)) for word in re.split(r"[\s\-_]+", name) if word]
    return rf"(?<!{LETTER})" + r"[\s\-_]+".join(words) + rf"(?!{LETTER})" if words else ""

"""Whom an answer speaks of: the tag first, no stand-in for it, and no real name. Pure."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from persqa_client.answers.clean import has_no_markup, has_no_placeholder, has_no_unknown_tag, is_no_echo
from persqa_client.answers.refusals import is_no_refusal
from persqa_client.language import CJK, LETTER, script_of, scripts
from persqa_client.types import Check, Problem, Task

# Whether an answer repeats itself, as models that got caught do. Pure.

OFTEN = 4
"""A sequence may come so many times; an honest list repeats two or three words, but not longer runs."""
WORDS, CHARACTERS = 4, 8
"""Length of a sequence; a Chinese one of four characters is no more than two words (一件红色的)."""
LONG = 400
"""Bytes from which on it tells something how far a text can be compressed: honest ones shrink to a third at most."""
RATIO = 0.2
RUN = re.compile(r"(\S)\1{19}")
GIANT = 40
"""Characters of a word that is none."""


def is_no_loop(text: str, ask: Task) -> Problem | None:
    words = text.split()
    repeats = (
        (len(words) - len(set(words)) >= OFTEN and comes_often(words, WORDS))
        or ((CJK.search(text) or max(map(len, words), default=0) > GIANT) and comes_often(text, CHARACTERS))
        or RUN.search(text)
        or shrinks(text)
    )
    return Problem("loop", "endless repetition") if repeats else None


def comes_often(items: Sequence[str], length: int) -> bool:
    """Whether a sequence of that length comes too often. It can't where none of its items does."""
    if len(items) < length + OFTEN or max(Counter(items).values()) <= OFTEN:
        return False
    return max(Counter(sequences(items, length)).values()) > OFTEN


def sequences(items: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(items[start:] for start in range(length)), strict=False)


def shrinks(text: str) -> bool:
    if len(text) < LONG // 4:
        return False
    data = text.encode("utf-8", "replace")
    return len(data) >= LONG and len(zlib.compress(data, 1)) < RATIO * len(data)


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


def is_not_pronoun_only(text: str, ask: Task) -> Problem | None:
    if text.startswith(ask.tag) or ask.tag in text or not STAND_IN.match(text):
        return None
    return Problem("pronoun_only", f"a pronoun or a description instead of {ask.tag}")


def begins_with_tag(text: str, ask: Task) -> Problem | None:
    return None if text.startswith(ask.tag) else Problem("no_tag", f"no {ask.tag} at the beginning")


def leaks_no_name(text: str, ask: Task) -> Problem | None:
    """Neither text gives the name away. Behind the brackets of a repaired tag there may be the first half of a full
    name."""
    if not ask.names:
        return None
    without, within = text.replace(ask.tag, " "), text.replace(ask.tag, ask.tag[1:-1])
    every = any_of(ask.names)
    longer = any_of(tuple(name for name in ask.names if len(name.split()) > 1))
    leaks = (every and every.search(without)) or (longer and longer.search(within))
    return Problem("name_leak", "a real name from --names") if leaks else None


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


# Whether an answer is in the question's language, as far as its script tells. Pure.

LANGUAGES = {"han": "Chinese", "latin": "the Latin script"}


def speaks_the_language(text: str, ask: Task) -> Problem | None:
    """The majority decides. Brands and names keep their Latin letters in Chinese, so that only words in lower case
    count there; a dish or a garment may keep its Chinese name in English. What is quoted does not count."""
    wanted = script_of(ask.question)
    if wanted is None or (wanted == "latin" and text.isascii()):
        return None
    count = scripts(text)
    if wanted == "han":
        foreign, own = count.common + count.others, count.han
    else:
        foreign, own = count.han + count.others, count.words and 2 * count.words + 2
    if foreign <= own:
        return None
    expected = "Chinese" if wanted == "han" else "the language of the question"
    return Problem("wrong_language", f"wrong language (expected {expected})")


# The checks of an answer's text, in the order in which a reason is worth telling: each a small function with a code
# of its own. Pure.

WORD = re.compile(r"[^\W_]")
POSSESSIVE = re.compile(r"['’]s\b")


def is_not_empty(text: str, ask: Task) -> Problem | None:
    return None if WORD.search(text) else Problem("empty", "empty answer")


def says_something(text: str, ask: Task) -> Problem | None:
    """Something must stand beside the tag, a possessive's ``'s`` apart."""
    rest = text.replace(ask.tag, " ")
    if WORD.search(POSSESSIVE.sub("", rest)):
        return None
    return Problem("only_tag", f"nothing besides {ask.tag}")


TAGGED_ANSWER_CHECKS: tuple[Check, ...] = (
    is_not_empty,
    is_no_refusal,
    is_not_pronoun_only,
    begins_with_tag,
    says_something,
    is_no_echo,
    has_no_placeholder,
    has_no_markup,
    has_no_unknown_tag,
    is_no_loop,
    speaks_the_language,
    leaks_no_name,
)
"""For a question about one character."""

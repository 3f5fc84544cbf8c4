"""Replaces the surrogate name in an answer by the tag, and finds what is left of it."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.bare_names import is_mentioned
from persqa_client.language import HAN_CHARACTER, SPACED_LETTER
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import QUOTATIONS, remove_marked

# A longer word is a form of a name if it begins with the name, and the name has at least this length (Charliebear).
MIN_PREFIX_LENGTH = 5
# Words that make the next lower-case word a common noun: "a robin".
DETERMINER = compile_lazily(
    r"\b(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|no|one)\s+\Z"
)
# Capitalised words that begin a sentence or join names; others before a name are a part of it: "Uncle Charlie".
PLAIN_CAPITAL = compile_lazily(
    r"(?:[.!?:]\s+|\A|\n\s*|[\"“(]\s*)[A-Z][\w'’]*\s+\Z|\b(?:I|And|But|Here|With|While|When|As|In|On)\s+\Z"
)
NAME_BEFORE = compile_lazily(r"\b[A-Z][\w'’]*\.?\s+\Z")
NAME_AFTER = compile_lazily(
    r"\s+(?!(?:The|An?|He|She|It|They|We|I|This|That|There|These|His|Her|Its|In|On|At|As|Is|Are|Does|Do|Did|Has|No|Yes|Not|And"
    r"|What|Where|Who|How|Which|Why|When|Please|Sorry)\b)[A-Z][a-z]"
)
# Words behind which the name is written or said, and may be the picture's own.
INSCRIPTION = compile_lazily(
    r"(?:\b(?:says?|saying|reads?|reading|written|labell?ed|marked|titled|spell(?:s|ing)?|words?|letters"
    r"|name ?tag|badge)\s*[:,]?\s*|[写寫印刻绣繡标標贴貼][着著有了]?|[叫名]为?)\Z"
)
# "Charlie reads Charlie's book" names the character twice.
POSSESSIVE = compile_lazily(r"['’]s\s+\w")
# Surnames that are no ordinary words before a name, and what makes a surrogate another word: 小满 is also a season.
CHINESE_NAME_BEFORE = compile_lazily(
    r"(?:[王李刘陈杨赵吴徐孙朱郭罗宋郑韩冯董曹袁邓傅沈彭吕蒋蔡贾丁魏薛潘杜姜姚谭廖邹]|(?<![一二两三几这那每])张)\Z"
)
CHINESE_WORD_AFTER = compile_lazily(r"足|意|节|節|时节|分|日历|贯|小满|苗|满")


def replace_surrogate(text: str, surrogate: str, tag: str) -> str:
    """Replaces the surrogate name by the tag, except in quotations, which are the picture's text, and in other names
    ("Charlie Brown").

    A quotation at the beginning may be the answer, or the name.
    """
    if surrogate.casefold() not in text.casefold():
        return text
    quoted = [found.span() for found in QUOTATIONS.finditer(text) if found.start() > 0]

    def replacement(found: re.Match[str]) -> str:
        is_quoted = any(start < found.start() < end for start, end in quoted)
        return found[0] if is_quoted or is_other(found, surrogate) else tag

    return surrogate_pattern(surrogate).sub(replacement, text)


def contains_surrogate(text: str, surrogate: str) -> bool:
    """Whether the text still has the name, other than in a quotation or as a part of another name."""
    if surrogate.casefold() not in text.casefold():
        return False
    plain = remove_marked(text)
    return any(not is_longer_name(found, surrogate) for found in surrogate_remnant_pattern(surrogate).finditer(plain))


def is_other(found: re.Match[str], surrogate: str) -> bool:
    """A common noun, a part of another name, or an inscription."""
    before = found.string[max(0, found.start() - 40) : found.start()]
    is_noun = not surrogate.islower() and DETERMINER.search(before.lower()) is not None
    is_inscription = INSCRIPTION.search(before) is not None and POSSESSIVE.match(found.string, found.end()) is None
    if is_mentioned(found.string, found.end()):
        return True
    return is_noun or is_inscription or is_longer_name(found, surrogate)


def is_longer_name(found: re.Match[str], surrogate: str) -> bool:
    before, after = found.string[max(0, found.start() - 40) : found.start()], found.string[found.end() :]
    if HAN_CHARACTER.search(surrogate):
        return CHINESE_NAME_BEFORE.search(before) is not None or CHINESE_WORD_AFTER.match(after) is not None
    if not found[0][0].isupper():
        return False
    is_second = NAME_BEFORE.search(before) is not None and PLAIN_CAPITAL.search(before) is None
    return is_second or NAME_AFTER.match(after) is not None


@lru_cache(maxsize=64)
def surrogate_pattern(name: str) -> re.Pattern[str]:
    if HAN_CHARACTER.search(name):
        return re.compile(re.escape(name))
    end = rf"(?!{SPACED_LETTER}|-\w)"
    return re.compile(rf"(?<!{SPACED_LETTER})(?<!-){re.escape(name)}{end}", re.IGNORECASE)


@lru_cache(maxsize=64)
def surrogate_remnant_pattern(name: str) -> re.Pattern[str]:
    if HAN_CHARACTER.search(name):
        return re.compile(re.escape(name))
    end = "" if len(name) >= MIN_PREFIX_LENGTH else rf"(?:e?s)?(?!{SPACED_LETTER})"
    return re.compile(rf"(?<!{SPACED_LETTER}){re.escape(name)}{end}", re.IGNORECASE)

"""The languages of questions and answers. Detects the script of a text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from persqa_client.quotations import remove_quotations

LANGUAGES = ("en", "zh")
# Other words that users write, in lower case.
LANGUAGE_SYNONYMS = {
    "en": ("eng", "english", "英文", "英语"),
    "zh": ("zho", "cn", "chinese", "mandarin", "中文", "汉语", "简体中文"),
}

# The next three are parts of patterns; HAN and UNSPACED go inside a character class.
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts without spaces between words: a Latin word may directly follow their characters.
UNSPACED = HAN + r"\u3040-\u30ff"
# A letter next to a name makes it part of a longer word. ``\b`` does not work between Latin and Chinese.
SPACED_LETTER = rf"[^\W{UNSPACED}]"

HAN_CHARACTER = re.compile(f"[{HAN}]")
TAGS = re.compile(r"<[^<>\n]{1,42}>")
LATIN_WORDS = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’\-][A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)*")
OTHER_LETTERS = re.compile(rf"[^\W\d_A-Za-zªµº\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a{HAN}]")

Script = Literal["han", "latin"]


class ScriptCounts(NamedTuple):
    han: int  # Characters.
    latin_words: int
    lowercase_words: int  # Latin words without a capital letter, so neither brands nor names.
    other_letters: int


def count_scripts(text: str) -> ScriptCounts:
    plain = TAGS.sub(" ", remove_quotations(text))
    words = LATIN_WORDS.findall(plain)
    if plain.isascii():
        han, others = 0, 0
    else:
        han, others = len(HAN_CHARACTER.findall(plain)), len(OTHER_LETTERS.findall(plain))
    return ScriptCounts(han, len(words), sum(word.islower() for word in words), others)


@lru_cache(maxsize=1024)
def main_script(text: str) -> Script | None:
    count = count_scripts(text)
    if count.other_letters > max(count.han, count.latin_words) or not (count.han or count.latin_words):
        return None
    return "han" if count.han > count.latin_words else "latin"


def is_chinese(text: str) -> bool:
    return main_script(text) == "han"

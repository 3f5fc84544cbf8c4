"""The languages of questions and answers, the script that a text is written in, and its quotations."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

LANGUAGES = ("en", "zh")
# Other words that users write, in lower case.
LANGUAGE_SYNONYMS = {
    "en": ("eng", "english", "英文", "英语"),
    "zh": ("zho", "cn", "chinese", "mandarin", "中文", "汉语", "简体中文"),
}

# The next three are for use inside patterns, HAN and UNSPACED inside a character class.
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts that put no space between words: a Latin word may stand right beside their characters.
UNSPACED = HAN + r"\u3040-\u30ff"
# A letter that would make a name part of a longer word; ``\b`` sees no boundary between Latin and Chinese.
SPACED_LETTER = rf"[^\W{UNSPACED}]"
QUOTATION = (
    r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|『[^』\n]*』|«[^»\n]*»|`[^`\n]*`|(?<![\w>])[\'‘][^\'‘’\n]{1,80}[\'’](?!\w)'
)

HAN_CHARACTER = re.compile(f"[{HAN}]")
QUOTATIONS = re.compile(QUOTATION)
TAGS = re.compile(r"<[^<>\n]{1,42}>")
LATIN_WORDS = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’\-][A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)*")
OTHER_LETTERS = re.compile(rf"[^\W\d_A-Za-zªµº\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a{HAN}]")

Script = Literal["han", "latin"]


class ScriptCounts(NamedTuple):
    """How much of each script a text has, outside its tags and quotations."""

    han: int  # Characters.
    latin_words: int
    lowercase_words: int  # The Latin words without a capital letter, so neither brands nor names.
    other_letters: int


def remove_quotations(text: str) -> str:
    """The text with a space for each quotation: what a sign or a book says is not the answer's own words."""
    return QUOTATIONS.sub(" ", text)


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
    """The script of most of the text; None for any other script, and for a text without letters."""
    count = count_scripts(text)
    if count.other_letters > max(count.han, count.latin_words) or not (count.han or count.latin_words):
        return None
    return "han" if count.han > count.latin_words else "latin"


def is_chinese(text: str) -> bool:
    """Whether the text is mainly Chinese. A Chinese tag or a quoted Chinese sign does not count."""
    return main_script(text) == "han"

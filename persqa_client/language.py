"""Which script a text is written in, and which parts of it are quoted. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese characters, for use inside a class of a pattern."""
UNSPACED = HAN + r"\u3040-\u30ff"
"""Characters of scripts that put no space between words, so that a Latin word may stand right beside them."""
LETTER = rf"[^\W{UNSPACED}]"
"""What a name must not touch to be a word of its own; ``\\b`` sees no boundary between Latin and Chinese."""

QUOTED = r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|『[^』\n]*』|«[^»\n]*»|`[^`\n]*`|(?<![\w>])[\'‘][^\'‘’\n]{1,80}[\'’](?!\w)'
"""What is quoted is said by a sign, a book or somebody else: it is neither the answer's language nor its names."""

CJK = re.compile(f"[{HAN}]")
PASSAGE = re.compile(QUOTED)
TAG = re.compile(r"<[^<>\n]{1,42}>")
WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’\-][A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)*")
OTHER = re.compile(rf"[^\W\d_A-Za-zªµº\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a{HAN}]")

Script = Literal["han", "latin"]


class Scripts(NamedTuple):
    """How much of each script there is in a text, outside its tags and quotations."""

    han: int
    """Characters."""
    words: int
    """Latin words."""
    common: int
    """Of these, the ones without a capital letter: no brands and no names."""
    others: int
    """Letters of all other scripts."""


def unquoted(text: str) -> str:
    """The text without what stands in quotation marks."""
    return PASSAGE.sub(" ", text)


def scripts(text: str) -> Scripts:
    plain = TAG.sub(" ", unquoted(text))
    words = WORD.findall(plain)
    # ASCII, as most texts are, has neither.
    han, others = (0, 0) if plain.isascii() else (len(CJK.findall(plain)), len(OTHER.findall(plain)))
    return Scripts(han, len(words), sum(word.islower() for word in words), others)


@lru_cache(maxsize=1024)
def script_of(text: str) -> Script | None:
    """The script of most of a text, a question mostly; None where that is another one, or where there is none."""
    count = scripts(text)
    if count.others > max(count.han, count.words) or not (count.han or count.words):
        return None
    return "han" if count.han > count.words else "latin"


def is_chinese(text: str) -> bool:
    """Whether a question is put in Chinese: a Chinese tag or a quoted sign in it says nothing about that."""
    return script_of(text) == "han"

"""Tells which answers have no marks that most cleaning steps and checks look for.

Most answers are a sentence of words behind the tag. One search shows it, and all that looks for quotations, brackets,
colons, questions, broken characters or other scripts is skipped.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from persqa_client.lazy_pattern import compile_lazily

# Rare characters of broken and unfinished texts: 锟斤拷, 烫烫烫, 屯屯屯, UTF-8 read as GBK or Shift JIS, 某某.
RARE_HAN = "斤拷某烫屯锟縺繧繝鐨鍦鐫姝涓鎴"
PLAIN_TAG = compile_lazily(r"<[^\W_][\w.\-]*>")
# Names that are also markup of templates, programs or web pages.
RESERVED_TAG = compile_lazily(
    r"<(?:s|[be]os|(?:start|end)_of_turn|end_of_utterance|think(?:ing)?|image|video|audio|box|ref|quad|point|bbox|0x.*)>",
    re.IGNORECASE,
)


def compile_plain() -> re.Pattern[str]:
    """The pattern lacks X, which may be a placeholder. An apostrophe follows a letter or the tag, so it opens no
    quotation.
    """
    ends = [0x4DFF, *sorted(map(ord, RARE_HAN)), 0xA000]
    han = "".join(f"{chr(before + 1)}-{chr(after - 1)}" for before, after in pairwise(ends) if after - before > 1)
    characters = rf"[A-WYZa-z0-9 ,.\-，。、{han}]*"
    return re.compile(rf"(?:'s(?= ))?{characters}(?:(?<=[a-z])'(?=[a-z]){characters})*")


PLAIN = compile_plain()


@lru_cache(maxsize=16)
def is_plain(text: str, tag: str) -> bool:
    """Whether the text is the tag, and behind it nothing but letters, digits, blanks, commas and full stops.

    Letters are those of English and Chinese. There is no other tag, quotation, bracket, line break or placeholder.
    """
    return (
        text.startswith(tag)
        and PLAIN.fullmatch(text, len(tag)) is not None
        and "sks" not in text
        and "Sks" not in text
        and "addCriterion" not in text
        and is_plain_tag(tag)
    )


@lru_cache(maxsize=1024)
def is_plain_tag(tag: str) -> bool:
    return PLAIN_TAG.fullmatch(tag) is not None and RESERVED_TAG.fullmatch(tag) is None

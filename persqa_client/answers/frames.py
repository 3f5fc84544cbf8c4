"""Phrases around an answer: preambles ("Sure, here is the answer:") and postambles ("Let me know if …").

Their words are in the tables of all languages, since models also answer a Chinese question with "Sure!".
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

from persqa_client.answers.phrases import load_table
from persqa_client.language import UNSPACED

MAX_PREAMBLE_LENGTH = 200
MAX_POSTAMBLE_LENGTH = 250
# What closes a clause. Without it, "no" or "it is" would belong to the tag behind it.
CLOSE = r"(?:\s?[,.!:;…—–，。！：、；】،؛।]+[*_]*\s*|\s*\n\s*)"
# Beginnings of sentences within a text.
SENTENCE_START = re.compile(
    rf"[.!?。！？؟…\n](?:(?<!\n)[.!?。！？؟…]*[\"”’»」』)）]?(?:\s+|(?=[{UNSPACED}]))|(?<=\n)\s*)(?=\W{{0,3}}\w)"
)
SENTENCE_END = r"[\s.!?。！？؟…~～]*\W{0,8}"
# Verbs behind "the <mam>", which show that the tag is not the first half of a noun ("the <mam> family").
PREDICATE = re.compile(
    r"['’]s\b|,|\s+(?:is|was|has|had|does|did|can|could|will|would|may|might|must|seems|appears)\b"
    r"|\s+\w+s\b(?!\s+(?:is|are|was|were|has|have|had|can|could|will|would|do|did)\b)"
)
ARTICLE = re.compile(r"the\s+\Z", re.IGNORECASE)
QUOTE_PAIRS = ("“”", "「」", "『』", "«»")


@lru_cache
def languages_with_tables() -> tuple[str, ...]:
    folder = files("persqa_client.answers") / "languages"
    return tuple(sorted(path.name.removesuffix(".toml") for path in folder.iterdir() if path.name.endswith(".toml")))


@lru_cache
def any_phrase(kind: str, place: str) -> str:
    """A pattern for the phrases of all languages."""
    tables = (load_table(language) for language in languages_with_tables())
    return "|".join(f"(?:{phrase})" for table in tables for phrase in table.get(kind, {}).get(place, ()))


@lru_cache
def preamble_pattern() -> re.Pattern[str]:
    closed, open_ = any_phrase("preamble", "closed"), any_phrase("preamble", "open")
    return re.compile(rf"(?:[*_#>¡\s]*(?:{closed}){CLOSE})*(?:(?:{open_})\s*)?", re.IGNORECASE)


@lru_cache
def postamble_pattern() -> re.Pattern[str]:
    return re.compile(rf"[*_(（¡\s]*(?:{any_phrase('postamble', 'sentence')}){SENTENCE_END}", re.IGNORECASE)


@lru_cache
def report_pattern() -> re.Pattern[str]:
    reported = any_phrase("postamble", "reported")
    return re.compile(rf"(?:{reported})(?:[^.!?。！？\n]{{0,40}}[:：][^\n]*|[着著了]?\s*\n\s*)\Z", re.IGNORECASE)


def is_preamble(text: str, end: int) -> bool:
    """Whether nothing but a preamble stands before ``end``."""
    return end <= MAX_PREAMBLE_LENGTH and preamble_pattern().fullmatch(text, 0, end) is not None


def is_preamble_to_tag(text: str, start: int, end: int) -> bool:
    """``start`` and ``end`` of the tag. Also allows an article, if the tag is not a part of a longer noun."""
    if is_preamble(text, start):
        return True
    article = ARTICLE.search(text, max(0, start - 8), start)
    return article is not None and PREDICATE.match(text, end) is not None and is_preamble(text, article.start())


def find_postamble(text: str) -> int:
    """Where the postamble begins; the text's length without one. A sentence that the picture quotes is none."""
    end = len(text)
    starts = [found.end() for found in SENTENCE_START.finditer(text, max(1, end - MAX_POSTAMBLE_LENGTH))]
    for start in reversed(starts):
        if not postamble_pattern().fullmatch(text, start, end) or is_reported(text[:start]):
            break
        end = start
    return end


def is_reported(before: str) -> bool:
    """Whether text behind ``before`` is inside a quotation, or behind "reads" and a colon or a line break."""
    if before.count('"') % 2 or any(before.count(pair[0]) > before.count(pair[1]) for pair in QUOTE_PAIRS):
        return True
    return any(mark in before for mark in ":：\n") and report_pattern().search(before) is not None

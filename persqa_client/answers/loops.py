"""Whether an answer repeats itself, as models that got caught do. Pure."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

from persqa_client.language import CJK
from persqa_client.types import Ask, Problem

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


def is_no_loop(text: str, ask: Ask) -> Problem | None:
    words = text.split()
    repeats = (
        (len(words) - len(set(words)) >= OFTEN and comes_often(words, WORDS))
        or ((CJK.search(text) or max(map(len, words), default=0) > GIANT) and comes_often(text, CHARACTERS))
        or RUN.search(text)
        or shrinks(text)
    )
    return Problem("loop", "it repeats itself again and again") if repeats else None


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

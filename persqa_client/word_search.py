"""Tells quickly that a text does not have what a pattern looks for, word by word.

Most texts consist of frequent words. Words without a match are remembered, so that these texts are not searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache

# Then all of them are forgotten. Longer words are texts without spaces, of which each is new.
MOST_WORDS, LONGEST_WORD = 5_000, 24


class WordSearch:
    """``search`` returns a true value for the words in question. It must see the same in a word as in the whole text:
    a pattern may look around a match for letters, but must not match or require a blank.
    """

    def __init__(self, search: Callable[[str], object]) -> None:
        self._search = search
        self._others: set[str] = set()

    def is_in(self, words: Collection[str]) -> bool:
        others = self._others
        if others.issuperset(words):
            return False
        for word in words:
            if word in others:
                continue
            if self._search(word):
                return True
            if len(word) <= LONGEST_WORD:
                if len(others) >= MOST_WORDS:
                    others.clear()
                others.add(word)
        return False


def search_words(pattern: str) -> WordSearch:
    """Ignores case."""
    return WordSearch(re.compile(pattern, re.IGNORECASE).search)


@lru_cache(maxsize=16)
def split_in_lower_case(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split())


@lru_cache(maxsize=16)
def split_at_blanks(text: str) -> tuple[str, ...]:
    return tuple(text.split())

"""Finds sentences that deny and affirm the same noun: "has no beard, and the long beard is grey"."""

from __future__ import annotations

from functools import lru_cache

from persqa_client.answers.phrases import fold_text, phrase_pattern
from persqa_client.quotations import remove_quotations
from persqa_client.word_search import WordSearch, split_at_blanks

UNSPACED_LANGUAGES = ("zh", "ja", "ko")


def contradicts_itself(text: str, language: str) -> bool:
    """``[contradiction] both`` repeats the noun that is denied; ``words`` are those of the denial."""
    words = phrase_pattern(language, "contradiction", "words")
    if language in UNSPACED_LANGUAGES:
        if words.search(text) is None:
            return False
    elif not search_denial(language).is_in(split_at_blanks(text)):
        return False
    both = phrase_pattern(language, "contradiction", "both")
    return both.search(fold_text(remove_quotations(text), language)) is not None


@lru_cache
def search_denial(language: str) -> WordSearch:
    words = phrase_pattern(language, "contradiction", "words")
    return WordSearch(lambda word: words.search(fold_text(word, language)))

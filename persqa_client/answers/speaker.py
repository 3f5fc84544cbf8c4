"""Finds clauses in which the answerer speaks of itself or to the user.

An honest answer does so where it can't see a detail: "a book whose title I can't read". Such a clause has a verb of
perception or opinion.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import fold_text, phrase_pattern
from persqa_client.quotations import remove_quotations
from persqa_client.word_search import WordSearch, split_at_blanks

CLAUSE_END = re.compile(r"[,.;:!?()…—–،؛؟。、！？（）\n]+")
UNSPACED_LANGUAGES = ("zh", "ja")
NO_PHRASES = r"(?!)"


def has_speaker(text: str, tag: str, language: str) -> bool:
    words = phrase_pattern(language, "speaker", "words")
    if words.pattern == NO_PHRASES:
        return False
    if language in UNSPACED_LANGUAGES:
        if words.search(text) is None:
            return False
    elif not search_speaker(language).is_in(split_at_blanks(text)):
        return False
    own = fold_text(remove_quotations(text).replace(tag, " "), language)
    honest = phrase_pattern(language, "speaker", "honest")
    return any(words.search(clause) and not honest.search(clause) for clause in CLAUSE_END.split(own))


@lru_cache
def search_speaker(language: str) -> WordSearch:
    words = phrase_pattern(language, "speaker", "words")
    return WordSearch(lambda word: words.search(fold_text(word, language)))

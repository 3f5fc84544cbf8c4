"""Finds clauses in which the answerer speaks of itself or to the user.

An honest answer does so where it can't see a detail: "a book whose title I can't read". Such a clause has a verb of
perception or opinion.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import fold_text, load_table, phrase_pattern
from persqa_client.quotations import remove_quotations
from persqa_client.word_search import WordSearch, split_at_blanks

CLAUSE_END = re.compile(r"[,.;:!?()…—–،؛؟。、！？（）\n]+")
UNSPACED_LANGUAGES = ("zh", "ja")


def has_speaker(text: str, tag: str, language: str) -> bool:
    words = phrase_pattern(language, "speaker", "words")
    own = fold_text(remove_quotations(text).replace(tag, " "), language)
    honest = phrase_pattern(language, "speaker", "honest")
    return any(words.search(clause) and not honest.search(clause) for clause in CLAUSE_END.split(own))


def may_speak_or_deny(text: str, language: str) -> bool:
    """Cheap, for ordinary answers. Contradictions are looked for behind the same search."""
    if language in UNSPACED_LANGUAGES:
        return find_words(language).search(text) is not None
    return search_words_of(language).is_in(split_at_blanks(text))


@lru_cache
def search_words_of(language: str) -> WordSearch:
    words = find_words(language)
    return WordSearch(lambda word: words.search(fold_text(word, language)))


@lru_cache
def find_words(language: str) -> re.Pattern[str]:
    # Without groups, whose first characters ``re`` doesn't look ahead for.
    kinds = (load_table(language).get(kind, {}).get("words", ()) for kind in ("speaker", "contradiction"))
    return re.compile("|".join(phrase for phrases in kinds for phrase in phrases) or r"(?!)", re.IGNORECASE)

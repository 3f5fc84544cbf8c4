"""The language whose words decide whether an answer is a sentence."""

from __future__ import annotations

from functools import lru_cache

from persqa_client.answers.phrases import find_unchecked_language, languages_to_check


@lru_cache(maxsize=1024)
def choose_language(question: str) -> str | None:
    """The language of the question, or None if it has no table."""
    return None if find_unchecked_language(question) else languages_to_check(question, "")[0]

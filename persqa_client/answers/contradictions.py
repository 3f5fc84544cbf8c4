"""Finds sentences that deny and affirm the same noun: "has no beard, and the long beard is grey"."""

from __future__ import annotations

from persqa_client.answers.phrases import fold_text, phrase_pattern
from persqa_client.quotations import remove_quotations


def contradicts_itself(text: str, language: str) -> bool:
    """``[contradiction] both`` repeats the noun that is denied; ``words`` are those of the denial."""
    folded = fold_text(text, language)
    if phrase_pattern(language, "contradiction", "words").search(folded) is None:
        return False
    return phrase_pattern(language, "contradiction", "both").search(remove_quotations(folded)) is not None

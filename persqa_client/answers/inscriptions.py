"""Finds names that are not used but mentioned: "Mam" is written on the mug."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.frames import any_phrase

CLOSING_MARKS = r"[*_`~\"”'’」』》»›]{0,3}(?!s\b)"
# "Charlie and the Chocolate Factory is on the table": the verb shows that it is one thing.
TITLE = r"\s+and\s+(?:the\s+|an?\s+)?(?-i:(?:[A-Z][\w'’]*\s+){1,5})(?:is|was|has|lies|stands|sits)\b"


def is_mentioned(text: str, end: int) -> bool:
    """Whether the name before ``end`` is written on something, or begins a title."""
    return mention_pattern().match(text, end) is not None


@lru_cache
def mention_pattern() -> re.Pattern[str]:
    return re.compile(rf"{CLOSING_MARKS}(?:{any_phrase('inscription', 'behind')}|{TITLE})", re.IGNORECASE)

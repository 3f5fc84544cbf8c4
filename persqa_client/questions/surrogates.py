"""Ordinary names under which a model is asked about a main character that bears a tag. Pure.

A model that never sees the tag can't mangle it (field survey: the way of those who wrote the first such questions).
"""

from __future__ import annotations

from collections.abc import Iterable

from persqa_client.errors import RowError
from persqa_client.language import is_chinese

ENGLISH = ("Charlie", "Marlow", "Tessaly", "Quillan")
CHINESE = ("小满", "阿禾", "知夏", "云舟")
"""Of no one gender, no famous one's, and no everyday word in their language."""


def choose_surrogate(question: str, tag: str, names: Iterable[str]) -> str:
    """The first name in the question's language that nobody else there bears.

    ``names`` are the real names that no answer may have. Raises RowError where all are taken.
    """
    taken = f"{question} {tag} {' '.join(names)}".casefold()
    for name in CHINESE if is_chinese(question) else ENGLISH:
        if name.casefold() not in taken:
            return name
    raise RowError("no_surrogate", "every name that could stand in for the tag is in the question or among --names")

"""Finds answers that only repeat the user's description of the main character.

Other answers may use its words, also all of them: "<mam> is the woman with the red scarf, who reads a book."
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Task

NO_LETTER = compile_lazily(r"[\W_]+")
# Between the tag and the description, and behind it, in letters only.
LINK = compile_lazily(r"(?:is|was|是|就是)")
PLACE = compile_lazily(
    r"in(?:the|this)(?:first|second)?(?:picture|image|photo)$|^(?:这张)?(?:图片?|照片|画面)(?:中|里)的?"
)


def repeats_description(text: str, task: Task) -> bool:
    if not task.description:
        return False
    described = task.description.replace(task.surrogate, task.tag) if task.surrogate else task.description
    return split_statements(text, task.tag) == split_statements(described, task.tag)


def without_description(task: Task) -> str:
    """The prompt without the words that an answer may have in common with it."""
    return task.prompt.replace(task.description, "") if task.description else task.prompt


@lru_cache(maxsize=1024)
def split_statements(text: str, tag: str) -> frozenset[str]:
    """The statements about the tag, in letters only, each once."""
    return frozenset(filter(None, map(keep_letters, text.split(tag))))


def keep_letters(part: str) -> str:
    letters = NO_LETTER.sub("", part.casefold())
    link: re.Match[str] | None = LINK.match(letters)
    return PLACE.sub("", letters[link.end() :] if link else letters)

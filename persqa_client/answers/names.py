"""Finds real names that answers must not contain."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.language import HAN_CHARACTER, SPACED_LETTER
from persqa_client.types import Problem, Task


def check_no_real_name(text: str, task: Task) -> Problem | None:
    """The problem does not contain the name, so that the re-ask does not reveal it."""
    if not task.names:
        return None
    any_name = compile_names(task.names)
    without_tag = text.replace(task.tag, " ")
    # A repaired tag may be the first half of a full name: "<mam> Gilmore" for "Mam Gilmore".
    full_name = compile_names(tuple(name for name in task.names if len(name.split()) > 1))
    without_brackets = text.replace(task.tag, task.tag[1:-1])
    if (any_name and any_name.search(without_tag)) or (full_name and full_name.search(without_brackets)):
        return Problem("name_leak", "a real name from --names")
    return None


@lru_cache(maxsize=64)
def compile_names(names: tuple[str, ...]) -> re.Pattern[str] | None:
    """One case-insensitive pattern for all names; Latin names match only as whole words."""
    patterns = [pattern for name in names if (pattern := name_pattern(name.strip()))]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def name_pattern(name: str) -> str:
    if HAN_CHARACTER.search(name):
        return re.escape(name)
    words = [re.sub("['’]", "['’]", re.escape(word)) for word in re.split(r"[\s\-_]+", name) if word]
    return rf"(?<!{SPACED_LETTER})" + r"[\s\-_]+".join(words) + rf"(?!{SPACED_LETTER})" if words else ""

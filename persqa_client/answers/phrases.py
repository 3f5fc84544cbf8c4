"""Phrases that the checks look for, in one table for each language (``languages/LANGUAGE.toml``)."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from persqa_client.language import is_chinese


@lru_cache
def load_table(language: str) -> dict[str, Any]:
    return tomllib.loads((files("persqa_client.answers") / "languages" / f"{language}.toml").read_text("utf-8"))


@lru_cache
def phrase_pattern(language: str, kind: str, place: str) -> re.Pattern[str]:
    """One pattern for all phrases of ``[kind] place`` in the language's table, ignoring case. Without phrases, it
    matches nothing.
    """
    phrases = load_table(language).get(kind, {}).get(place, ())
    return re.compile("|".join(f"(?:{phrase})" for phrase in phrases) or r"(?!)", re.IGNORECASE)


def languages_to_check(question: str, text: str) -> tuple[str, ...]:
    """Languages whose phrases are looked for in an answer to ``question``."""
    return ("zh",) if is_chinese(question) else ("en",)


def find_unchecked_language(question: str) -> str | None:
    """The language of the question if it has no table."""
    return None

"""Phrases that the checks look for, in one table for each language (``languages/LANGUAGE.toml``).

The README of this folder describes the tables.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from persqa_client.language import HAN_CHARACTER, SCRIPTS, TAGS, detect_language
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.word_search import WordSearch, split_at_blanks

TABLES = files("persqa_client.answers") / "languages"
TERM = compile_lazily(r"\{([a-z_]+)\}")
# A run up to a mark, which is bounded: a later word of the phrase may be missing.
UNBOUNDED_RUN = compile_lazily(r"(\[\^(?:\\.|[^\]\\])+\])([*+])(?!\+)")
LONGEST_RUN = 200
# What is no letter of a pattern, though it may be a capital.
ESCAPED = compile_lazily(r"\\.|\(\?P")
# Small letters that count as equal to other ones where case is ignored, such as the long s.
SPECIAL_CASE = compile_lazily("[µıſ\u0345\u0370-\u03ff\u1c80-\u1c88\u1e61\u1e9b\u1fbe\u1fd3\u1fe3\ua64b\ufb05\ufb06]")
# Here words end nowhere, and a text has few different characters.
LANGUAGES_WITHOUT_SPACES = ("zh", "ja")
# The tag in a prepared text, in place of the real one.
TAG_MARK = "<>"
LATIN_WORD = compile_lazily("[A-Za-z]{2}")
SCRIPT_LETTERS = (
    ("ja", SCRIPTS["kana"]),
    ("zh", HAN_CHARACTER),
    ("ko", SCRIPTS["hangul"]),
    ("ru", SCRIPTS["cyrillic"]),
    ("ar", SCRIPTS["arabic"]),
)

# Languages that are detected, but have no table.
UNCHECKED_NAMES = {
    "it": "Italian", "nl": "Dutch", "pl": "Polish", "tr": "Turkish", "vi": "Vietnamese", "id": "Indonesian",
    "sv": "Swedish", "da": "Danish", "cs": "Czech", "ro": "Romanian", "hu": "Hungarian", "fi": "Finnish",
    "uk": "Ukrainian", "be": "Belarusian", "fa": "Persian", "ur": "Urdu", "hi": "Hindi", "bn": "Bengali",
    "ta": "Tamil", "th": "Thai", "el": "Greek", "he": "Hebrew",
}  # fmt: skip


@lru_cache
def list_languages() -> frozenset[str]:
    """Languages that have a table."""
    return frozenset(file.name.removesuffix(".toml") for file in TABLES.iterdir() if file.name.endswith(".toml"))


@lru_cache
def load_table(language: str) -> dict[str, Any]:
    return tomllib.loads((TABLES / f"{language}.toml").read_text("utf-8"))


@lru_cache
def phrase_pattern(language: str, kind: str, place: str) -> re.Pattern[str]:
    """One pattern for all phrases of ``[kind] place`` in the language's table, ignoring case. Without phrases, it
    matches nothing.
    """
    return re.compile(join_phrases(language, kind, place), re.IGNORECASE)


@lru_cache
def any_phrase(kind: str, place: str) -> str:
    """A pattern for the phrases of all languages."""
    tables = (load_table(language) for language in sorted(list_languages()))
    return "|".join(f"(?:{phrase})" for table in tables for phrase in table.get(kind, {}).get(place, ()))


def join_phrases(language: str, kind: str, place: str) -> str:
    phrases = load_table(language).get(kind, {}).get(place, ())
    terms = load_terms(language)
    return "|".join(f"(?:{fill_terms(phrase, terms)})" for phrase in phrases) or r"(?!)"


@lru_cache
def lower_pattern(language: str, kind: str, place: str) -> re.Pattern[str]:
    """``phrase_pattern`` for a text in lower case, which is searched several times as fast with regard to case."""
    return compile_for_lower(join_phrases(language, kind, place))


def compile_for_lower(pattern: str) -> re.Pattern[str]:
    letters = ESCAPED.sub("", pattern)
    return re.compile(pattern, re.NOFLAG if letters == letters.lower() else re.IGNORECASE)


def is_lower(text: str) -> bool:
    """Whether ``lower_pattern`` finds the same in the text as ``phrase_pattern``."""
    return text == text.lower() and (text.isascii() or SPECIAL_CASE.search(text) is None)


@lru_cache
def load_terms(language: str) -> dict[str, str]:
    """The table's ``[terms]``; each may have earlier ones in it."""
    terms = {"tag": TAG_MARK}
    for name, phrase in load_table(language).get("terms", {}).items():
        terms[name] = f"(?:{fill_terms(phrase, terms)})"
    return terms


def fill_terms(phrase: str, terms: dict[str, str]) -> str:
    """Raises KeyError for a ``{term}`` that the table does not have."""
    return bound_runs(TERM.sub(lambda found: terms[found[1]], phrase))


def bound_runs(phrase: str) -> str:
    """``[^.!?]*`` becomes ``[^.!?]{0,200}``."""
    return UNBOUNDED_RUN.sub(lambda found: f"{found[1]}{{{int(found[2] == '+')},{LONGEST_RUN}}}", phrase)


@lru_cache
def load_folds(language: str) -> dict[int, str]:
    """Characters that count as others: the table's ``[fold]``, for ``str.translate``."""
    folds = {"’": "'", "ʼ": "'", **load_table(language).get("fold", {})}
    return str.maketrans({old: new for olds, new in folds.items() for old in olds})


@lru_cache
def load_hints(language: str) -> tuple[str, ...]:
    """Parts of words, one of which every phrase of the table has."""
    words = dict.fromkeys(load_table(language).get("hints", {}).get("words", ()))
    return tuple(word for word in words if not any(other in word for other in words if other != word))


def may_have_hint(text: str, language: str) -> bool:
    """False for most texts without a hint. Cheaper than looking for each hint."""
    if language in LANGUAGES_WITHOUT_SPACES:
        return has_hint(fold_text(text, language), language)
    return search_hinted_words(language).is_in(split_at_blanks(text))


def has_hint(folded: str, language: str) -> bool:
    spaced = f" {folded} "
    if language in LANGUAGES_WITHOUT_SPACES:
        return hint_pattern(language).search(spaced) is not None
    words = folded.split()
    if not search_hinted_words(language).is_in(words):
        return False
    return any(hint in spaced for word in words for hint in find_hints(word, language))


@lru_cache
def hint_pattern(language: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, load_hints(language))))


@lru_cache
def search_hinted_words(language: str) -> WordSearch:
    """Searches for words that have the longest word of a hint."""
    hints = re.compile("|".join(longest_word(hint) for hint in load_hints(language)))
    return WordSearch(lambda word: hints.search(fold_text(word, language)))


@lru_cache(maxsize=4096)
def find_hints(word: str, language: str) -> tuple[str, ...]:
    """The hints whose longest word is in the word of a text."""
    return tuple(hint for longest, hint in pair_hints(language) if longest in word)


@lru_cache
def pair_hints(language: str) -> tuple[tuple[str, str], ...]:
    """Each hint behind its longest word."""
    return tuple((max(hint.split(" "), key=len), hint) for hint in load_hints(language))


def longest_word(hint: str) -> str:
    """A pattern. A blank of the hint before or behind the word is a boundary of the word."""
    words = hint.split(" ")
    longest = max(words, key=len)
    place = words.index(longest)
    before, behind = r"(?<!\S)" if place > 0 else "", r"(?!\S)" if place < len(words) - 1 else ""
    return f"{before}{re.escape(longest)}{behind}"


def fold_text(text: str, language: str) -> str:
    """The text in lower case, with the characters of the table's ``[fold]`` replaced."""
    return (text if text.isascii() else text.translate(load_folds(language))).lower()


def languages_to_check(question: str, text: str) -> tuple[str, ...]:
    """Languages whose phrases are looked for in an answer to ``question``: the question's, or the answer's if the
    question is too short to tell, those of the scripts in the answer, and English if it has Latin words.
    """
    asked = detect_language(question) or detect_language(text)
    if text.isascii():
        if asked == "en":
            return ("en",)
        wanted: tuple[str | None, ...] = (asked, "en")
    else:
        scripts: tuple[str, ...] = ()
        if letters_of_others(asked).search(text):
            scripts = tuple(language for language, letters in SCRIPT_LETTERS if letters.search(text))
        wanted = (asked, *(scripts if "ja" not in scripts else (one for one in scripts if one != "zh")), "en")
        if not LATIN_WORD.search(TAGS.sub(" ", text)):
            wanted = wanted[:-1]
    return tuple(language for language in dict.fromkeys(wanted) if language in list_languages())


@lru_cache
def letters_of_others(asked: str | None) -> re.Pattern[str]:
    """Letters that answers in the language do not have. In Japanese, it depends on the answer."""
    others = (letters.pattern for language, letters in SCRIPT_LETTERS if language != asked)
    return re.compile("|".join(others))


def find_unchecked_language(question: str) -> str | None:
    """The language of the question if it has no table."""
    language = detect_language(question)
    return None if language in list_languages() else language


def describe_unchecked_language(language: str) -> str:
    name = f"{UNCHECKED_NAMES[language]} ({language})" if language in UNCHECKED_NAMES else language
    return (
        f"Some questions are in {name}. In this language, refusals, missing pictures and talk about the task are not "
        "recognized in answers, except for English phrases. Look through the answers before you use them."
    )


@lru_cache(maxsize=1024)
def choose_language(question: str) -> str | None:
    """The language of the question, or None if it has no table."""
    return None if find_unchecked_language(question) else languages_to_check(question, "")[0]

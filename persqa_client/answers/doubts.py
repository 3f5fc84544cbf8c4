"""Finds what makes an accepted answer doubtful: signs that rules can't judge, each with its code."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import find_unchecked_language, list_languages, load_table, longest_word
from persqa_client.answers.plain import is_plain
from persqa_client.language import HAN_CHARACTER, OTHER_LETTERS, UNSPACED, count_scripts, detect_language
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations
from persqa_client.types import Task
from persqa_client.word_search import WordSearch, split_in_lower_case

CLAUSE = compile_lazily(r"[^,.;:!?\n，。；：！？、]*")
LOWERCASE_LATIN = compile_lazily(r"[a-z]")

# Two words, or three characters of a script without spaces. Less is hardly an answer: "<mam> stands."
SUBSTANCE = compile_lazily(rf"(?<!['’])\b[^\W_]+\W+[^\W_]|(?:[{UNSPACED}]\W*){{3}}")
# A Chinese answer may have one or two English words, such as 印有 logo 的 T恤.
MAX_LATIN_WORDS = 2


def find_doubts(text: str, task: Task, steps: tuple[str, ...] = (), refused: str | None = None) -> tuple[str, ...]:
    """Codes of an answer that has passed the checks, most of them none.

    ``steps``: repairs of the answer. ``refused``: code of an earlier answer to the question that was rejected.
    """
    doubts = []
    # After a truncated answer the same question is asked, only with more room.
    if refused is not None and refused != "truncated":
        doubts.append("re_asked")
    if "tag_bare" in steps:
        doubts.append("bare_name")
    said = text.replace(task.tag, " ")
    language = detect_language(task.question)
    if language in list_languages():
        if search_terms(language).is_in(split_in_lower_case(said)):
            lowered = said.lower().replace("’", "'")
            if has_term(load_doubt_terms(language, "hedges"), lowered, first_clause=True):
                doubts.append("hedged")
            if has_term(load_doubt_terms(language, "refusal_words"), lowered):
                doubts.append("refusal_words")
    elif find_unchecked_language(task.question) is not None:
        doubts.append("unchecked_language")
    if not SUBSTANCE.search(said) and not task.wants_phrase:
        doubts.append("short")
    is_clean = is_plain(text, task.tag) and not LOWERCASE_LATIN.search(text, len(task.tag))
    if not (is_clean and language == "zh") and has_other_script(text, language):
        doubts.append("other_script")
    return tuple(doubts)


@lru_cache
def load_doubt_terms(language: str, kind: str) -> tuple[str, ...]:
    """Whole terms in lower case of ``[doubt]`` in the language's table; an apostrophe stands for each form of it."""
    return tuple(load_table(language)["doubt"][kind])


@lru_cache
def search_terms(language: str) -> WordSearch:
    """Searches for words that have the longest word of a term."""
    terms = load_doubt_terms(language, "hedges") + load_doubt_terms(language, "refusal_words")
    words = re.compile("|".join(map(longest_word, terms)))
    return WordSearch(lambda word: words.search(word.replace("’", "'")))


def has_term(terms: tuple[str, ...], lowered: str, *, first_clause: bool = False) -> bool:
    """Whether one of the terms stands in the answer as a whole, outside of quotations."""
    found = [term for term in terms if term in lowered]
    if not found:
        return False
    own = remove_quotations(lowered)
    if first_clause:
        clause = CLAUSE.match(own.lstrip())
        own = clause[0] if clause else ""
    return any(find_whole(term).search(own) for term in found)


@lru_cache(maxsize=256)
def find_whole(term: str) -> re.Pattern[str]:
    # \b does not work next to Chinese characters, which are words of their own.
    return re.compile(re.escape(term) if HAN_CHARACTER.search(term) else rf"\b{re.escape(term)}\b")


def has_other_script(text: str, language: str | None) -> bool:
    """Quotations and tags do not count. In other languages, the check of the language has to do."""
    if text.isascii() and (language == "en" or not LOWERCASE_LATIN.search(text)):
        return False
    if language == "en" and (HAN_CHARACTER.search(text) or OTHER_LETTERS.search(text)):
        count = count_scripts(remove_quotations(text))
        return count.han + count.other_letters > 0
    if language == "zh" and (LOWERCASE_LATIN.search(text) or OTHER_LETTERS.search(text)):
        count = count_scripts(remove_quotations(text))
        return count.lowercase_words > MAX_LATIN_WORDS or count.other_letters > 0
    return False

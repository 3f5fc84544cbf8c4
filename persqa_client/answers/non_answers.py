"""Finds texts that do not answer the question: refusals, missing pictures, talk about the task or of the model, and
answers that contradict themselves.

What matters is who cannot do what. "<mam> can't be seen from here" is about the picture, and so is "a phone, but I
can't identify the model" behind a statement.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from persqa_client.answers.phrases import (
    TAG_MARK,
    choose_language,
    fold_text,
    has_hint,
    is_lower,
    languages_to_check,
    load_table,
    lower_pattern,
    may_have_hint,
    phrase_pattern,
)
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations
from persqa_client.types import Problem, ProblemCode, Task
from persqa_client.word_search import WordSearch, split_at_blanks

SENTENCE_START = compile_lazily(r"(?:^|[.!?。！？؟…\n]|\)|）)[\s\"'*_.!?。！？؟…)）(（>-]*")
CLAUSE_START = compile_lazily(r"(?:^|[,;:—–(，；：、،؛（\n]|\s-)\s*")
SENTENCE_END = compile_lazily(r"[.!?。！？؟…\n](?!\w)|…|[。！？\n]")
# Between the tag and a sentence that the tag is no part of.
SEPARATOR = compile_lazily(r"\s*[,.:;!?…—–\-*،，。：；！？\n(（]")
BLANKS = " \t\n\u3000"
MARKS = " \t\n\u3000,，.。:：;；!！?？-–—*\"“”'…،؛(（"


class Statement(NamedTuple):
    """An answer, prepared for the phrases of one language."""

    text: str  # Without quotations; the tag is TAG_MARK.
    sentences: tuple[int, ...]  # Where they begin.
    lead: str  # The text after the tag.
    stands_alone: bool  # Whether the tag is no part of the sentence after it.
    main: str  # That sentence, if it stands alone, behind polite phrases.
    clauses: tuple[int, ...]  # Where they begin in it.


def check_image_is_seen(text: str, task: Task) -> Problem | None:
    return find_phrase(text, task, "no_image", "an answer that says that there is no picture")


def check_no_refusal(text: str, task: Task) -> Problem | None:
    return find_phrase(text, task, "refusal", "refusal")


def check_not_about_task(text: str, task: Task) -> Problem | None:
    problem = find_phrase(text, task, "about_the_task", "talk about the task")
    language = choose_language(task.question)
    if problem or language is None:
        return problem
    if not may_speak_or_deny(text, language):
        return None
    if has_speaker(text, task.tag, language):
        return Problem("about_the_task", "the model speaks of itself or to the user")
    if contradicts_itself(text, language):
        return Problem("about_the_task", "an answer that contradicts itself")
    return None


def find_phrase(text: str, task: Task, kind: ProblemCode, message: str) -> Problem | None:
    for language, statement in prepare_statements(text, task.tag, task.question):
        if has_phrase(statement, language, kind) or has_phrase_of_unseen(statement, language, kind):
            return Problem(kind, message)
    return None


@lru_cache(maxsize=16)
def prepare_statements(text: str, tag: str, question: str) -> tuple[tuple[str, Statement], ...]:
    """The statement for each language that may have a phrase in it. Remembered for the checks of one answer."""
    statements = []
    for language in languages_to_check(question, text):
        if (statement := prepare_statement(text, tag, language)) is not None:
            statements.append((language, statement))
    return tuple(statements)


def prepare_statement(text: str, tag: str, language: str) -> Statement | None:
    """None if the text has none of the language's hints."""
    if not may_have_hint(text, language):
        return None
    own = find_own_text(text, tag, language)
    return build_statement(text, tag, language, own) if has_hint(own, language) else None


def find_own_text(text: str, tag: str, language: str) -> str:
    folded = fold_text(text, language)
    own = remove_quotations(folded.strip(MARKS) if folded.startswith(('"', "“", "「", "«")) else folded)
    return own.replace(tag.lower(), TAG_MARK)


def build_statement(text: str, tag: str, language: str, own: str) -> Statement:
    """``own``: the result of ``find_own_text``."""
    lead = own.lstrip(MARKS).removeprefix(TAG_MARK)
    behind = text.lstrip(MARKS).removeprefix(tag)
    stands_alone = (
        not text.lstrip(MARKS).startswith(tag)
        or SEPARATOR.match(behind) is not None
        or behind.lstrip(BLANKS)[:1].isupper()
        or phrase_pattern(language, "subject", "opening").match(lead.lstrip(MARKS)) is not None
    )
    lead = lead.lstrip(MARKS)
    main = lead[: end_of_main_statement(lead, language)] if stands_alone else ""
    clauses = (*find_ends(CLAUSE_START, main), *find_ends(SENTENCE_START, main)) if stands_alone else ()
    return Statement(own, find_ends(SENTENCE_START, own), lead, stands_alone, main, clauses)


def find_ends(pattern: re.Pattern[str], text: str) -> tuple[int, ...]:
    return tuple([found.end() for found in pattern.finditer(text)])


def has_phrase(statement: Statement, language: str, kind: str) -> bool:
    text, lead = statement.text, statement.lead
    compile_phrases = lower_pattern if is_lower(text) else phrase_pattern
    if compile_phrases(language, kind, "anywhere").search(text):
        return True
    if compile_phrases(language, kind, "behind_tag").match(lead):
        return True
    at_sentence = compile_phrases(language, kind, "sentence")
    for start in statement.sentences:
        if at_sentence.match(text, start):
            return True
    opening = compile_phrases(language, kind, "opening")
    if opening.match(lead):
        return True
    if not statement.stands_alone:
        return False
    if at_sentence.match(lead) or compile_phrases(language, kind, "alone").search(statement.main):
        return True
    return any(opening.match(statement.main, start) for start in statement.clauses)


KINDS_OF_UNSEEN = ("no_image", "about_the_task")


def has_phrase_of_unseen(statement: Statement, language: str, kind: str) -> bool:
    """Phrases that are honest where the rest of the text says what they are about: options in an exam, a file on a
    screen (``[kind] shown``).
    """
    if kind not in KINDS_OF_UNSEEN:
        return False
    text = statement.text
    compile_phrases = lower_pattern if is_lower(text) else phrase_pattern
    found = compile_phrases(language, kind, "anywhere_unless_shown").search(text)
    if found is None:
        at_sentence = compile_phrases(language, kind, "sentence_unless_shown")
        starts = (*statement.sentences, len(text) - len(statement.lead))
        found = next(filter(None, (at_sentence.match(text, start) for start in starts)), None)
    if found is None:
        return False
    rest = f"{text[: found.start()]} {text[found.end() :]}"
    return phrase_pattern(language, kind, "shown").search(rest) is None


def end_of_main_statement(text: str, language: str) -> int:
    """The end of the first sentence, or of the one after polite phrases (``[polite] opening``)."""
    polite = phrase_pattern(language, "polite", "opening")
    start = 0
    while True:
        end = SENTENCE_END.search(text, start)
        if end is None:
            return len(text)
        if not polite.match(text, start) or end.end() == len(text):
            return end.end()
        start = end.end() + len(text[end.end() :]) - len(text[end.end() :].lstrip(MARKS))


def contradicts_itself(text: str, language: str) -> bool:
    """``[contradiction] both`` repeats the noun that is denied; ``words`` are those of the denial."""
    folded = fold_text(text, language)
    if phrase_pattern(language, "contradiction", "words").search(folded) is None:
        return False
    return phrase_pattern(language, "contradiction", "both").search(remove_quotations(folded)) is not None


CLAUSE_END = compile_lazily(r"[,.;:!?()…—–،؛؟。、！？（）\n]+")
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

"""The checks of answers, in order, each with its code."""

from __future__ import annotations

import re

from persqa_client.answers.echo import check_no_echo
from persqa_client.answers.loops import check_no_loop
from persqa_client.answers.markup import check_no_markup, check_no_unknown_tag
from persqa_client.answers.names import check_no_real_name
from persqa_client.answers.placeholders import check_no_placeholder
from persqa_client.answers.refusals import check_no_refusal
from persqa_client.answers.residue import check_no_residue
from persqa_client.answers.sentence import check_is_sentence, check_no_stand_in
from persqa_client.language import count_scripts, main_script
from persqa_client.types import Check, Problem, Task

LETTER_OR_DIGIT = re.compile(r"[^\W_]")
POSSESSIVE = re.compile(r"['’]s\b")


def check_not_empty(text: str, task: Task) -> Problem | None:
    return None if LETTER_OR_DIGIT.search(text) else Problem("empty", "empty answer")


def check_begins_with_tag(text: str, task: Task) -> Problem | None:
    return None if text.startswith(task.tag) else Problem("no_tag", f"no {task.tag} at the beginning")


def check_says_something(text: str, task: Task) -> Problem | None:
    """Ignores a possessive ``'s``."""
    rest = text.replace(task.tag, " ")
    if LETTER_OR_DIGIT.search(POSSESSIVE.sub("", rest)):
        return None
    return Problem("only_tag", f"nothing besides {task.tag}")


def check_language(text: str, task: Task) -> Problem | None:
    """In Chinese answers only lower-case Latin words count as foreign, because brands and names keep their letters.
    English answers may have a few Chinese words, such as the name of a dish.
    """
    wanted = main_script(task.question)
    if wanted is None or (wanted == "latin" and text.isascii()):
        return None
    count = count_scripts(text)
    if wanted == "han":
        foreign, own = count.lowercase_words + count.other_letters, count.han
    else:
        foreign, own = count.han + count.other_letters, count.latin_words and 2 * count.latin_words + 2
    if foreign <= own:
        return None
    expected = "Chinese" if wanted == "han" else "the language of the question"
    return Problem("wrong_language", f"wrong language (expected {expected})")


# Checks of answers about one tagged character. The first problem is reported, so the most specific checks come first.
TAGGED_ANSWER_CHECKS: tuple[Check, ...] = (
    check_not_empty,
    check_no_refusal,
    check_no_stand_in,
    check_begins_with_tag,
    check_says_something,
    check_no_residue,
    check_no_echo,
    check_no_placeholder,
    check_no_markup,
    check_no_unknown_tag,
    check_no_loop,
    check_language,
    check_no_real_name,
    check_is_sentence,
)

"""The checks of answers, in order, each with its code."""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import check_language
from persqa_client.answers.echo import check_no_echo
from persqa_client.answers.loops import check_no_loop
from persqa_client.answers.markup import check_no_markup, check_no_unknown_tag
from persqa_client.answers.names import check_no_real_name
from persqa_client.answers.non_answers import check_image_is_seen, check_no_refusal, check_not_about_task
from persqa_client.answers.placeholders import check_no_placeholder
from persqa_client.answers.plain import is_plain
from persqa_client.answers.residue import check_no_residue
from persqa_client.answers.sentence import check_is_sentence, check_no_stand_in
from persqa_client.types import Check, Problem, Task

LETTER_OR_DIGIT = re.compile(r"[^\W_]")
POSSESSIVE = re.compile(r"['’]s\b")


def check_not_empty(text: str, task: Task) -> Problem | None:
    return None if LETTER_OR_DIGIT.search(text) else Problem("empty", "empty answer")


def check_begins_with_tag(text: str, task: Task) -> Problem | None:
    return None if text.startswith(task.tag) else Problem("no_tag", f"no {task.tag} at the beginning")


def check_says_something(text: str, task: Task) -> Problem | None:
    """Ignores a possessive ``'s``."""
    if is_plain(text, task.tag) and LETTER_OR_DIGIT.search(
        text, len(task.tag) + 2 * text.startswith("'", len(task.tag))
    ):
        return None
    rest = text.replace(task.tag, " ")
    if LETTER_OR_DIGIT.search(POSSESSIVE.sub("", rest)):
        return None
    return Problem("only_tag", f"nothing besides {task.tag}")


# Checks of answers about one tagged character. The first problem is reported, so the most specific checks come first.
TAGGED_ANSWER_CHECKS: tuple[Check, ...] = (
    check_not_empty,
    check_image_is_seen,
    check_no_refusal,
    check_no_stand_in,
    check_begins_with_tag,
    check_says_something,
    check_no_residue,
    check_no_echo,
    check_not_about_task,
    check_no_placeholder,
    check_no_markup,
    check_no_unknown_tag,
    check_no_loop,
    check_language,
    check_no_real_name,
    check_is_sentence,
)

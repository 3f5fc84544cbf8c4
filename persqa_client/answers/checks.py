"""The checks of answers, in order, each with its code."""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import check_language
from persqa_client.answers.clean import TEMPLATE_TOKEN
from persqa_client.answers.echo import check_adds_words, check_no_echo
from persqa_client.answers.loops import check_no_loop
from persqa_client.answers.names import check_no_real_name
from persqa_client.answers.non_answers import check_image_is_seen, check_no_refusal, check_not_about_task
from persqa_client.answers.placeholders import check_no_placeholder
from persqa_client.answers.plain import is_plain
from persqa_client.answers.relevance import check_answers_question
from persqa_client.answers.residue import check_no_residue
from persqa_client.answers.sentence import check_is_sentence, check_no_stand_in
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_quotations
from persqa_client.types import Check, Problem, Task

LETTER_OR_DIGIT = compile_lazily(r"[^\W_]")
POSSESSIVE = compile_lazily(r"['’]s\b")
# Not "a red box", which may be a thing in the picture, and not 红框眼镜, glasses with a red frame.
DRAWN_BOX = compile_lazily(
    r"\b(?:in|inside|within|outside(?: of)?) (?:the|this|that) red (?:box|rectangle|square|frame|outline|border)\b"
    r"|\b(?:marked|highlighted|outlined|enclosed|framed|indicated|surrounded) (?:by|in|with) (?:the|a) red"
    r" (?:box|rectangle|square|frame|outline|border)\b"
    r"|\bbounding box\b"
    r"|红(?:色的?)?(?:方|矩形|线|边|标注)?框(?:里|内|中|标|选|圈)",
    re.IGNORECASE,
)


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


MARKUP = compile_lazily(rf"{TEMPLATE_TOKEN}|</?think(?:ing)?>|◁/?think▷|<(?:image|video|audio)>", re.IGNORECASE)
TAG_LIKE = compile_lazily(r"</?[^\W\d_][^<>\n]{0,39}>|＜/?[^\W\d_][^＜＞\n]{0,39}＞")
# ``List<String>``, ``std::vector<int>``; ``<anna@example.com>``, ``<https://example.com>``.
# ``#include <vector>``, ``import <a/b.h>``.
TYPE_BEFORE = compile_lazily(r"(?:[A-Z]\w*|::\w+|#\s?[a-z]+ ?|\bimport )\Z")
ADDRESS = compile_lazily(r"@|://")
# A file in brackets, and what stands behind brackets in a line of code: ``vector<int> v = {1, 2};``.
FILE_NAME = compile_lazily(r"<[\w/+\-]+\.[a-z]{1,4}>")
DECLARATION = compile_lazily(r"[*&]? ?[A-Za-z_]\w* ?(?:=|;|\()")


def check_no_markup(text: str, task: Task) -> Problem | None:
    """Also finds ``<image>`` and the like, which training code would replace by an image."""
    if is_plain(text, task.tag):
        return None
    return Problem("unknown_markup", "chat template markup") if MARKUP.search(text) else None


def check_no_unknown_tag(text: str, task: Task) -> Problem | None:
    """Allows tags in the question, in quotations, and in sentences about code or keys.

    Closing tags are never allowed: the model used the tag as XML markup, not as a name.
    """
    if is_plain(text, task.tag):
        return None
    rest = text.replace(task.tag, "")
    if ("<" not in rest and "＜" not in rest) or not TAG_LIKE.search(rest):
        return None
    closing = f"</{task.tag[1:]}"
    if closing.lower() in rest.lower():
        return Problem("unknown_tag", f"closing tag {closing}", "closing", closing)
    for found in TAG_LIKE.finditer(remove_quotations(rest)):
        if found[0] not in task.question and not (is_comparison(found) or is_code(found)):
            return Problem("unknown_tag", f"unknown tag {found[0]}", found=found[0])
    return None


def check_no_drawn_box(text: str, task: Task) -> Problem | None:
    """The red box around the main character was drawn into the picture for the model. The data set's has none."""
    if not task.has_drawn_box or not DRAWN_BOX.search(text):
        return None
    return Problem("about_the_task", "an answer about the box that was drawn into the picture")


def is_declaration(found: re.Match[str]) -> bool:
    """``name<type> variable =``: a word stands directly before the bracket."""
    before = found.string[: found.start()][-1:]
    return before.isalnum() and before.isascii() and DECLARATION.match(found.string, found.end()) is not None


def is_comparison(found: re.Match[str]) -> bool:
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    return " " in found[0] and before.isalnum() and after.isalnum()


def is_code(found: re.Match[str]) -> bool:
    return (
        TYPE_BEFORE.search(found.string[: found.start()]) is not None
        or ADDRESS.search(found[0]) is not None
        or FILE_NAME.fullmatch(found[0]) is not None
        or is_declaration(found)
        or is_about_code(TAG_LIKE.sub(" ", found.string))
    )


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
    check_no_drawn_box,
    check_no_placeholder,
    check_no_markup,
    check_no_unknown_tag,
    check_no_loop,
    check_language,
    check_no_real_name,
    check_is_sentence,
    check_adds_words,
    check_answers_question,
)
# Checks of answers that are the tag and a word or a phrase (--answer-style word).
PHRASE_CHECKS = tuple(check for check in TAGGED_ANSWER_CHECKS if check is not check_is_sentence)

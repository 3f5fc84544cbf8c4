"""Finds tokens of chat templates, and tags that the question does not have."""

from __future__ import annotations

import re

from persqa_client.answers.clean import TEMPLATE_TOKEN
from persqa_client.answers.plain import is_plain
from persqa_client.quotations import is_about_code, remove_quotations
from persqa_client.types import Problem, Task

MARKUP = re.compile(rf"{TEMPLATE_TOKEN}|</?think(?:ing)?>|◁/?think▷|<(?:image|video|audio)>", re.IGNORECASE)
TAG_LIKE = re.compile(r"</?[^\W\d_][^<>\n]{0,39}>|＜/?[^\W\d_][^＜＞\n]{0,39}＞")
# ``List<String>``, ``std::vector<int>``; ``<anna@example.com>``, ``<https://example.com>``.
# ``#include <vector>``, ``import <a/b.h>``.
TYPE_BEFORE = re.compile(r"(?:[A-Z]\w*|::\w+|#\s?[a-z]+ ?|\bimport )\Z")
ADDRESS = re.compile(r"@|://")
# A file in brackets, and what stands behind brackets in a line of code: ``vector<int> v = {1, 2};``.
FILE_NAME = re.compile(r"<[\w/+\-]+\.[a-z]{1,4}>")
DECLARATION = re.compile(r"[*&]? ?[A-Za-z_]\w* ?(?:=|;|\()")


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

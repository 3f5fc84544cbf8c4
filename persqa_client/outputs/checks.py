"""The checks of an answer's text: each a small function with a code of its own. Pure."""

from __future__ import annotations

import re

from persqa_client.types import Ask, Check, Problem

WORD = re.compile(r"\w")
REFUSALS = re.compile(
    r"\bi(?:['’]m| am) (?:sorry|unable|not able)"
    r"|\bi (?:can(?:['’]t|not)|could(?:n['’]t| not)) (?:help|assist|identify|answer|provide|describe|comply)"
    r"|\bas an ai\b"
    r"|(?:对不起|很?抱歉)[,，].{0,20}(?:无法|不能)"
    r"|^我?(?:无法|不能)(?:识别|辨认|回答|提供|协助)",
    re.IGNORECASE,
)
REFUSAL_WITHIN = 200
"""Characters from the beginning: a refusal opens an answer."""


def is_not_empty(text: str, ask: Ask) -> Problem | None:
    return None if WORD.search(text) else Problem("empty", "it is empty")


def is_no_refusal(text: str, ask: Ask) -> Problem | None:
    head = text[:REFUSAL_WITHIN].removeprefix(ask.tag).lstrip(" ,，:：")
    return Problem("refusal", "it is a refusal") if REFUSALS.search(head) else None


def begins_with_tag(text: str, ask: Ask) -> Problem | None:
    return None if text.startswith(ask.tag) else Problem("no_tag", f"it does not begin with {ask.tag}")


def says_something(text: str, ask: Ask) -> Problem | None:
    """Something must follow the tag, a possessive's ``'s`` apart."""
    rest = re.sub(r"^['’]s\b", "", text.removeprefix(ask.tag))
    return None if WORD.search(rest) else Problem("only_tag", f"it says nothing after {ask.tag}")


TAGGED_ANSWER: tuple[Check, ...] = (is_not_empty, is_no_refusal, begins_with_tag, says_something)
"""For a question about one character, in the order in which a reason is worth telling."""

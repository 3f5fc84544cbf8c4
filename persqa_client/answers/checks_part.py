"""The checks of an answer's text, in the order in which a reason is worth telling: each a small function with a code
of its own. Pure."""

from __future__ import annotations

import re

from persqa_client.answers.checks import begins_with_tag, is_not_pronoun_only, leaks_no_name
from persqa_client.answers.clean import is_no_echo
from persqa_client.answers.loops import is_no_loop
from persqa_client.answers.markup import has_no_markup, has_no_placeholder, has_no_unknown_tag
from persqa_client.answers.refusals import is_no_refusal
from persqa_client.answers.speech import speaks_the_language
from persqa_client.types import Ask, Check, Problem

WORD = re.compile(r"[^\W_]")
POSSESSIVE = re.compile(r"['’]s\b")


def is_not_empty(text: str, ask: Ask) -> Problem | None:
    return None if WORD.search(text) else Problem("empty", "it is empty")


def says_something(text: str, ask: Ask) -> Problem | None:
    """Something must stand beside the tag, a possessive's ``'s`` apart."""
    rest = text.replace(ask.tag, " ")
    if WORD.search(POSSESSIVE.sub("", rest)):
        return None
    return Problem("only_tag", f"it says nothing after {ask.tag}")


TAGGED_ANSWER: tuple[Check, ...] = (
    is_not_empty,
    is_no_refusal,
    is_not_pronoun_only,
    begins_with_tag,
    says_something,
    is_no_echo,
    has_no_placeholder,
    has_no_markup,
    has_no_unknown_tag,
    is_no_loop,
    speaks_the_language,
    leaks_no_name,
)
"""For a question about one character."""

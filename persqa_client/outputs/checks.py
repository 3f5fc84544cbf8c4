"""The checks of an answer's text: each a small function with a code of its own. Pure."""

from __future__ import annotations

import re

from persqa_client.types import Ask, Check, Problem

WORD = re.compile(r"\w")
TEMPLATE_TOKEN = r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</s>|<eos>|<(?:start|end)_of_turn>"
"""What chat templates put between turns: ChatML and Llama 3, DeepSeek, Llama 2, Gemma."""
MARKUP = re.compile(rf"{TEMPLATE_TOKEN}|</?think>", re.IGNORECASE)
ECHO = re.compile(
    r"\n[\s*_#>]*(?:question|answer|问题|回答|答案)[*_]*\s*[:：]|\bquestion\s*[:：].*\banswer\s*[:：]",
    re.IGNORECASE | re.DOTALL,
)
REFUSALS = re.compile(
    r"(?:unfortunately|apologies|my apologies)?[,.!]?\s*(?:but\s+)?(?:"
    r"i(?:['’]m| am) (?:so |very |really )?(?:sorry|unable|not able|afraid)\b"
    r"|sorry(?:[,.!，]|\s+(?:but|i)\b|$)|i apologi[sz]e\b"
    r"|i (?:can(?:['’]?t|not| not)|could(?:n['’]t| not)|do(?:n['’]t| not)) (?:really |clearly |actually )?"
    r"(?:help|assist|identify|answer|provide|describe|comply|see|tell|view|say|determine|recogni[sz]e|find|know|have)\b"
    r"|as an ai\b"
    r"|(?:对不起|很?抱歉|不好意思)[,，].{0,20}(?:无法|不能)"
    r"|我(?:无法|不能|看不[到见清])"
    r"|(?:无法|不能)(?:识别|辨认|回答|提供|协助))",
    re.IGNORECASE,
)
"""How a refusal opens; further on, the same words may be those of a sign, or of a job."""


def is_not_empty(text: str, ask: Ask) -> Problem | None:
    return None if WORD.search(text) else Problem("empty", "it is empty")


def is_no_refusal(text: str, ask: Ask) -> Problem | None:
    opening = text.removeprefix(ask.tag).lstrip(" \t\n,，.。:：-–—")
    return Problem("refusal", "it is a refusal") if REFUSALS.match(opening) else None


def begins_with_tag(text: str, ask: Ask) -> Problem | None:
    return None if text.startswith(ask.tag) else Problem("no_tag", f"it does not begin with {ask.tag}")


def says_something(text: str, ask: Ask) -> Problem | None:
    """Something must stand beside the tag, a possessive's ``'s`` apart."""
    rest = re.sub(rf"{re.escape(ask.tag)}(?:['’]s\b)?", " ", text)
    return None if WORD.search(rest) else Problem("only_tag", f"it says nothing after {ask.tag}")


def is_no_echo(text: str, ask: Ask) -> Problem | None:
    """What follows may be another question's answer, so nothing is cut."""
    return Problem("echo", "it goes on with a question or an answer of its own") if ECHO.search(text) else None


def has_no_markup(text: str, ask: Ask) -> Problem | None:
    """A closing tag takes the name for XML around a sentence that then lacks its subject."""
    closing = f"</{ask.tag[1:]}"
    if closing.lower() in text.lower():
        return Problem("unknown_markup", f"it has a closing tag {closing}; {ask.tag} stands for a name")
    return Problem("unknown_markup", "it has markup of a chat in it") if MARKUP.search(text) else None


TAGGED_ANSWER: tuple[Check, ...] = (
    is_not_empty,
    is_no_refusal,
    begins_with_tag,
    says_something,
    is_no_echo,
    has_no_markup,
)
"""For a question about one character, in the order in which a reason is worth telling."""

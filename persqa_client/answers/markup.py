"""What has no place in a sentence: marks of chat templates, tags that nobody gave, places left to fill in. Pure."""

from __future__ import annotations

import re

from persqa_client.answers.surrogates import has_left
from persqa_client.language import LETTER, unquoted
from persqa_client.types import Ask, Problem

TEMPLATE_TOKEN = (
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<[be]os>|<(?:start|end)_of_turn>|<end_of_utterance>|\[/?INST\]"
)
"""What chat templates put between turns: ChatML and Llama 3, DeepSeek, Llama 2, Gemma, Idefics."""
MARKUP = re.compile(rf"{TEMPLATE_TOKEN}|</?think(?:ing)?>|◁/?think▷|<(?:image|video|audio)>", re.IGNORECASE)
TAG_LIKE = re.compile(r"</?[^\W\d_][^<>\n]{0,39}>|＜/?[^\W\d_][^＜＞\n]{0,39}＞")
PLACEHOLDER = re.compile(
    r"\{(?i:\{[^{}]{0,40}\}\}|(?:[a-z]+_)?(?:name|tag|subject|character|person|answer|question)s?\})"
    r"|\[(?i:(?:insert |your |the |main )?(?:name|tag|character|subject|person|answer)\b[^\]]{0,30}\])"
    r"|<(?i:(?:name|tag|character|subject|person)>)"
    rf"|s(?<!{LETTER}s)(?i:ks(?!{LETTER}))|S(?<!{LETTER}S)(?i:ks(?!{LETTER}))"
    rf"|X(?<!{LETTER}X)X{{2,}}(?!{LETTER})|_(?<![\^TtOoQq>(]_)__+|某某|"
    + "|".join(rf"\{bracket}(?:姓名|名字|名称|标签|主角名?|人物名?)[\]】}}｝）)>＞]" for bracket in "[【{｛（(<＜")
)
"""Each alternative begins with a character as it is: re looks for these before it tries any (0.6 in place of 4 µs for a
sentence)."""


def has_no_markup(text: str, ask: Ask) -> Problem | None:
    """The placeholders of training layouts count too: a trainer would look for a picture to each."""
    return Problem("unknown_markup", "it has markup of a chat in it") if MARKUP.search(text) else None


def has_no_unknown_tag(text: str, ask: Ask) -> Problem | None:
    """A closing tag takes the name for XML around a sentence that then lacks its subject. What the question itself has
    may come again, and so may what is quoted, as a screen's or a sign's own text."""
    rest = text.replace(ask.tag, "")
    if ("<" not in rest and "＜" not in rest) or not TAG_LIKE.search(rest):
        return None
    closing = f"</{ask.tag[1:]}"
    if closing.lower() in rest.lower():
        return Problem("unknown_tag", f"it has a closing tag {closing}; {ask.tag} stands for a name")
    unknown = next((tag for tag in tag_likes(unquoted(rest)) if tag not in ask.question), None)
    return Problem("unknown_tag", f"it has a tag {unknown}, which is none") if unknown else None


def tag_likes(text: str) -> list[str]:
    """All that looks like a tag, but for the two signs of comparisons (``a<b and c>d``)."""
    return [
        found[0]
        for found in TAG_LIKE.finditer(text)
        if " " not in found[0] or not (text[: found.start()][-1:].isalnum() and text[found.end() :][:1].isalnum())
    ]


def has_no_placeholder(text: str, ask: Ask) -> Problem | None:
    """Of the name that stood in for the tag, too, nothing may be left."""
    if ask.surrogate and has_left(text.replace(ask.tag, ""), ask.surrogate):
        return Problem("placeholder", "it has another form of the main character's name")
    found = PLACEHOLDER.search(text)
    if found is None or PLACEHOLDER.search(unquoted(text).replace(ask.tag, "")) is None:
        return None
    return Problem("placeholder", f"it has a placeholder {found[0]} in it")

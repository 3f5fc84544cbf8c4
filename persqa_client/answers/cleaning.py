"""Takes off what stands around an answer: thinking, the chat template's ends, a fence, an echo, a label, quotes. Pure.

Each step is a small function that gives the text back as it was where it has nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from persqa_client.answers.clean import FAR, PREAMBLE, cut_echo, cut_label, cut_postamble, cut_preamble
from persqa_client.answers.markup import TEMPLATE_TOKEN
from persqa_client.jsonl import load_value
from persqa_client.types import Ask

THINKING = re.compile(r"(?is)^.*(?:</(?:think|thinking|thought|reasoning)>|◁/think▷|<\|channel\|>final<\|message\|>)")
"""All up to the last end of a thought; its beginning is often part of the prompt, and not of the answer."""
TEMPLATE_END = re.compile(rf"(?i)(?:(?:{TEMPLATE_TOKEN})\s*)+$")
TEMPLATE_START = re.compile(rf"(?i)^(?:(?:{TEMPLATE_TOKEN})\s*)+(?:assistant\s)?\s*")
WRAPPER = re.compile(r"(?is)^<(answer|response|output)>(.*)</\1>$")
FENCE = re.compile(r"(?s)(?:(```|~~~)[\w-]*\n(.*?)\n?\1|```([^`\n]+)```)$")
MEMBERS = frozenset({"answer", "response", "text", "caption", "description", "output", "回答", "答案"})
BULLET = re.compile(r"(?:[-*•>]|\d{1,2}[.)]|#{1,6}) +")
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", "`": "`"}
OPENS = re.compile(r"(?:^|[\s(（\[])\"")
SPACE = " \t\n\r\f\v\u200b\ufeff"


def clean(text: str, ask: Ask) -> tuple[str, tuple[str, ...]]:
    """The cleaned text, and the names of the steps which changed it."""
    taken = []
    for name, step in STEPS:
        changed = step(text, ask)
        if changed is not text and changed != text:
            taken.append(name)
            text = changed.strip(SPACE)
    return text, tuple(taken)


def cut_thinking(text: str, ask: Ask) -> str:
    return THINKING.sub("", text) if "think" in text or "<" in text.replace(ask.tag, "") else text


def cut_template(text: str, ask: Ask) -> str:
    if text[-1:] in (">", "]"):
        text = TEMPLATE_END.sub("", text)
    if text[:1] in ("<", "[") and not text.startswith(ask.tag):
        text = TEMPLATE_START.sub("", text)
        if wrapped := WRAPPER.match(text.strip()):
            return wrapped[2]
    return text


def open_fence(text: str, ask: Ask) -> str:
    """What stands in a fence around the whole, or around all but a polite opening."""
    if text[-3:] not in ("```", "~~~"):
        return text
    start = text.find(text[-3:], 0, FAR)
    fenced = FENCE.match(text, start) if start >= 0 and PREAMBLE.fullmatch(text, 0, start) else None
    return (fenced[2] or fenced[3] or "") if fenced else text


def open_json(text: str, ask: Ask) -> str:
    """The one text of an object such as ``{"answer": "…"}``."""
    if not (text[:1] == "{" and text[-1:] == "}"):
        return text
    try:
        value = load_value(text.encode("utf-8", "replace"))
    except ValueError:
        return text
    texts = [value[name] for name in value if name in MEMBERS] if isinstance(value, dict) else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else text


def cut_bullet(text: str, ask: Ask) -> str:
    """The mark of a list, a heading or a quotation before an answer that is no list."""
    mark = BULLET.match(text)
    is_one = mark and text.startswith(ask.tag, mark.end()) and not re.search(rf"\n[ \t]{{0,8}}{BULLET.pattern}", text)
    return text[mark.end() :] if mark and is_one else text


def cut_quotes(text: str, ask: Ask) -> str:
    """Without quotation marks around the whole, or one that lacks its partner before the tag or at the end."""
    stop = text[-1:] if text[-1:] in (".", "。") else ""
    body = text.removesuffix(stop) if stop else text
    closing = QUOTES.get(body[:1])
    if closing and len(body) > 1 and body.endswith(closing) and is_whole(body[1:-1], body[0], closing):
        return body[1:-1] + stop
    if text[:1] in ('"', "“") and text.startswith(ask.tag, 1) and not re.search('["”]', text[1:]):
        return text[1:]
    is_odd = text[-1:] in ('"', "”") and not re.search('["“”]', text[:-1]) and not text[-2:-1].isdigit()
    return text[:-1] if is_odd and text.startswith(ask.tag) else text


def is_whole(inner: str, opening: str, closing: str) -> bool:
    """Whether the marks around ``inner`` belong together, and not each to another quotation within."""
    if opening == "'":
        # An apostrophe stands between letters; or after the tag, whose possessive it makes.
        return not re.search(r"(?<![\w>])'|'(?!\w)", inner)
    if opening == '"':
        return inner.count('"') % 2 == 0 and len(OPENS.findall(inner)) * 2 == inner.count('"')
    depth = 0
    for character in inner:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return False
    return opening != closing or depth == 0


STEPS: tuple[tuple[str, Callable[[str, Ask], str]], ...] = (
    ("thinking", cut_thinking),
    ("template", cut_template),
    ("fence", open_fence),
    ("json", open_json),
    ("echo", cut_echo),
    ("label", cut_label),
    ("preamble", cut_preamble),
    ("postamble", cut_postamble),
    ("bullet", cut_bullet),
    ("quotes", cut_quotes),
)

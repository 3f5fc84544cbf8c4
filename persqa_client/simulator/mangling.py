"""What each fault of the kind "answer" makes of a good answer. Pure."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace

from persqa_client.simulator.wording import speaks_chinese


@dataclass(frozen=True, slots=True)
class Message:
    """The choice that a completion carries. ``text`` None stands for ``content: null``."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


REFUSALS = ("I'm sorry, but I can't help with identifying people.", "对不起，我无法识别图中的人物。")
STAND_INS = ("The person", "这个人")


def mangle(kind: str, message: Message, tag: str | None) -> Message:
    """The message as the fault leaves it; a kind of another sort leaves it alone."""
    text = message.text or ""
    chinese = speaks_chinese(text)
    if kind in ("length", "content_filter"):
        return replace(message, text=text[: len(text) // 2], finish_reason=kind)
    if kind == "refusal":
        return replace(message, text=REFUSALS[chinese])
    if kind == "refusal_field":
        return replace(message, text=None, refusal=REFUSALS[chinese])
    return replace(message, text=rewritten(kind, text, tag or ""))


def rewritten(kind: str, text: str, tag: str) -> str:
    """The text with its tag or its frame changed; without a tag to change, as it was."""
    if kind == "empty":
        return ""
    if kind == "think":
        return f"<think>\nThe question is about {tag or 'the picture'}, so I look at it first.\n</think>\n\n{text}"
    if kind == "fenced":
        return f"```\n{text}\n```"
    if not tag:
        return text
    if kind == "only_tag":
        return tag
    tags = {
        "no_tag": STAND_INS[speaks_chinese(text)],
        "bare_tag": tag.strip("<>"),
        "html_tag": html.escape(tag),
        "bold_tag": f"**{tag}**",
        "upper_tag": tag.upper(),
    }
    return text.replace(tag, tags.get(kind, tag))

"""Checks the question that a row brings along, because it is written to the output."""

from __future__ import annotations

import re

from persqa_client.errors import RowError
from persqa_client.questions.tags import parse_tag

# Training code replaces these by images, or takes them for the end of a turn.
MARKS = re.compile(r"<(?:image|video|audio)>|<\|[^<>|\n]{1,40}\|>|</?s>|\[/?INST\]", re.IGNORECASE)
# A request with half of a surrogate pair can't be sent.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
TAG_LIKE = re.compile(r"</?([^\W\d_][\w.\-]{0,39})>")


def check_row_question(question: str, tag: str) -> None:
    """Raises RowError (``bad_question``). Besides the row's own tag, a question may have others."""
    if not question.isascii() and (half := LONE_SURROGATE.search(question)):
        code = f"\\u{ord(half[0]):04x}"
        raise RowError(
            "bad_question", f"the question has half of a character in it ({code}); write all of it, or nothing"
        )
    if "<" not in question and "[" not in question:
        return
    if mark := MARKS.search(question):
        raise RowError("bad_question", f"the question has {mark[0]} in it; remove it, images need no mark")
    if tag in question:
        return
    if other := TAG_LIKE.search(question):
        advice = f', or give the row the field "tag": "{other[1]}"' if can_be_tag(other[1], tag) else ""
        raise RowError(
            "bad_question",
            f"the question is about {other[0]}, but the row's tag is {tag}; write {{tag}} in the question{advice}",
        )


def can_be_tag(name: str, tag: str) -> bool:
    """Whether the name is valid, no single letter as in HTML, and not the row's tag in other letters."""
    try:
        return len(name) > 1 and parse_tag(name).lower() != tag.lower()
    except ValueError:
        return False

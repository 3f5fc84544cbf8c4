"""Writes a question into the layout of its row, for outputs that have the answer alone."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from persqa_client.jsonl import add_member, load_object, replace_value

# DataFlow's and LLaVA's names of the list of turns, and of a turn's text.
CONVERSATION_KEYS = ("conversation", "conversations")
TEXT_KEYS = ("value", "content")
ANSWERING_ROLES = ("gpt", "assistant", "model", "bot")
IMAGE_MARKS = re.compile(r"(?P<before>(?:<image>\s*)*).*?(?P<after>(?:\s*<image>)*)", re.DOTALL)

logger = logging.getLogger(__name__)


def place_question(line: bytes, question: str, answer: str) -> bytes:
    """Puts the question into the first turn of a conversation, and the answer into a second one that has another
    answer. Rows without a conversation get the question as ``question``.
    """
    fields = load_object(line)
    for key in CONVERSATION_KEYS:
        turns = fields.get(key)
        if isinstance(turns, list) and turns and (name := text_key(turns[0])):
            line = replace_value(line, (key, 0, name), keep_marks(turns[0][name], question))
            if len(turns) > 1 and (name := text_key(turns[1])) and answers(turns[1]):
                line = replace_value(line, (key, 1, name), answer)
            return line
    if "question" not in fields:
        warn_of_added_questions()
        return add_member(line, "question", question)
    return line if fields["question"] == question else replace_value(line, ("question",), question)


@lru_cache
def warn_of_added_questions() -> None:
    """Once for all rows."""
    logger.warning(
        "--output-style answer: rows have neither a question nor a conversation; the question is added as 'question'."
    )


def text_key(turn: Any) -> str | None:
    if not isinstance(turn, dict):
        return None
    return next((key for key in TEXT_KEYS if isinstance(turn.get(key), str)), None)


def keep_marks(old: str, question: str) -> str:
    """``<image>`` marks stay before or after the question."""
    marks = IMAGE_MARKS.fullmatch(old)
    if marks is None or "<image>" not in old:
        return question
    return f"{marks['before']}{question}{marks['after']}"


def answers(turn: dict[str, Any]) -> bool:
    return turn.get("from", turn.get("role")) in ANSWERING_ROLES

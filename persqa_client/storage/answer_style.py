"""Writes a question into the layout of its row, for outputs that have the answer alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from persqa_client.jsonl import add_member, keep_elements, load_object, rebuild_array, replace_value

# DataFlow's and LLaVA's names of the list of turns, of a turn's role, and of its text or parts.
CONVERSATION_KEYS = ("conversation", "conversations")
ROLE_KEYS = ("from", "role")
TEXT_KEYS = ("value", "content")
ASKING_ROLES = ("human", "user")
ANSWERING_ROLES = ("gpt", "assistant", "model", "bot")
IMAGE_MARKS = re.compile(r"(?P<before>(?:<image>\s*)*).*?(?P<after>(?:\s*<image>)*)", re.DOTALL)

logger = logging.getLogger(__name__)


def place_question(line: bytes, question: str, answer: str) -> bytes:
    """Puts the question into the user's first turn of a conversation, and the answer into the assistant's turn right
    after it. Later turns are about the old question, and are removed. Rows without such a turn get the question as
    ``question``.
    """
    fields = load_object(line)
    for key in CONVERSATION_KEYS:
        turns = fields.get(key)
        if isinstance(turns, list) and (number := find_question_turn(turns)) is not None:
            return place_in_turns(line, key, turns, number, question, answer)
    if "question" not in fields:
        warn_of_added_questions()
        return add_member(line, "question", question)
    return line if fields["question"] == question else replace_value(line, ("question",), question)


def place_in_turns(line: bytes, key: str, turns: list[Any], number: int, question: str, answer: str) -> bytes:
    last = number
    if any(text_key(turn) and find_role(turn) in ANSWERING_ROLES for turn in turns[number + 1 : number + 2]):
        last = number + 1
        line = place_text(line, (key, last), turns[last], answer)
    line = place_text(line, (key, number), turns[number], question)
    return line if len(turns) == last + 1 else keep_elements(line, (key,), last + 1)


def find_question_turn(turns: Sequence[Any]) -> int | None:
    """The user's first turn; without any, a first turn that has no role."""
    roles = {number: find_role(turn) for number, turn in enumerate(turns) if text_key(turn)}
    asking = (number for number, role in roles.items() if role in ASKING_ROLES)
    return next(asking, 0 if roles.get(0, "") is None else None)


def find_role(turn: dict[str, Any]) -> object:
    return next((turn[key] for key in ROLE_KEYS if key in turn), None)


def place_text(line: bytes, path: tuple[str | int, ...], turn: dict[str, Any], text: str) -> bytes:
    name = text_key(turn)
    assert name is not None
    old = turn[name]
    if isinstance(old, str):
        return replace_value(line, (*path, name), keep_marks(old, text))
    texts = [number for number, part in enumerate(old) if is_text_part(part)]
    if len(texts) == 1:
        path = (*path, name, texts[0], "text")
        return replace_value(line, path, keep_marks(old[texts[0]]["text"], text))
    kept = [number for number in range(len(old)) if number not in texts]
    first = texts[0] if texts else len(old)
    return rebuild_array(line, (*path, name), [*kept[:first], {"type": "text", "text": text}, *kept[first:]])


@lru_cache
def warn_of_added_questions() -> None:
    """Once for all rows."""
    logger.warning(
        "--output-style answer: a row has no question, and no conversation with a turn of a user; in such rows the "
        "question is added as 'question'."
    )


def text_key(turn: Any) -> str | None:
    """The member with the text, or with a list of parts."""
    if not isinstance(turn, dict):
        return None
    return next((key for key in TEXT_KEYS if isinstance(turn.get(key), str | list)), None)


def is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def keep_marks(old: str, text: str) -> str:
    """``<image>`` marks stay before or after the text."""
    marks = IMAGE_MARKS.fullmatch(old)
    if marks is None or "<image>" not in old:
        return text
    return f"{marks['before']}{text}{marks['after']}"

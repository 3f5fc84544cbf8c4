"""From DataFlow's ways of asking to requests: texts, conversations of two layouts, pictures with or without marks.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from persqa_client.dataflow.cells import data_uri, references_of
from persqa_client.errors import RowError
from persqa_client.types import Turn

MARK = "<image>"
"""Where a picture belongs to a turn, in the layout of LLaVA; other marks of that kind stand for what can't be sent."""
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
SCHEMES = ("data:image/", "file://")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request of a serving: ``images`` are references, those of the later turns last (``Turn.pictures``)."""

    system: str
    text: str
    images: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


def prompt_of_text(text: Any, images: Any, system: str) -> Prompt:
    """A text with its pictures. Where no pictures are given and the text names one, it is the picture, and the system
    prompt is what is asked about it: so DataFlow's own operators call a serving."""
    if not isinstance(text, str):
        raise RowError("bad_prompt", f"a prompt must be text, not {type(text).__name__}")
    references = references_of(images, data_uri)
    if not references and names_picture(text):
        return Prompt("", system, (text.strip(),))
    return Prompt(system, unmarked(text) if references else text, references)


def prompt_of_conversation(conversation: Any, images: Any, system: str) -> Prompt:
    """A conversation of ``from``/``value`` or ``role``/``content`` turns.

    A turn has as many of the pictures as it has marks, before its text; those without a mark stand before the first.
    Raises RowError where it is no conversation that ends with a question.
    """
    turns = [read_turn(turn) for turn in conversation] if isinstance(conversation, list | tuple) else []
    system = "\n".join([system, *(turn.text for turn in turns if turn.role == "system")]).strip()
    turns = [turn for turn in turns if turn.role != "system"]
    if not turns or turns[0].role != "user" or turns[-1].role != "user":
        raise RowError("bad_conversation", "a conversation must begin and end with a turn of the user's")
    references = references_of(images, data_uri)
    if references:
        turns = with_pictures(turns, len(references))
    return Prompt(system, turns[0].text, references, tuple(turns[1:]))


def read_turn(turn: Any) -> Turn:
    role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    text = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
    if not isinstance(role, str) or role not in ROLES or not isinstance(text, str):
        raise RowError("bad_conversation", "a turn must have 'from' and 'value', or 'role' and 'content', as text")
    return Turn(ROLES[role], text)


def with_pictures(turns: Sequence[Turn], there: int) -> list[Turn]:
    """The turns without their marks, each with the number of pictures that belong to it."""
    left, told = there, []
    for turn in turns:
        taken = min(turn.text.count(MARK), left) if turn.role == "user" else 0
        left -= taken
        told.append(replace(turn, text=unmarked(turn.text), pictures=taken))
    return told


def unmarked(text: str) -> str:
    return text.replace(MARK, "").strip() if MARK in text else text


def names_picture(text: str) -> bool:
    """Whether a prompt is nothing but a reference to a picture, whether that is there or not."""
    bare = text.strip()
    if bare.startswith(SCHEMES):
        return True
    return "\n" not in bare and PurePath(bare).suffix.lower() in SUFFIXES and len(bare) < 4096 and not is_sentence(bare)


def is_sentence(text: str) -> bool:
    """A text that speaks of a file: several words, with no slash before the second of them."""
    first, _, rest = text.partition(" ")
    return bool(rest) and "/" not in first and len(rest.split()) > 1


def beside(values: Sequence[Any] | None, number: int) -> Any:
    """What a list of pictures has for an input; None where it is shorter, or there is none."""
    return values[number] if values is not None and number < len(values) else None

"""Messages whose content is a list of blocks: pictures first, then one text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from persqa_client.formats.row_members import read_objects, read_string, read_turns
from persqa_client.types import Json


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def make_block_messages(pictures: Sequence[Json], question: str, answer: str | list[Json]) -> list[Json]:
    return [
        {"role": "user", "content": [*pictures, text_block(question)]},
        {"role": "assistant", "content": answer},
    ]


def read_block_messages(row: Json, block_type: str, read_picture: Callable[[Json], Any]) -> tuple[list[Any], str, str]:
    """The pictures, the question and the answer, which may be plain text. Raises ValueError."""
    asked, answered = read_turns(row, "messages", "role", ("user", "assistant"))
    pictures: list[Any] = []
    texts: list[str] = []
    for block in read_objects(asked, "content"):
        if block.get("type") == block_type:
            pictures.append(read_picture(block))
        elif block.get("type") == "text":
            texts.append(read_string(block, "text"))
        else:
            raise ValueError(f"a block has the type {block.get('type')!r}")
    if isinstance(answered.get("content"), str):
        return pictures, "\n".join(texts), answered["content"]
    answer = "\n".join(read_string(block, "text") for block in read_objects(answered, "content"))
    return pictures, "\n".join(texts), answer

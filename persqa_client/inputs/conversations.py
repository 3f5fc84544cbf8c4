"""Rows of trainers: the pictures, the question and the former answer of a conversation.

What LLaVA, Qwen's trainer, LLaMA-Factory, ms-swift, TRL, Axolotl and OpenAI's fine-tuning read; the modules of
``formats/`` name the sources of their rules. Turns stand in ``messages``, ``conversations`` or ``prompt``. The content
of a turn is text with ``<image>`` marks, or a list of blocks. Pictures stand beside the turns, or in the blocks.

Rows of RAP are such rows, too (Hoar012/RAP-MLLM 1c7278f, ``data/Data.md`` and ``llava/train/rap_train.py``). Their
``extra`` has the pictures of characters, each with ``name`` and ``info``, which the trainer puts before the question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from persqa_client.errors import RowError
from persqa_client.inputs.made_rows import (
    DESCRIPTION,
    OLD_ANSWER,
    REFERENCE,
    add_lacking_members,
    fill_placeholder,
    find_row_tag,
    find_tag_name,
    has_own_question,
    make_row,
    names_same_images,
)
from persqa_client.types import Json

TURN_KEYS = ("messages", "conversations", "prompt")
# Members with pairs such as {"human": …, "assistant": …}: ms-swift's and InternLM's, and those of The Cauldron
# (HuggingFaceM4/the_cauldron). Turns in ``conversation`` are DataFlow-MM's, whose operator replaces their question.
PAIR_KEYS = ("conversation", "texts")
PICTURE_KEYS = ("images", "image")
# Rows with one question: members of the question, of the answer, and of earlier pairs (Alpaca, and ms-swift's first
# rows).
QUESTION_KEYS = (("query",), ("instruction", "input"))
ANSWER_KEYS = ("response", "output")
HISTORY = "history"
ROLE_KEYS = ("role", "from")
TEXT_KEYS = ("content", "value")
ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
MARK = "<image>"
# In the first rows of Qwen-VL and ms-swift, the path stands in the text. MiniCPM-V's rows with several pictures name
# each by a mark with its number (OpenBMB/MiniCPM-V, ``finetune/readme.md``).
MARKS = re.compile(r"<image(?:_\d+)?>|(?:Picture \d+:\s*)?<img>([^<>]+)</img>")
NUMBERED_MARK = re.compile(r"<image_\d+>")
# Members of rows with something else than pictures.
OTHER_MEDIA = {"videos": "a video", "video": "a video", "audios": "a sound", "audio": "a sound"}
CHARACTERS = "extra"
# XTuner's, beside the blocks of the pictures.
CONTEXT_MARK = "<IMG_CONTEXT>"
PICTURE_BLOCKS = frozenset({"image", "image_url", "image_path", "input_image"})
TEXT_BLOCKS = frozenset({"text", "input_text", "output_text"})
# Members of a block that say which picture it is, or have its text. Those of Oumi have either in ``content``
# (oumi-ai/oumi, ``data/dataset_examples/vision_language_oumi_format.jsonl``), and those of LLaMA-Factory in ``value``.
# Those of Anthropic have an object in ``source``.
BLOCK_SOURCES = ("path", "url", "image", "image_url", "value", "base64", "content", "source")
BLOCK_TEXTS = ("text", "value", "content")
# Base64 alone does not name its media type, which the reader of pictures detects.
EMBEDDED = "data:image/jpeg;base64,"


class Turn(NamedTuple):
    role: str
    content: Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """``answer`` is that of the first question. The members of the row from which it was read are ``keys``."""

    keys: tuple[str, ...]
    images: tuple[str, ...]
    question: str | None
    answer: str | None = None
    system: str | None = None


class ConversationRows:
    """Rows with turns. Their pictures, question and former answer become members of the row in place of the turns."""

    name = "conversation"
    description = "conversations"

    def reads(self, fields: Json, image_key: str) -> bool:
        if find_turns(fields) is None or has_own_question(fields, image_key):
            return False
        try:
            return bool(read_conversation(fields, image_key).images)
        except RowError:
            return True

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        if find_turns(fields) is None:
            return line
        reject_other_media(fields)
        found = read_conversation(fields, image_key)
        question = found.question or ""
        members: Json = {"question": found.question, "tag": find_row_tag(fields, question)}
        members |= find_character(fields.get(CHARACTERS), question)
        if names_same_images(fields, image_key, found.images):
            # The turns stay, because --output-style answer writes into them.
            return add_lacking_members(line, fields, members)
        members |= {"system": found.system, OLD_ANSWER: found.answer}
        return make_row(line, fields, found.keys, {image_key: list(found.images)} | members)


def reject_other_media(fields: Json) -> None:
    """Raises RowError: the question may be about what is not sent."""
    for key, name in OTHER_MEDIA.items():
        if fields.get(key) not in (None, "", []):
            raise RowError("bad_line", f"it has {name} under {key!r}; only pictures are read")


def find_character(characters: object, question: str) -> Json:
    """The tag of the first character that the question names, or of the only one, with its picture and description."""
    found = [
        (name, path, each.get("info"))
        for path, each in (characters.items() if isinstance(characters, dict) else ())
        if isinstance(each, dict) and (name := find_tag_name(each.get("name"))) is not None
    ]
    named = [each for each in found if f"<{each[0]}>" in question]
    if not named and (len(found) != 1 or "<" in question):
        return {}
    tag, path, info = min(named or found, key=lambda each: question.find(f"<{each[0]}>"))
    return {"tag": tag, REFERENCE: path, DESCRIPTION: info if isinstance(info, str) else None}


def find_turns(fields: Json) -> tuple[tuple[str, ...], list[Turn]] | None:
    """The turns, one of them a user's, and the members that have them; None without one."""
    for key in TURN_KEYS:
        turns = read_all_turns(fields.get(key))
        if any(turn.role == "user" for turn in turns):
            return (key,), turns
    for key in PAIR_KEYS:
        if turns := read_pairs(fields.get(key)):
            return (key,), turns
    for asking, answering in zip(QUESTION_KEYS, ANSWER_KEYS, strict=True):
        if isinstance(fields.get(asking[0]), str) and isinstance(fields.get(answering), str):
            texts = [text for key in asking if isinstance(text := fields.get(key), str) and text]
            pair = [Turn("user", "\n".join(texts)), Turn("assistant", fields[answering])]
            return (*asking, answering, HISTORY), [*read_history(fields.get(HISTORY)), *pair]
    return None


def read_history(value: object) -> list[Turn]:
    pairs = value if isinstance(value, list) else []
    return [
        Turn(role, text)
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2
        for role, text in zip(("user", "assistant"), pair, strict=True)
        if isinstance(text, str)
    ]


def read_pairs(value: object) -> list[Turn]:
    """Empty if it is no list of objects with a user's text and an assistant's, under the names of their roles."""
    turns: list[Turn] = []
    for each in value if isinstance(value, list) else ():
        members = each.items() if isinstance(each, dict) else ()
        said = {ROLES[role]: text for role, text in members if role in ROLES and isinstance(text, str)}
        if not {"user", "assistant"} <= said.keys():
            return []
        turns += (Turn(role, said[role]) for role in ("user", "assistant"))
    return turns


def read_all_turns(value: object) -> list[Turn]:
    """Empty if it is no list of turns."""
    turns: list[Turn] = []
    for each in value if isinstance(value, list) else ():
        role = find_member(each, ROLE_KEYS)
        content = find_member(each, TEXT_KEYS)
        if not isinstance(role, str) or not isinstance(content, str | list | None):
            return []
        turns.append(Turn(ROLES.get(role.lower(), role), content))
    return turns


def find_member(fields: object, keys: tuple[str, ...]) -> object:
    return next((fields[key] for key in keys if key in fields), None) if isinstance(fields, dict) else None


def read_conversation(fields: Json, image_key: str) -> Conversation:
    """Reads a row with turns. Raises RowError if its pictures are not those that the turns have places for.

    The question is that of the user's turns before the first answer, without marks. Later turns are not read, except
    for their pictures.
    """
    found = find_turns(fields)
    if found is None:
        raise RowError("bad_line", "it has no turn of a user")
    keys, turns = found
    picture_key, named = find_named_pictures(fields, image_key)
    first = next(number for number, turn in enumerate(turns) if turn.role == "user")
    # OpenAI's guide has the picture in a turn of its own, before or behind that of the question.
    asked = list(takewhile(lambda turn: turn.role == "user", turns[first:]))
    answer = next((turn for turn in turns[first + 1 :] if turn.role == "assistant"), None)
    system = "\n".join(filter(None, (read_turn_text(turn) for turn in turns if turn.role == "system")))
    return Conversation(
        keys=keys if picture_key is None else (*keys, picture_key),
        images=place_pictures(named, [place for turn in turns for place in iter_places(turn.content)]),
        question=fill_placeholder(remove_image_marks("\n".join(map(read_turn_text, asked)))) or None,
        answer=read_turn_text(answer) or None if answer is not None else None,
        system=system or None,
    )


def find_named_pictures(fields: Json, image_key: str) -> tuple[str | None, tuple[str, ...]]:
    """The member with the pictures beside the turns, and what it names."""
    for key in dict.fromkeys((image_key, *PICTURE_KEYS)):
        value = fields.get(key)
        if value not in (None, "", []):
            if isinstance(value, dict) and value and all(map(NUMBERED_MARK.fullmatch, value)):
                value = list(value.values())
            values = value if isinstance(value, list) else [value]
            return key, tuple(read_picture(each, key) for each in values)
    return None, ()


def read_picture(value: object, key: str) -> str:
    """A reference, or an object of ``datasets`` with a path or bytes. Raises RowError."""
    if isinstance(value, dict):
        if isinstance(data := value.get("bytes"), str):
            return EMBEDDED + data
        value = value.get("path", value.get("url"))
    if not isinstance(value, str) or not value.strip():
        raise RowError("bad_line", f"the field {key!r} must be a path or a list of paths")
    return value


def iter_places(content: object) -> Iterator[str | None]:
    """The pictures of a turn: None for the next one beside the turns."""
    for part in content if isinstance(content, list) else [content]:
        text = read_part_text(part)
        if text is not None:
            yield from (found[1] for found in MARKS.finditer(text))
        elif isinstance(part, dict):
            # Those of DashScope have no type, but a member with the text or the picture.
            kind = find_block_type(part, next(filter(PICTURE_BLOCKS.__contains__, part), ", ".join(part)))
            if kind in TEXT_BLOCKS:
                if not part.keys() & set(BLOCK_TEXTS):
                    raise RowError("bad_line", f"a block of the type {kind!r} has no member {BLOCK_TEXTS[0]!r}")
                continue
            if kind not in PICTURE_BLOCKS:
                raise RowError("bad_line", f"a block has the type {kind!r}; only text and pictures are read")
            yield find_block_picture(part)


def find_block_type(block: Json, default: str) -> str:
    kind = block.get("type", default)
    return kind if isinstance(kind, str) else json.dumps(kind)


def find_block_picture(block: Json) -> str | None:
    for key in BLOCK_SOURCES:
        value = block.get(key)
        if isinstance(value, dict):
            if isinstance(data := value.get("bytes", value.get("data")), str):
                return EMBEDDED + data
            value = value.get("url", value.get("path"))
        if isinstance(value, str) and value:
            return EMBEDDED + value if key == "base64" else value
    return None


def place_pictures(named: tuple[str, ...], places: list[str | None], where: str = "the turns have") -> tuple[str, ...]:
    """The pictures in the order of their places, each of them once; those without any come first.

    ``where``: what has the marks, for the message of the RowError if they are not as many as the pictures.
    """
    marks = places.count(None)
    if marks and marks != len(named):
        pictures = f"{len(named)} picture{'' if len(named) == 1 else 's'}"
        raise RowError("bad_line", f"{where} {marks} {MARK} mark{'' if marks == 1 else 's'}, and the row {pictures}")
    following = iter(named)
    placed = tuple(next(following) if place is None else place for place in places)
    return tuple(dict.fromkeys((*(each for each in following if each not in placed), *placed)))


def read_turn_text(turn: Turn) -> str:
    if isinstance(turn.content, str):
        return turn.content.strip()
    texts = map(read_part_text, turn.content or ())
    return "\n".join(text for text in texts if text is not None).strip()


def read_part_text(part: object) -> str | None:
    """None for a picture."""
    text: object = part
    if isinstance(part, dict) and find_block_type(part, "text") in TEXT_BLOCKS:
        text = next((part[key] for key in BLOCK_TEXTS if isinstance(part.get(key), str)), None)
    return text if isinstance(text, str) else None


def remove_image_marks(text: str) -> str:
    """A line break or blank stands in the place of marks between words."""
    joined, gap = "", ""
    for part in MARKS.sub(MARK, text.replace(CONTEXT_MARK, MARK)).split(MARK):
        words = part.strip()
        gap += part[: len(part) - len(part.lstrip())]
        if words:
            joined += (("\n" if "\n" in gap else " ") if joined else "") + words
            gap = part[len(part.rstrip()) :]
    return joined

"""What a chat request asks: its pictures, the tag and the question, whatever the turns look like. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from persqa_client.simulator.error_responses import bad_request, malformed

TAG = re.compile(r"<[^<>\s/|][^<>\n/|]{0,62}>")
QUESTION = re.compile(r"(?:question|问题)\s*[:：]\s*", re.IGNORECASE)
TEMPLATE_TOKENS = 6
"""Tokens that a turn costs in Qwen's chat template besides its text."""
END_TOKENS = 2
"""Those of them that end it, and that an unfinished turn has not."""
GENERATION_TOKENS = 3
"""Tokens that open the answer's own turn."""


@dataclass(frozen=True, slots=True)
class Part:
    """A picture of a request: a URL, a uuid that stands for it, or both."""

    url: str | None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, its text parts joined by line breaks."""

    role: str
    text: str
    parts: tuple[Part, ...] = ()
    partial: bool = False
    """Whether it is marked as the beginning of the answer."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat request, read."""

    turns: tuple[Turn, ...]
    tag: str | None
    question: str
    fields: dict[str, Any] = field(repr=False)
    """The request's body, decoded, for the parameters in it."""
    knows_partial: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """All pictures in order."""
        return tuple(part for turn in self.turns for part in turn.parts)

    @property
    def text_tokens(self) -> int:
        """A rough count: a token for each four bytes of UTF-8, so for each English or Chinese word about one."""
        opening = -END_TOKENS if self.prefix is not None else GENERATION_TOKENS
        if self.prefix is None and self.fields.get("add_generation_prompt") is False:
            opening = 0
        return sum(TEMPLATE_TOKENS + len(turn.text.encode()) // 4 for turn in self.turns) + opening

    @property
    def seed(self) -> int:
        """The request's seed, 0 where it has none."""
        seed = self.fields.get("seed")
        return seed if isinstance(seed, int) else 0

    @property
    def max_tokens(self) -> int | None:
        """Tokens that the answer may have, by whichever name."""
        for name in ("max_completion_tokens", "max_tokens"):
            value = self.fields.get(name)
            if isinstance(value, int):
                return value
        return None

    @property
    def wants_usage(self) -> bool:
        """Whether an answer that comes piece by piece is to tell what it took."""
        options = self.fields.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def prefix(self) -> str | None:
        """The beginning of the answer that the request brings along, to be continued."""
        last = self.turns[-1]
        goes_on = self.fields.get("continue_final_message") or (last.partial and self.knows_partial)
        return last.text if goes_on and last.role == "assistant" else None


def read_chat(body: Any, *, knows_partial: bool = False) -> Chat:
    """Read the decoded body of a chat request. Raises Refusal where it is no such thing.

    ``knows_partial``: a message that is marked so is the answer's beginning; else the mark is overlooked.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise malformed("model_attributes_type", "body", message)
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise malformed("missing", "body.messages", "Field required")
    if not messages:
        raise bad_request("Cannot apply chat template to an empty conversation. Provide at least one message.")
    turns = tuple(read_turn(message) for message in messages)
    tag, question = find_tag(turns), find_question(turns)
    return Chat(turns=turns, tag=tag, question=question, fields=body, knows_partial=knows_partial)


def read_turn(message: Any) -> Turn:
    """Read one message, whose content is a text or a list of parts. Raises Refusal."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise malformed("dict_type", "body.messages", "Input should be a valid dictionary with a role")
    content, partial = message.get("content"), message.get("partial") is True
    if content is None or isinstance(content, str):
        return Turn(message["role"], content or "", partial=partial)
    if not isinstance(content, list):
        raise malformed("string_type", "body.messages.content", "Input should be a valid string or list")
    texts: list[str] = []
    parts: list[Part] = []
    for part in content:
        found = read_part(part)
        if isinstance(found, Part):
            parts.append(found)
        else:
            texts.append(found)
    return Turn(message["role"], "\n".join(texts), tuple(parts), partial)


def read_part(part: Any) -> Part | str:
    """Read a part of a message's content: a text or a picture. Raises Refusal."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind != "image_url":
        raise malformed("literal_error", "body.messages.content.type", f"Unknown part type: {kind}")
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    uuid = part.get("uuid")
    if not (isinstance(url, str) or (url is None and uuid is not None)):
        raise malformed("missing", "body.messages.content.image_url.url", "Field required")
    return Part(url, None if uuid is None else str(uuid))


def asking_turn(turns: Sequence[Turn]) -> Turn | None:
    """The last user turn that carries pictures, else the last user turn."""
    users = [turn for turn in turns if turn.role == "user"]
    with_pictures = [turn for turn in users if turn.parts]
    chosen = with_pictures or users
    return chosen[-1] if chosen else None


def find_tag(turns: Sequence[Turn]) -> str | None:
    """The first ``<name>`` of the turn that asks, else of any turn, from the first."""
    asking = asking_turn(turns)
    for turn in (*([asking] if asking else []), *turns):
        found = TAG.search(turn.text)
        if found:
            return found.group()
    return None


def find_question(turns: Sequence[Turn]) -> str:
    """What follows the last "Question:" of the turn that asks, else all its text."""
    asking = asking_turn(turns)
    if asking is None:
        return ""
    return QUESTION.split(asking.text)[-1].strip()

"""Parses chat requests: images, tag and question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from persqa_client.simulator.error_responses import bad_request_error, malformed_error

TAG = re.compile(r"<[^<>\s/|][^<>\n/|]{0,62}>")
# An ordinary name that the prompt gives the main character.
CALLED = re.compile(r"\bis called ([^\W\d_][\w'-]*)\.|叫做([^\W\d_]+)。")
QUESTION = re.compile(r"(?:question|问题)\s*[:：]\s*", re.IGNORECASE)

# Tokens of Qwen's chat template: per message, for its end (missing in an unfinished message), and for the start of the
# answer.
MESSAGE_TOKENS = 6
END_TOKENS = 2
GENERATION_TOKENS = 3


@dataclass(frozen=True, slots=True)
class ImagePart:
    url: str | None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message; text parts are joined by line breaks. ``partial``: it is the beginning of the answer."""

    role: str
    text: str
    images: tuple[ImagePart, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    messages: tuple[ChatMessage, ...]
    # Of the main character: a tag, or the name that the prompt gives it.
    tag: str | None
    question: str
    fields: dict[str, Any] = field(repr=False)
    knows_partial: bool = False

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(image for message in self.messages for image in message.images)

    @property
    def text_tokens(self) -> int:
        """Tokens without images: one per four bytes of UTF-8."""
        opening = -END_TOKENS if self.prefix is not None else GENERATION_TOKENS
        if self.prefix is None and self.fields.get("add_generation_prompt") is False:
            opening = 0
        return sum(MESSAGE_TOKENS + len(message.text.encode()) // 4 for message in self.messages) + opening

    @property
    def seed(self) -> int:
        seed = self.fields.get("seed")
        return seed if isinstance(seed, int) else 0

    @property
    def max_tokens(self) -> int | None:
        for name in ("max_completion_tokens", "max_tokens"):
            value = self.fields.get(name)
            if isinstance(value, int):
                return value
        return None

    @property
    def wants_usage(self) -> bool:
        options = self.fields.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def prefix(self) -> str | None:
        last = self.messages[-1]
        continues = self.fields.get("continue_final_message") or (last.partial and self.knows_partial)
        return last.text if continues and last.role == "assistant" else None


def parse_chat_request(body: Any, *, knows_partial: bool = False) -> ChatRequest:
    """Raises ErrorResponse.

    ``knows_partial``: a last message with ``partial`` is the beginning of the answer; otherwise the field is ignored.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise malformed_error("model_attributes_type", "body", message)
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise malformed_error("missing", "body.messages", "Field required")
    if not messages:
        raise bad_request_error("Cannot apply chat template to an empty conversation. Provide at least one message.")
    parsed = tuple(parse_message(message) for message in messages)
    tag, question = find_tag(parsed), find_question(parsed)
    return ChatRequest(messages=parsed, tag=tag, question=question, fields=body, knows_partial=knows_partial)


def parse_message(message: Any) -> ChatMessage:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise malformed_error("dict_type", "body.messages", "Input should be a valid dictionary with a role")
    content, partial = message.get("content"), message.get("partial") is True
    if content is None or isinstance(content, str):
        return ChatMessage(message["role"], content or "", partial=partial)
    if not isinstance(content, list):
        raise malformed_error("string_type", "body.messages.content", "Input should be a valid string or list")
    parts = [parse_part(part) for part in content]
    text = "\n".join(part for part in parts if isinstance(part, str))
    images = tuple(part for part in parts if isinstance(part, ImagePart))
    return ChatMessage(message["role"], text, images, partial)


def parse_part(part: Any) -> ImagePart | str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind != "image_url":
        raise malformed_error("literal_error", "body.messages.content.type", f"Unknown part type: {kind}")
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    uuid = part.get("uuid")
    if not (isinstance(url, str) or (url is None and uuid is not None)):
        raise malformed_error("missing", "body.messages.content.image_url.url", "Field required")
    return ImagePart(url, None if uuid is None else str(uuid))


def find_asking_message(messages: Sequence[ChatMessage]) -> ChatMessage | None:
    users = [message for message in messages if message.role == "user"]
    chosen = [message for message in users if message.images] or users
    return chosen[-1] if chosen else None


def find_tag(messages: Sequence[ChatMessage]) -> str | None:
    asking = find_asking_message(messages)
    for message in (*([asking] if asking else []), *messages):
        if found := TAG.search(message.text):
            return found.group()
    called = CALLED.search(asking.text) if asking else None
    return called and (called[1] or called[2])


def find_question(messages: Sequence[ChatMessage]) -> str:
    asking = find_asking_message(messages)
    return "" if asking is None else QUESTION.split(asking.text)[-1].strip()

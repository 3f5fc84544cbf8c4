"""A chat request and what its pictures show, made into a completion: text, constraint, fault, length, JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from persqa_client.simulator.constraints import constraint_of, obey
from persqa_client.simulator.mangling import Message, mangle
from persqa_client.simulator.prompt import Chat
from persqa_client.simulator.settings import SimSettings
from persqa_client.simulator.vision import Facts, together, tokens
from persqa_client.simulator.wording import pick, sentence

TOKEN = re.compile(r"\s*(?:[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+)|\s+$")
"""A word or a Chinese character, with the space before it, counts as a token."""

MARKERS = 2
"""Tokens around each picture that mark its beginning and end."""


def count_prompt(chat: Chat, pictures: Sequence[Facts], settings: SimSettings) -> int:
    """Tokens of the prompt: the text's and each picture's."""
    most = settings.max_picture_tokens
    return chat.text_tokens + sum(MARKERS + tokens(p.width, p.height, most) for p in pictures)


def make_message(chat: Chat, pictures: Sequence[Facts], settings: SimSettings, fault: str | None = None) -> Message:
    """The message that the endpoint gives. Raises Refusal for a constraint that it can't obey."""
    if (given := settings.answers.get(chat.question)) is not None:
        return mangle(fault, given, chat.tag) if fault else given
    facts = together(pictures) if pictures else None
    natural = sentence(chat.tag, chat.question, facts, chat.seed)
    if chat.prefix:
        natural = continuation(natural, chat.prefix, chat.tag)
    constraint = constraint_of(chat.fields, settings.guided)
    text = obey(constraint, natural, pick(facts.digest if facts else b"", chat.question, chat.seed))
    message = Message(text)
    if fault:
        message = mangle(fault, message, chat.tag)
    message = cut(message, most_tokens(chat, pictures, settings))
    if chat.prefix and chat.fields.get("echo"):
        return Message(chat.prefix + (message.text or ""), message.finish_reason, message.refusal)
    return message


def most_tokens(chat: Chat, pictures: Sequence[Facts], settings: SimSettings) -> int:
    """Tokens that the answer may have: what is asked for, as far as the context has room."""
    room = settings.max_model_len - count_prompt(chat, pictures, settings)
    return room if chat.max_tokens is None else min(room, chat.max_tokens)


def continuation(natural: str, prefix: str, tag: str | None) -> str:
    """What follows a given beginning: the rest of the natural answer, or all of it but the tag."""
    if natural.startswith(prefix):
        return natural[len(prefix) :]
    return natural.removeprefix(tag or "")


def cut(message: Message, max_tokens: int) -> Message:
    """The message with at most this many tokens; a cut one ends with ``length``."""
    tokens = TOKEN.findall(message.text or "")
    if len(tokens) <= max_tokens:
        return message
    return Message("".join(tokens[:max_tokens]), "length", message.refusal)


def count_completion(message: Message) -> int:
    """Tokens of the answer."""
    return len(TOKEN.findall(message.text or message.refusal or ""))


def completion(message: Message, model: str, prompt_tokens: int, number: int, created: int) -> dict[str, Any]:
    """The body of the answer, with vLLM's fields. ``created`` is in seconds since 1970."""
    tokens = count_completion(message)
    return {
        "id": f"chatcmpl-simulator-{number:012x}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": message.text, "refusal": message.refusal, "tool_calls": []},
                "logprobs": None,
                "finish_reason": message.finish_reason,
            }
        ],
        "system_fingerprint": "persqa-simulator",
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        },
    }


def spoil(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body as a fault of the kind "body" leaves it."""
    if kind == "no_choices":
        return {**body, "choices": []}
    if kind == "null_content":
        choice = body["choices"][0]
        return {**body, "choices": [{**choice, "message": {**choice["message"], "content": None}}]}
    return {"error": {"message": "The upstream model returned an error.", "type": "server_error", "code": 500}}

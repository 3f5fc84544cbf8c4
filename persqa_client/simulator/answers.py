"""A chat request and what its pictures show, made into a completion: text, constraint, fault, length, JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from persqa_client.simulator.constraints import constraint_of, obey
from persqa_client.simulator.error_responses import Refusal
from persqa_client.simulator.faults import Choice, mangle
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


def make_message(chat: Chat, pictures: Sequence[Facts], settings: SimSettings, fault: str | None = None) -> Choice:
    """The message that the endpoint gives. Raises Refusal for a constraint that it can't obey."""
    if (given := settings.answers.get(chat.question)) is not None:
        return mangle(fault, given, chat.tag) if fault else given
    facts = together(pictures) if pictures else None
    natural = sentence(chat.tag, chat.question, facts, chat.seed)
    if chat.prefix:
        natural = continuation(natural, chat.prefix, chat.tag)
    constraint = constraint_of(chat.fields, settings.guided)
    text = obey(constraint, natural, pick(facts.digest if facts else b"", chat.question, chat.seed))
    message = Choice(text)
    if fault:
        message = mangle(fault, message, chat.tag)
    message = cut(message, most_tokens(chat, pictures, settings))
    if chat.prefix and chat.fields.get("echo"):
        return Choice(chat.prefix + (message.text or ""), message.finish_reason, message.refusal)
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


def cut(message: Choice, max_tokens: int) -> Choice:
    """The message with at most this many tokens; a cut one ends with ``length``."""
    tokens = TOKEN.findall(message.text or "")
    if len(tokens) <= max_tokens:
        return message
    return Choice("".join(tokens[:max_tokens]), "length", message.refusal)


def count_completion(message: Choice) -> int:
    """Tokens of the answer."""
    return len(TOKEN.findall(message.text or message.refusal or ""))


def completion(message: Choice, model: str, prompt_tokens: int, number: int, created: int) -> dict[str, Any]:
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


# An answer that is sent piece by piece: its status as soon as the pictures are read, then events. Answers HTTP.

END = b"[DONE]"
Finish = Callable[[], Awaitable[dict[str, Any]]]
"""The whole answer, once it is there. Raises Refusal."""


async def stream(
    request: web.Request, finish: Finish, fault: str | None, *, hosted: bool, usage: bool, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer; what would refuse the request from here on is an event, as vLLM has it."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **headers})
    await response.prepare(request)
    try:
        pieces = list(split_completion(await finish(), usage=usage))
    except Refusal as refusal:
        pieces = [refusal.body(hosted)]
    events = [orjson.dumps(piece) for piece in pieces]
    if fault == "invalid_json":
        events = [events[0][: len(events[0]) // 2]]
    elif fault in ("reset", "cut_body"):
        await write(response, events[: len(events) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
    await write(response, [*events, END])
    await response.write_eof()
    return response


async def write(response: web.StreamResponse, events: list[bytes]) -> None:
    """Send the events."""
    await response.write(b"".join(b"data: %b\n\n" % event for event in events))


def split_completion(body: dict[str, Any], *, usage: bool) -> Iterator[dict[str, Any]]:
    """The pieces of an answer: its role, a token each, why it ended, and with ``usage`` what it took. Pure.

    What is not an answer comes as it is.
    """
    if not body.get("choices"):
        yield body
        return
    shared = {name: body[name] for name in ("id", "created", "model", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"
    [choice] = body["choices"]
    for delta in deltas(choice["message"]):
        yield shared | {"choices": [piece(delta)]}
    yield shared | {"choices": [piece({}, choice["finish_reason"])]}
    if usage:
        yield shared | {"choices": [], "usage": body["usage"]}


def deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message bit by bit, the first one without a word as vLLM has it; where there is none at all, a thought."""
    yield {"role": "assistant", "content": ""}
    for name in ("content", "refusal"):
        yield from ({name: token} for token in split_into_tokens(message[name] or ""))
    if message["content"] is None and message["refusal"] is None:
        yield {"reasoning": "Hm."}


def piece(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """The choice of one piece."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def split_into_tokens(text: str) -> list[str]:
    """The text in pieces that make it up."""
    found = TOKEN.findall(text)
    return found if "".join(found) == text else [text]

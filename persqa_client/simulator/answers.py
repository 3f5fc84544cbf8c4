"""Makes completions from chat requests and image facts, and sends them whole or streamed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import orjson
from aiohttp import web

from persqa_client.simulator.chat_requests import ChatRequest
from persqa_client.simulator.constraints import apply_constraint, read_constraint
from persqa_client.simulator.error_responses import ErrorResponse
from persqa_client.simulator.faults import Choice, spoil_choice
from persqa_client.simulator.settings import SimSettings
from persqa_client.simulator.vision import ImageFacts, combine_facts, count_qwen_tokens
from persqa_client.simulator.wording import draw_number, write_answer

# A word or a Chinese character is a token, including the space before it.
TOKEN = re.compile(r"\s*(?:[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+)|\s+$")

# Start and end tokens of each image.
IMAGE_MARKERS = 2

# About what tokenizers need for random base64.
BASE64_CHARS_PER_TOKEN = 2

# Standard deviation of the logarithm of hidden tokens.
HIDDEN_SPREAD = 1.0

STREAM_END = b"[DONE]"


def count_prompt_tokens(chat: ChatRequest, images: Sequence[ImageFacts], settings: SimSettings) -> int:
    most = settings.max_picture_tokens
    if settings.image_use == "base64":
        return chat.text_tokens + sum(len(image.url or "") for image in chat.images) // BASE64_CHARS_PER_TOKEN
    return chat.text_tokens + sum(IMAGE_MARKERS + count_qwen_tokens(i.width, i.height, most) for i in images)


def make_choice(
    chat: ChatRequest, images: Sequence[ImageFacts], settings: SimSettings, fault: str | None = None
) -> Choice:
    if (fixed := settings.answers.get(chat.question)) is not None:
        return spoil_choice(fault, fixed, chat.tag) if fault else fixed
    facts = combine_facts(images) if images else None
    natural = write_answer(chat.tag, chat.question, facts, chat.seed)
    if chat.prefix:
        natural = continue_prefix(natural, chat.prefix, chat.tag)
    constraint = read_constraint(chat.fields, settings.guided)
    seed = draw_number(facts.digest if facts else b"", chat.question, chat.seed)
    choice = Choice(apply_constraint(constraint, natural, seed))
    if fault:
        choice = spoil_choice(fault, choice, chat.tag)
    room = settings.max_model_len - count_prompt_tokens(chat, images, settings)
    choice = truncate_choice(choice, room if chat.max_tokens is None else min(room, chat.max_tokens))
    if chat.prefix and chat.fields.get("echo"):
        return Choice(chat.prefix + (choice.text or ""), choice.finish_reason, choice.refusal)
    return choice


def continue_prefix(natural: str, prefix: str, tag: str | None) -> str:
    """Appends the answer to ``prefix``; if it does not begin with the prefix, the tag or the capital is dropped."""
    if natural.startswith(prefix):
        return natural[len(prefix) :]
    return natural.removeprefix(tag) if tag else f" {natural[:1].lower()}{natural[1:]}"


def truncate_choice(choice: Choice, max_tokens: int) -> Choice:
    tokens = TOKEN.findall(choice.text or "")
    if len(tokens) <= max_tokens:
        return choice
    return Choice("".join(tokens[:max_tokens]), "length", choice.refusal)


def count_answer_tokens(choice: Choice) -> int:
    return len(TOKEN.findall(choice.text or choice.refusal or ""))


def draw_hidden_tokens(chat: ChatRequest, images: Sequence[ImageFacts], median: int, tokens: int) -> int:
    """By a log-normal distribution, whose mean is 1.65 times its median, up to the limit of the request.

    ``tokens``: those of the text. Equal requests get equal numbers.
    """
    if not median:
        return 0
    number = draw_number(b"".join(image.digest for image in images), chat.question, chat.seed)
    hidden = round(median * math.exp(HIDDEN_SPREAD * NormalDist().inv_cdf((number + 0.5) / 2**64)))
    return hidden if chat.max_tokens is None else min(hidden, max(0, chat.max_tokens - tokens))


def render_completion(choice: Choice, model: str, prompt_tokens: int, number: int, tokens: int) -> dict[str, Any]:
    """Body of a completion, with vLLM's fields. ``tokens``: those of the completion."""
    return {
        "id": f"chatcmpl-simulator-{number:012x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": choice.text, "refusal": choice.refusal, "tool_calls": []},
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
        ],
        "system_fingerprint": "persqa-simulator",
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        },
    }


async def send_stream(
    request: web.Request,
    finish: Callable[[], Awaitable[dict[str, Any]]],
    fault: str | None,
    *,
    hosted: bool,
    usage: bool,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Sends the status immediately, then the completion of ``finish`` as server-sent events.

    An ErrorResponse from ``finish`` becomes an event, as in vLLM.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **headers})
    await response.prepare(request)
    try:
        chunks = list(split_completion(await finish(), usage=usage))
    except ErrorResponse as error:
        chunks = [error.body(hosted)]
    events = [orjson.dumps(chunk) for chunk in chunks]
    if fault == "invalid_json":
        events = [events[0][: len(events[0]) // 2]]
    elif fault in ("reset", "cut_body"):
        await write_events(response, events[: len(events) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
    await write_events(response, [*events, STREAM_END])
    await response.write_eof()
    return response


async def write_events(response: web.StreamResponse, events: list[bytes]) -> None:
    await response.write(b"".join(b"data: %b\n\n" % event for event in events))


def split_completion(body: dict[str, Any], *, usage: bool) -> Iterator[dict[str, Any]]:
    """Chunks of a completion: role, tokens, finish reason, usage. A body without choices is one chunk."""
    if not body.get("choices"):
        yield body
        return
    shared = {name: body[name] for name in ("id", "created", "model", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"
    [choice] = body["choices"]
    for delta in split_message(choice["message"]):
        yield shared | {"choices": [make_chunk_choice(delta)]}
    yield shared | {"choices": [make_chunk_choice({}, choice["finish_reason"])]}
    if usage:
        yield shared | {"choices": [], "usage": body["usage"]}


def split_message(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Deltas of a message. The first is empty, as in vLLM; without a text, one has the reasoning."""
    yield {"role": "assistant", "content": ""}
    for name in ("content", "refusal"):
        yield from ({name: token} for token in split_tokens(message[name] or ""))
    if message["content"] is None and message["refusal"] is None:
        yield {"reasoning": "Hm."}


def make_chunk_choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def split_tokens(text: str) -> list[str]:
    tokens = TOKEN.findall(text)
    return tokens if "".join(tokens) == text else [text]

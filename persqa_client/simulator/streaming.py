"""An answer that is sent piece by piece: its status as soon as the pictures are read, then events. Answers HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from persqa_client.simulator.answers import TOKEN
from persqa_client.simulator.error_responses import Refusal

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
        yield from ({name: token} for token in tokens(message[name] or ""))
    if message["content"] is None and message["refusal"] is None:
        yield {"reasoning": "Hm."}


def piece(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """The choice of one piece."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def tokens(text: str) -> list[str]:
    """The text in pieces that make it up."""
    found = TOKEN.findall(text)
    return found if "".join(found) == text else [text]

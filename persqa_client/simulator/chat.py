"""One chat request, from its first byte to its answer or to its fault. Answers HTTP; sleeps for the time of service."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

import orjson
from aiohttp import web

from persqa_client.simulator.answers import completion, count_completion, count_prompt, make_message, spoil, stream
from persqa_client.simulator.capacity import Link, QueueFull, Slots
from persqa_client.simulator.error_responses import Refusal, busy, engine_dead, malformed
from persqa_client.simulator.faults import ANSWER, BODY, DOOR, LATE, WIRE, Faults, Gone, broken, refusal_for, stall
from persqa_client.simulator.images import Album, Keeper
from persqa_client.simulator.metrics import Counts
from persqa_client.simulator.parameters import check_chat, check_fields, check_length, check_model
from persqa_client.simulator.prompt import Chat, read_chat
from persqa_client.simulator.settings import SimSettings
from persqa_client.simulator.vision import Facts
from persqa_client.simulator.wording import pick

HOSTED_LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-tokens": "30ms",
}
"""What OpenAI's answers say of the account's limits; the simulator has none, so the numbers never move."""


class Endpoint:
    """The state of one simulated endpoint: what it was told to be, what it has seen, what is under way."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self.hosted = settings.shape == "hosted"
        self.counts = Counts()
        self.faults = Faults(settings.faults, settings.fault_seed, settings.script)
        self.slots = Slots(settings.slots, settings.max_queued)
        self.changes = list(settings.slots_at.items())
        self.link = Link(settings.link_mbps) if settings.link_mbps else None
        keeper = None if settings.keep_pictures is None else Keeper(settings.keep_pictures)
        self.album = Album(settings.cached_pictures, keeper)
        self.dead = False
        self.started = int(time.time())
        self.pace = random.Random(settings.fault_seed)

    def check_key(self, request: web.Request) -> None:
        """Raises Refusal where the key is wrong."""
        key = self.settings.api_key
        if key is None or request.headers.get("Authorization") == f"Bearer {key}":
            return
        if self.hosted:
            message = "Incorrect API key provided. You can find your API key in your account's settings."
            raise Refusal(401, message, code="invalid_api_key")
        raise Refusal(401, "Unauthorized", plain=True)

    async def body(self, request: web.Request) -> bytes:
        """The request's body, at the pace of the link."""
        body = await (self.link.read(request.content) if self.link else request.read())
        self.counts.bytes_in += len(body)
        return body

    def begin(self) -> None:
        """Count the time of ``slots_at`` from here; only the first call does so."""
        loop = asyncio.get_running_loop()
        while self.changes:
            seconds, slots = self.changes.pop()
            loop.call_later(seconds, self.slots.resize, slots)

    def check_queue(self) -> None:
        """Raises Refusal where too many wait."""
        if self.slots.full:
            self.counts.admission_rejections += 1
            raise busy()

    async def serve(self) -> None:
        """Wait for a slot and for the time of service. Raises Refusal where too many wait."""
        try:
            async with self.slots.hold():
                seconds = self.settings.latency
                if self.settings.jitter:
                    seconds *= 1 + self.settings.jitter * self.pace.uniform(-1, 1)
                if seconds:
                    await asyncio.sleep(seconds)
        except QueueFull:
            self.counts.admission_rejections += 1
            raise busy() from None


async def chat(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    """Answer a chat request, or refuse it."""
    with endpoint.counts.flight():
        try:
            response = await respond(endpoint, request)
        except Refusal as refusal:
            response = refused(refusal, endpoint.hosted)
    if not isinstance(response, Gone):
        endpoint.counts.by_status[str(response.status)] += 1
    return response


async def respond(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    """The whole way of a request. Raises Refusal."""
    endpoint.check_key(request)
    endpoint.begin()
    body = await endpoint.body(request)
    fault = endpoint.faults.next(body)
    if fault:
        endpoint.counts.by_fault[fault] += 1
    await at_the_door(endpoint, fault, request)
    asked = admit(endpoint, parse(body, request.content_type))
    del body  # large, and read
    pictures = [] if endpoint.settings.blind else await endpoint.album.facts(asked.parts)
    prompt_tokens = count_prompt(asked, pictures, endpoint.settings)
    check_length(prompt_tokens, endpoint.settings.max_model_len)
    headers = HOSTED_LIMITS if endpoint.hosted else {}
    finish = partial(answer, endpoint, asked, pictures, prompt_tokens, fault)
    if asked.fields.get("stream"):
        endpoint.check_queue()
        usage = asked.wants_usage
        return await stream(request, finish, fault, hosted=endpoint.hosted, usage=usage, headers=headers)
    body = orjson.dumps(await finish())
    if fault in WIRE:
        return await broken(fault, request, body)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def at_the_door(endpoint: Endpoint, fault: str | None, request: web.Request) -> None:
    """Play the faults that come before any work. Raises Refusal."""
    if endpoint.dead:
        raise engine_dead()
    if fault == "stall":
        await stall()
    if fault in DOOR:
        fail(endpoint, fault)


def fail(endpoint: Endpoint, fault: str) -> NoReturn:
    """Raises the refusal that the fault stands for."""
    if fault == "engine_dead":
        endpoint.dead = True
    raise refusal_for(fault, endpoint.settings.retry_after, datetime.now(UTC))


def parse(body: bytes, content_type: str) -> Any:
    """Decode a JSON body. Raises Refusal, in vLLM's words."""
    if content_type != "application/json":
        message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        raise Refusal(400, message, malformed=True)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed("json_invalid", f"body.{error.pos}", f"JSON decode error: {error.msg}") from None


def admit(endpoint: Endpoint, body: Any) -> Chat:
    """Read a request and hold it against what the endpoint takes. Raises Refusal."""
    asked = read_chat(body, knows_partial=endpoint.hosted and endpoint.settings.partial)
    check_model(asked.fields.get("model"), endpoint.settings.models, endpoint.hosted)
    check_fields(asked.fields, endpoint.settings)
    check_chat(asked, endpoint.hosted, endpoint.settings.limit_images)
    return asked


async def answer(
    endpoint: Endpoint, asked: Chat, pictures: list[Facts], prompt_tokens: int, fault: str | None
) -> dict[str, Any]:
    """The answer after the time that it takes, or what a fault makes of it. Raises Refusal, also for a constraint that
    can't be obeyed."""
    await endpoint.serve()
    if endpoint.dead:
        raise engine_dead()
    if fault in LATE:
        fail(endpoint, fault)
    message = make_message(asked, pictures, endpoint.settings, fault if fault in ANSWER else None)
    model = asked.fields.get("model") or endpoint.settings.models[0]
    body = completion(message, model, prompt_tokens, endpoint.counts.requests, int(time.time()))
    if fault in BODY:
        body = spoil(fault, body)
    if body.get("choices") and fault not in WIRE:
        key = pick(b"".join(picture.digest for picture in pictures), asked.question, 0)
        endpoint.counts.answer(key, prompt_tokens, count_completion(message))
    return body


def refused(refusal: Refusal, hosted: bool) -> web.Response:
    """A refusal as it goes over the wire."""
    headers = {**refusal.headers, **(HOSTED_LIMITS if hosted and refusal.page is None else {})}
    if refusal.page is not None:
        return web.Response(text=refusal.page, status=refusal.status, content_type="text/html", headers=headers)
    body = orjson.dumps(refusal.body(hosted))
    return web.Response(body=body, status=refusal.status, content_type="application/json", headers=headers)

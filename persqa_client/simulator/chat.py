"""Handles a chat request, from its first byte to its answer or fault."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from aiohttp import StreamReader, web

from persqa_client.simulator.answers import (
    count_answer_tokens,
    count_prompt_tokens,
    draw_hidden_tokens,
    make_choice,
    render_completion,
    send_stream,
)
from persqa_client.simulator.chat_requests import (
    ChatRequest,
    check_content,
    check_fields,
    check_length,
    check_model,
    parse_chat_request,
)
from persqa_client.simulator.error_responses import (
    ErrorResponse,
    busy_error,
    engine_dead_error,
    fault_error,
    malformed_error,
)
from persqa_client.simulator.faults import (
    ANSWER_FAULTS,
    BODY_FAULTS,
    CONNECTION_FAULTS,
    LATE_ERRORS,
    REJECTIONS,
    VERDICT_FAULTS,
    Disconnected,
    FaultSchedule,
    send_broken,
    spoil_body,
    stall,
)
from persqa_client.simulator.images import ImageReader, ImageSaver
from persqa_client.simulator.metrics import RequestCounts
from persqa_client.simulator.settings import SimSettings
from persqa_client.simulator.vision import ImageFacts, ImageSight
from persqa_client.simulator.wording import draw_number


class QueueFull(Exception):
    """The queue has as many waiting requests as it may have."""


class Slots:
    """Slots in order of arrival. Cancelled requests release their slot or place."""

    def __init__(self, size: int, max_queued: int | None = None) -> None:
        self.size = size
        self.max_queued = max_queued
        self.running = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def has_free(self) -> bool:
        return self.running < self.size and not self._queue

    @property
    def is_full(self) -> bool:
        return not self.has_free and self.max_queued is not None and self.waiting >= self.max_queued

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def acquire(self) -> None:
        """Waits for a slot. Raises QueueFull."""
        if self.has_free:
            self.running += 1
            return
        if self.is_full:
            raise QueueFull
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        self.running -= 1
        self._wake_waiting()

    def resize(self, size: int) -> None:
        """Running requests keep their slots."""
        self.size = size
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        while self._queue and self.running < self.size:
            turn = self._queue.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)


class SharedLink:
    """A network link shared by all request bodies."""

    def __init__(self, mbps: float) -> None:
        self.bytes_per_second = mbps * 1e6 / 8
        # Loop time when everything accepted so far has been transferred.
        self.free_at = 0.0

    def reserve(self, size: int, now: float) -> float:
        """Seconds until ``size`` bytes are transferred, after all earlier ones."""
        self.free_at = max(now, self.free_at) + size / self.bytes_per_second
        return self.free_at - now

    async def read(self, stream: StreamReader) -> bytes:
        """Reads a body at the link's speed; the sender has to wait."""
        pieces = []
        loop = asyncio.get_running_loop()
        async for piece in stream.iter_any():
            pieces.append(piece)
            await asyncio.sleep(self.reserve(len(piece), loop.time()))
        return b"".join(pieces)


# OpenAI's rate limit headers. The simulator has no such limits, so the numbers are constant.
RATE_LIMIT_HEADERS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-tokens": "30ms",
}


class EndpointState:
    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self.hosted = settings.shape == "hosted"
        self.counts = RequestCounts()
        self.faults = FaultSchedule(settings.faults, settings.fault_seed, settings.script)
        self.slots = Slots(settings.slots, settings.max_queued)
        self.slot_changes = list(settings.slots_at.items())
        self.link = SharedLink(settings.link_mbps) if settings.link_mbps else None
        saver = None if settings.keep_pictures is None else ImageSaver(settings.keep_pictures)
        self.images = ImageReader(settings.cached_pictures, saver, blind_to_uuids=settings.blind_to_uuids)
        self.sight = ImageSight(settings.image_use)
        self.engine_dead = False
        self.started = int(time.time())
        self.rng = random.Random(settings.fault_seed)

    def check_key(self, request: web.Request) -> None:
        key = self.settings.api_key
        if key is None or request.headers.get("Authorization") == f"Bearer {key}":
            return
        if self.hosted:
            message = "Incorrect API key provided. You can find your API key in your account's settings."
            raise ErrorResponse(401, message, code="invalid_api_key")
        raise ErrorResponse(401, "Unauthorized", plain=True)

    def start_slot_changes(self) -> None:
        """Starts the clock of ``slots_at``; only the first call has an effect."""
        loop = asyncio.get_running_loop()
        while self.slot_changes:
            seconds, slots = self.slot_changes.pop()
            loop.call_later(seconds, self.slots.resize, slots)

    async def read_body(self, request: web.Request) -> bytes:
        body = await (self.link.read(request.content) if self.link else request.read())
        self.counts.bytes_in += len(body)
        return body

    def make_busy_error(self) -> ErrorResponse:
        self.counts.admission_rejections += 1
        return busy_error()

    async def serve(self) -> None:
        try:
            async with self.slots.hold():
                seconds = self.settings.latency
                if self.settings.jitter:
                    seconds *= 1 + self.settings.jitter * self.rng.uniform(-1, 1)
                if seconds:
                    await asyncio.sleep(seconds)
        except QueueFull:
            raise self.make_busy_error() from None

    def make_fault_error(self, fault: str) -> ErrorResponse:
        if fault == "engine_dead":
            self.engine_dead = True
        return fault_error(fault, self.settings.retry_after, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    chat: ChatRequest
    images: list[ImageFacts]
    prompt_tokens: int
    fault: str | None


async def handle_chat(state: EndpointState, request: web.Request) -> web.StreamResponse:
    with state.counts.track_request():
        try:
            response = await answer_request(state, request)
        except ErrorResponse as error:
            response = render_error(error, state.hosted)
    if not isinstance(response, Disconnected):
        state.counts.by_status[str(response.status)] += 1
    return response


async def answer_request(state: EndpointState, request: web.Request) -> web.StreamResponse:
    accepted = await accept_request(state, request)
    fault, headers = accepted.fault, RATE_LIMIT_HEADERS if state.hosted else {}
    if accepted.chat.fields.get("stream"):
        if state.slots.is_full:
            raise state.make_busy_error()
        finish = partial(complete, state, accepted)
        usage = accepted.chat.wants_usage
        return await send_stream(request, finish, fault, hosted=state.hosted, usage=usage, headers=headers)
    body = orjson.dumps(await complete(state, accepted))
    if fault in CONNECTION_FAULTS:
        return await send_broken(fault, request, body)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def accept_request(state: EndpointState, request: web.Request) -> AcceptedRequest:
    """Reads and checks a request and its images. Raises ErrorResponse."""
    state.check_key(request)
    state.start_slot_changes()
    body = await state.read_body(request)
    fault = state.faults.next_fault(body)
    if fault:
        state.counts.by_fault[fault] += 1
    if state.engine_dead:
        raise engine_dead_error()
    if fault == "stall":
        await stall()
    if fault in REJECTIONS:
        raise state.make_fault_error(fault)
    settings = state.settings
    fields = parse_body(body, request.content_type)
    del body  # large and not needed any more
    if settings.strip and isinstance(fields, dict):
        fields = {name: value for name, value in fields.items() if name not in settings.strip}
    chat = parse_chat_request(fields, knows_partial=state.hosted and settings.partial)
    check_model(chat.fields.get("model"), settings.models, state.hosted)
    check_fields(chat.fields, settings)
    check_content(chat, state.hosted, settings.limit_images)
    images = [] if settings.blind or settings.image_use == "base64" else await state.images.read(chat.images)
    prompt_tokens = count_prompt_tokens(chat, images, settings)
    check_length(prompt_tokens, settings.max_model_len)
    if settings.blind_to_uuids:
        images = [image for image, part in zip(images, chat.images, strict=True) if part.url is not None]
    seen = state.sight.select(images, "\n".join(message.text for message in chat.messages), prompt_tokens)
    return AcceptedRequest(chat, seen, prompt_tokens, fault)


async def complete(state: EndpointState, accepted: AcceptedRequest) -> dict[str, Any]:
    chat, fault = accepted.chat, accepted.fault
    await state.serve()
    if state.engine_dead:
        raise engine_dead_error()
    if fault in LATE_ERRORS:
        raise state.make_fault_error(fault)
    spoils = fault in ANSWER_FAULTS or fault in VERDICT_FAULTS
    choice = make_choice(chat, accepted.images, state.settings, fault if spoils else None)
    model = chat.fields.get("model") or state.settings.models[0]
    tokens = count_answer_tokens(choice)
    tokens += draw_hidden_tokens(chat, accepted.images, state.settings.hidden_tokens, tokens)
    body = render_completion(choice, model, accepted.prompt_tokens, state.counts.requests, tokens)
    if fault in BODY_FAULTS:
        body = spoil_body(fault, body)
    if body.get("choices") and fault not in CONNECTION_FAULTS:
        key = draw_number(b"".join(image.digest for image in accepted.images), chat.question, 0)
        state.counts.count_answer(key, accepted.prompt_tokens, tokens)
    return body


def parse_body(body: bytes, content_type: str) -> Any:
    """Raises ErrorResponse with vLLM's message."""
    if content_type != "application/json":
        message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        raise ErrorResponse(400, message, malformed=True)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed_error("json_invalid", f"body.{error.pos}", f"JSON decode error: {error.msg}") from None


def render_error(error: ErrorResponse, hosted: bool) -> web.Response:
    headers = {**error.headers, **(RATE_LIMIT_HEADERS if hosted and error.page is None else {})}
    if error.page is not None:
        return web.Response(text=error.page, status=error.status, content_type="text/html", headers=headers)
    body = orjson.dumps(error.body(hosted))
    return web.Response(body=body, status=error.status, content_type="application/json", headers=headers)

"""Streamed answers, whose beginning shows that the server has the image, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from persqa_client.client.dialect import Dialect
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.simulator.answers import split_completion
from persqa_client.types import Completion, EncodedImage, Request, Usage
from tests.support.endpoints import (
    FAST_BACKOFF,
    REQUEST,
    TEST_TIMEOUT,
    Handler,
    completion_json,
    completion_response,
    serve_handler,
)

SEEN = EncodedImage(b"\xff\xd8one", "image/jpeg", 4, 4, uuid="persqa-1")
BODY = completion_json() | {"id": "x", "created": 1, "system_fingerprint": "y"}
BODY["choices"][0]["message"]["refusal"] = None


def make_request(question: str) -> Request:
    return Request("You look closely.", (SEEN,), question, seed=7)


@dataclass
class Server:
    """Streams answers if requested. ``between`` is awaited after the beginning of a streamed answer."""

    between: Callable[[], Awaitable[None]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    followed: asyncio.Event = field(default_factory=asyncio.Event)
    end: bytes = b"data: [DONE]\n\n"
    pieces: list[dict[str, Any]] = field(default_factory=lambda: list(split_completion(BODY, usage=True)))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response()
        body = orjson.loads(await request.read())
        if body["messages"][-1]["content"] == REQUEST.prompt:
            return completion_response()
        self.asked.append(body)
        if not body.get("stream"):
            self.followed.set()
            return completion_response()
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        await self.between()
        await reply.write(b"".join(b"data: %b\n\n" % orjson.dumps(piece) for piece in self.pieces) + self.end)
        return reply

    @property
    def carried(self) -> list[tuple[bool, bool]]:
        """For each request about the image: whether it contained the image, and whether it asked for a stream."""
        parts = [body["messages"][1]["content"][0] for body in self.asked]
        return [(part["image_url"] is not None, "stream" in body) for part, body in zip(parts, self.asked, strict=True)]


@asynccontextmanager
async def make_uuid_session(handler: Handler) -> AsyncIterator[Session]:
    """A session with a server that keeps images, after a first request."""
    async with serve_handler(handler) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="qwen")
        async with Session(
            endpoint, limits=Limits(timeout=TEST_TIMEOUT, max_attempts=2), backoff=FAST_BACKOFF
        ) as session:
            await session.complete(REQUEST)
            session.profile.dialect = Dialect(sends_uuids=True)
            yield session


async def complete_many(session: Session, *questions: str) -> list[Completion]:
    replies = await asyncio.gather(*(session.complete(make_request(question)) for question in questions))
    return [reply.completion for reply in replies]


async def test_other_questions_follow_when_the_first_answer_begins() -> None:
    async def until_they_came() -> None:
        await server.followed.wait()

    server = Server(until_they_came)
    async with make_uuid_session(server.handle) as session:
        completions = await complete_many(session, "one", "two", "three")
    assert server.carried == [(True, True), (False, False), (False, False)]
    assert {(c.text, c.finish_reason, c.usage) for c in completions} == {("<mam> wears a hat.", "stop", Usage(5, 3))}
    assert session.profile.uploads.image_limit.in_use == 0


async def nothing() -> None:
    pass


async def test_an_error_within_a_stream_counts_as_its_status() -> None:
    """A 503 costs no attempt; the image is sent again."""
    server = Server(nothing, pieces=[{"error": {"message": "The engine is currently busy.", "code": 503}}])

    async def change() -> None:
        if len(server.asked) > 1:
            server.pieces = list(split_completion(BODY, usage=True))

    server.between = change
    async with make_uuid_session(server.handle) as session:
        reply = await session.complete(make_request("one"))
    assert (reply.attempts, session.concurrency_limit.admission.report.refused, server.carried) == (
        1,
        1,
        [(True, True)] * 2,
    )


async def test_a_stream_that_breaks_off_is_retried() -> None:
    async def break_off() -> None:
        if len(server.asked) == 1:
            raise ConnectionResetError

    server = Server(break_off)
    async with make_uuid_session(server.handle) as session:
        reply = await session.complete(make_request("one"))
    assert (reply.attempts, server.carried) == (2, [(True, True)] * 2)


async def test_a_stream_without_an_end_is_no_answer() -> None:
    """Its text looks complete, but more may have followed."""
    pieces = [
        piece for piece in split_completion(BODY, usage=True) if not any(c["finish_reason"] for c in piece["choices"])
    ]
    server = Server(nothing, pieces=pieces, end=b"")
    async with make_uuid_session(server.handle) as session:
        with pytest.raises(RowError, match="ended too early") as caught:
            await session.complete(make_request("one"))
    assert (caught.value.code, caught.value.attempts) == ("connection_lost", 2)


async def test_a_rejection_declared_as_a_stream_is_recognised() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if b"persqa-1" not in await request.read():
            return completion_response()
        error = {"error": {"message": "Too long.", "code": 400}}
        return web.json_response(error, status=400, content_type="text/event-stream")

    async with make_uuid_session(refuse) as session:
        with pytest.raises(RowError, match="Too long") as caught:
            await session.complete(make_request("one"))
    assert (caught.value.code, caught.value.attempts) == ("rejected", 1)


@pytest.mark.parametrize("field", ["stream", "stream_options"])
async def test_without_streaming_support_answers_are_not_streamed(field: str) -> None:
    server = Server(nothing)

    async def refuse(request: web.Request) -> web.StreamResponse:
        if field not in orjson.loads(await request.read()):
            return await server.handle(request)
        error = {"message": f"Unsupported parameter: '{field}'", "param": field, "code": "unsupported_parameter"}
        return web.json_response({"error": error}, status=400)

    async with make_uuid_session(refuse) as session:
        await complete_many(session, "one", "two", "three")
    assert server.carried == [(True, False), (False, False), (False, False)]

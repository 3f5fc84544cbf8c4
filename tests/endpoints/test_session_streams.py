"""A session whose server tells that a picture is in before it answers: over real sockets, with answers in pieces."""

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


def about(question: str) -> Request:
    return Request("You look closely.", (SEEN,), question, seed=7)


@dataclass
class Server:
    """Answers in pieces where that is asked for; ``between`` is waited for when such an answer has begun."""

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
        """Of each request about the picture: whether it had its bytes, and whether it was to be answered in pieces."""
        parts = [body["messages"][1]["content"][0] for body in self.asked]
        return [(part["image_url"] is not None, "stream" in body) for part, body in zip(parts, self.asked, strict=True)]


@asynccontextmanager
async def talking(handler: Handler) -> AsyncIterator[Session]:
    """A session that has asked something before, so that it knows its way, of a server that keeps pictures."""
    async with serve_handler(handler) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="qwen")
        async with Session(
            endpoint, limits=Limits(timeout=TEST_TIMEOUT, max_attempts=2), backoff=FAST_BACKOFF
        ) as session:
            await session.complete(REQUEST)
            session.dialect = Dialect(uuid=True)
            yield session


async def ask(session: Session, *questions: str) -> list[Completion]:
    replies = await asyncio.gather(*(session.complete(about(question)) for question in questions))
    return [reply.completion for reply in replies]


async def test_the_others_are_asked_before_the_first_is_answered() -> None:
    async def until_they_came() -> None:
        await server.followed.wait()

    server = Server(until_they_came)
    async with talking(server.handle) as session:
        completions = await ask(session, "one", "two", "three")
    assert server.carried == [(True, True), (False, False), (False, False)]
    assert {(c.text, c.finish_reason, c.usage) for c in completions} == {("<mam> wears a hat.", "stop", Usage(5, 3))}
    assert session.uploads.image_limit.in_use == 0


async def nothing() -> None:
    pass


async def test_an_error_in_the_midst_is_judged_by_the_status_that_it_tells() -> None:
    """A 503 costs no attempt, however it comes; the picture goes up again."""
    server = Server(nothing, pieces=[{"error": {"message": "The engine is currently busy.", "code": 503}}])

    async def change() -> None:
        if len(server.asked) > 1:
            server.pieces = list(split_completion(BODY, usage=True))

    server.between = change
    async with talking(server.handle) as session:
        reply = await session.complete(about("one"))
    assert (reply.attempts, session.concurrency_limit.refusals, server.carried) == (1, 1, [(True, True)] * 2)


async def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    async def break_off() -> None:
        if len(server.asked) == 1:
            raise ConnectionResetError

    server = Server(break_off)
    async with talking(server.handle) as session:
        reply = await session.complete(about("one"))
    assert (reply.attempts, server.carried) == (2, [(True, True)] * 2)


async def test_an_answer_without_an_end_is_none() -> None:
    """Its words look well, but more may have been to come."""
    pieces = [
        piece for piece in split_completion(BODY, usage=True) if not any(c["finish_reason"] for c in piece["choices"])
    ]
    server = Server(nothing, pieces=pieces, end=b"")
    async with talking(server.handle) as session:
        with pytest.raises(RowError, match="ended too early") as caught:
            await session.complete(about("one"))
    assert (caught.value.code, caught.value.attempts) == ("connection_lost", 2)


async def test_a_refusal_is_believed_whatever_it_is_declared_as() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if b"persqa-1" not in await request.read():
            return completion_response()
        error = {"error": {"message": "Too long.", "code": 400}}
        return web.json_response(error, status=400, content_type="text/event-stream")

    async with talking(refuse) as session:
        with pytest.raises(RowError, match="Too long") as caught:
            await session.complete(about("one"))
    assert (caught.value.code, caught.value.attempts) == ("rejected", 1)


@pytest.mark.parametrize("field", ["stream", "stream_options"])
async def test_a_server_that_takes_no_such_request_is_asked_for_whole_answers(field: str) -> None:
    server = Server(nothing)

    async def refuse(request: web.Request) -> web.StreamResponse:
        if field not in orjson.loads(await request.read()):
            return await server.handle(request)
        error = {"message": f"Unsupported parameter: '{field}'", "param": field, "code": "unsupported_parameter"}
        return web.json_response({"error": error}, status=400)

    async with talking(refuse) as session:
        await ask(session, "one", "two", "three")
    assert server.carried == [(True, False), (False, False), (False, False)]

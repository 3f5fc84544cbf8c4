"""Sessions for tests: with responses from respx, or with a small server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import httpx2
import orjson
import pytest
import respx
from aiohttp import web

from persqa_client.client.retry import Backoff
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError
from persqa_client.simulator.server import listen
from persqa_client.types import Request

BASE_URL = "http://gpu.example/v1"
CHAT_URL = f"{BASE_URL}/chat/completions"
REQUEST = Request("You look closely.", (), "What is <mam> wearing?", seed=7)
FAST_BACKOFF = Backoff(initial=0.001, maximum=0.002)
TEST_TIMEOUT = 5.0  # seconds


def completion_json(text: str = "<mam> wears a hat.") -> dict[str, Any]:
    return {
        "model": "qwen",
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }


def ok_response(text: str = "<mam> wears a hat.") -> httpx.Response:
    return httpx.Response(200, json=completion_json(text))


def error_response(
    status: int, message: str = "No.", headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, **fields}}, headers=headers)


def make_session(
    *,
    sampling: Sampling | None = None,
    backoff: Backoff = FAST_BACKOFF,
    probe_backoff: Backoff = FAST_BACKOFF,
    patience: float = 5.0,
    **limits: Any,
) -> Session:
    """A session with short waits whose requests are answered by respx."""
    session = Session(
        Endpoint(base_url=BASE_URL, model="qwen"),
        sampling=sampling,
        limits=Limits(**limits),
        # respx mocks httpx, whose client the SDK accepts in place of an httpx2 client.
        http_client=cast(httpx2.AsyncClient, httpx.AsyncClient()),
        backoff=backoff,
        probe_backoff=probe_backoff,
        patience=patience,
    )
    session.rng.seed(0)
    return session


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve_handler(handler: Handler, port: int = 0) -> AsyncIterator[str]:
    """Serves every request on loopback with the handler. Yields the URL without /v1."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    listener = await listen(app, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.close()


def completion_response(text: str = "<mam> wears a hat.") -> web.Response:
    return web.Response(body=orjson.dumps(completion_json(text)), content_type="application/json")


def queue_responses(router: respx.MockRouter, *answers: httpx.Response) -> respx.Route:
    """The chat route gives these responses in order."""
    return router.post(CHAT_URL).mock(side_effect=list(answers))


async def outcome_of(session: Session, request: Request = REQUEST) -> Reply | PersQAError:
    """The reply to a request, or its PersQAError. Fails after `TEST_TIMEOUT`."""
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            return await session.complete(request)
    except PersQAError as error:
        return error


UNLUCKY = Request("s", (), "unlucky", seed=1)


def fail_unlucky(router: respx.MockRouter, *failures: httpx.Response) -> respx.Route:
    """The chat route gives these responses to UNLUCKY, the last one again and again, and answers all others."""
    router.get(path="/health").respond(200)
    left = list(failures)

    def answer(request: httpx.Request) -> httpx.Response:
        if b"unlucky" not in request.content:
            return ok_response()
        return left.pop(0) if len(left) > 1 else left[0]

    return router.post(CHAT_URL).mock(side_effect=answer)


def sent_body(route: respx.Route, call: int = -1) -> dict[str, Any]:
    """The body of a request to a route, by default of the last one."""
    body = orjson.loads(route.calls[call].request.content)
    assert isinstance(body, dict)
    return body


PRESSURE_RESPONSES = [pytest.param(error_response(status), id=str(status)) for status in (429, 503, 408, 409, 425)]

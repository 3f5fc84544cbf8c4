"""A session whose server is unavailable, or refuses everything."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.client.retry import Backoff
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.types import Request
from tests.support.endpoints import (
    CHAT_URL,
    FAST_BACKOFF,
    PRESSURE_RESPONSES,
    REQUEST,
    TEST_TIMEOUT,
    UNLUCKY,
    completion_response,
    error_response,
    fail_unlucky,
    make_session,
    ok_response,
    outcome_of,
    queue_responses,
    serve_handler,
)

DEAD = error_response(500, "EngineCore encountered an issue.")


def health(respx_mock: respx.MockRouter, *statuses: int) -> respx.Route:
    return respx_mock.get("http://gpu.example/health").mock(side_effect=[httpx.Response(status) for status in statuses])


async def test_a_dead_engine_costs_no_attempt(session: Session, respx_mock: respx.MockRouter) -> None:
    chat = queue_responses(respx_mock, ok_response(), DEAD, ok_response())
    probes = health(respx_mock, 503, 503, 200)
    await session.complete(REQUEST)
    reply = await session.complete(REQUEST)
    assert (reply.attempts, chat.call_count, probes.call_count) == (1, 3, 3)


async def test_nothing_is_sent_while_the_server_is_unavailable(respx_mock: respx.MockRouter) -> None:
    """Not by requests that waited for a permit when the outage began either."""
    back = asyncio.Event()
    chats, probes = 0, 0

    async def chat(request: httpx.Request) -> httpx.Response:
        nonlocal chats
        chats += 1
        await asyncio.sleep(0)
        return ok_response() if back.is_set() else DEAD

    def probe(request: httpx.Request) -> httpx.Response:
        nonlocal probes
        probes += 1
        if probes == 3:
            back.set()
        return httpx.Response(200 if back.is_set() else 503)

    respx_mock.post(CHAT_URL).mock(side_effect=chat)
    respx_mock.get("http://gpu.example/health").mock(side_effect=probe)
    async with make_session(concurrency=2) as session:
        async with asyncio.timeout(TEST_TIMEOUT):
            replies = await asyncio.gather(*(session.complete(REQUEST) for _ in range(12)))
    assert [reply.attempts for reply in replies] == [1] * 12
    assert chats == 12 + 2, "only the requests in flight may reach the dead engine"


async def test_requests_that_wait_for_the_rate_limit_stop_at_a_closed_gate(respx_mock: respx.MockRouter) -> None:
    at = list[str]()

    def chat(request: httpx.Request) -> httpx.Response:
        at.append("chat")
        return DEAD if at.count("chat") == 1 else ok_response()

    def probe(request: httpx.Request) -> httpx.Response:
        at.append("probe")
        return httpx.Response(200 if at.count("probe") == 2 else 503)

    respx_mock.post(CHAT_URL).mock(side_effect=chat)
    respx_mock.get("http://gpu.example/health").mock(side_effect=probe)
    # The rate would let a request go every 0.4 s, so two of them before the server is back.
    async with make_session(rps=2.5, concurrency=4, probe_backoff=Backoff(0.6, 0.6)) as session:
        await asyncio.gather(*(session.complete(REQUEST) for _ in range(3)))
    assert at == ["chat", "probe", "probe", "chat", "chat", "chat"]


async def test_an_outage_longer_than_max_outage_stops_the_run(respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, DEAD)
    respx_mock.get("http://gpu.example/health").mock(return_value=httpx.Response(503))
    async with make_session(max_outage=0.03) as session:
        stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"


@pytest.mark.parametrize("pressure", PRESSURE_RESPONSES)
async def test_nothing_but_refusals_stops_the_run(respx_mock: respx.MockRouter, pressure: httpx.Response) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=pressure)
    async with make_session(max_outage=0.03) as session:
        stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"


async def test_a_row_that_alone_is_refused_fails(respx_mock: respx.MockRouter) -> None:
    """Other requests are answered meanwhile, so there is no outage."""

    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(429) if b"unlucky" in request.content else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_outage=0.03) as session:
        unlucky = asyncio.create_task(session.complete(Request("s", (), "unlucky", seed=1)))
        async with asyncio.timeout(TEST_TIMEOUT):
            while not unlucky.done():
                await session.complete(REQUEST)
                await asyncio.sleep(0)
        with pytest.raises(RowError) as caught:
            await unlucky
    assert caught.value.code == "busy"


async def test_a_rejected_row_ends_the_trouble(respx_mock: respx.MockRouter) -> None:
    busy, rejected = error_response(503), error_response(400)
    fail_unlucky(respx_mock, busy, rejected, busy, ok_response())
    async with make_session(max_outage=0.03) as session:
        assert isinstance(await outcome_of(session, UNLUCKY), RowError)
        await asyncio.sleep(0.04)
        assert isinstance(await outcome_of(session, UNLUCKY), Reply)


async def test_an_outage_gives_back_attempts_although_another_request_was_answered() -> None:
    """The health check takes a while, and another request is answered before its result."""
    looked = asyncio.Event()
    failures = iter(["reset", "reset", "busy", "busy"])

    async def going(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            if not looked.is_set():
                looked.set()
                await asyncio.sleep(0.1)
                return web.Response(status=503)
            return web.Response()
        if b"other" in await request.read():
            await looked.wait()
            return completion_response()
        failure = next(failures, None)
        if failure == "reset" and request.transport is not None:
            request.transport.abort()
        return completion_response() if failure is None else web.Response(status=429)

    async with serve_handler(going) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="qwen")
        limits = Limits(concurrency=4, max_attempts=2)
        async with Session(endpoint, limits=limits, backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF) as session:
            other = asyncio.create_task(session.complete(replace(REQUEST, prompt="other")))
            assert isinstance(await outcome_of(session), Reply)
            await other

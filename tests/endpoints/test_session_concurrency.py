"""Sessions that find their own limit and keep to an account's, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.session import Reply, Session
from persqa_client.errors import PersQAError
from persqa_client.limits.adaptive_limit import INITIAL_LIMIT, REFUSAL_CUT
from persqa_client.limits.rate_limit import ANSWERS_WITHOUT_HEADERS
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.endpoints import (
    FAST_BACKOFF,
    REQUEST,
    TEST_TIMEOUT,
    Handler,
    completion_json,
    completion_response,
    make_session,
    queue_responses,
    serve_handler,
)


def session_at(base_url: str, **limits: Any) -> Session:
    endpoint = Endpoint(base_url=base_url, model=DEFAULT_MODEL)
    return Session(endpoint, limits=Limits(**limits), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)


async def ask(session: Session, count: int) -> list[Reply]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*(session.complete(REQUEST) for _ in range(count)))


async def test_a_server_with_room_gets_more() -> None:
    with run_simulator(SimSettings(latency=0.2, slots=64)) as server:
        async with session_at(server.base_url) as session:
            await ask(session, 150)
        assert server.stats()["max_in_flight"] > INITIAL_LIMIT


async def test_a_server_without_room_does_not() -> None:
    """It may be tried with somewhat more, again and again, but not with ever more."""
    with run_simulator(SimSettings(latency=0.05, slots=4)) as server:
        async with session_at(server.base_url) as session:
            await ask(session, 250)
        assert server.stats()["max_in_flight"] <= 3 * INITIAL_LIMIT


async def test_a_bound_is_kept() -> None:
    with run_simulator(SimSettings(latency=0.05, slots=64)) as server:
        async with session_at(server.base_url, max_concurrency=10) as session:
            await ask(session, 150)
        assert server.stats()["max_in_flight"] <= 10


def together(first: int, then: Callable[[], web.Response]) -> Handler:
    """The first requests all get the same treatment once all of them are there; later ones are answered."""
    seen, there = 0, asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        if request.path == "/metrics":
            return web.Response(status=404)
        seen += 1
        if seen > first:
            return completion_response()
        if seen == first:
            there.set()
        await there.wait()
        return then()

    return handle


def refusal(**headers: str) -> web.Response:
    return web.json_response({"error": {"message": "Busy."}}, status=503, headers=headers)


async def test_a_burst_of_refusals_cuts_once_and_loses_no_row() -> None:
    async with serve_handler(together(INITIAL_LIMIT, refusal)) as url, session_at(f"{url}/v1") as session:
        replies = await ask(session, INITIAL_LIMIT)
        assert len(replies) == INITIAL_LIMIT
        assert session.concurrency_limit.refusals == INITIAL_LIMIT
        assert session.concurrency_limit.slots == int(INITIAL_LIMIT * REFUSAL_CUT)


async def test_time_outs_shrink_it() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return completion_response()

    async with serve_handler(handle) as url, session_at(f"{url}/v1", timeout=0.1, max_attempts=1) as session:
        ends = await asyncio.gather(*(session.complete(REQUEST) for _ in range(INITIAL_LIMIT)), return_exceptions=True)
        assert all(isinstance(end, PersQAError) for end in ends)
        assert session.concurrency_limit.slots == INITIAL_LIMIT // 2


def moments(*headers: dict[str, str]) -> tuple[Handler, list[float]]:
    """Answers with these headers, one after the other, and then without; and when each request came."""
    left, came = list(headers), list[float]()

    async def handle(request: web.Request) -> web.StreamResponse:
        came.append(asyncio.get_running_loop().time())
        response = completion_response()
        response.headers.update(left.pop(0) if left else {})
        return response

    return handle, came


async def test_an_account_with_nothing_left_is_waited_for_by_all() -> None:
    none_left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    handle, came = moments(none_left)
    async with serve_handler(handle) as url, session_at(f"{url}/v1", concurrency=4) as session:
        await session.complete(REQUEST)
        await asyncio.gather(*(session.complete(REQUEST) for _ in range(3)))
    assert came[1] - came[0] >= 0.29


async def test_an_account_with_enough_left_is_not() -> None:
    some = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "10m"}
    handle, _ = moments(some, some)
    async with serve_handler(handle) as url, session_at(f"{url}/v1") as session, asyncio.timeout(TEST_TIMEOUT):
        for _ in range(3):
            await session.complete(REQUEST)


async def test_headers_that_never_come_are_not_looked_for_for_ever(respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, *[httpx.Response(200, json=completion_json())] * (ANSWERS_WITHOUT_HEADERS + 1))
    async with make_session() as session:
        for _ in range(ANSWERS_WITHOUT_HEADERS):
            await session.complete(REQUEST)
        assert session.rate_limit.expects_headers
        await session.complete(REQUEST)
        assert not session.rate_limit.expects_headers


async def test_a_refusal_by_a_limit_waits_until_its_reset(respx_mock: respx.MockRouter) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "200ms"}
    queue_responses(
        respx_mock, httpx.Response(429, headers=headers, json={}), httpx.Response(200, json=completion_json())
    )
    async with make_session() as session:
        began = asyncio.get_running_loop().time()
        await session.complete(REQUEST)
    assert asyncio.get_running_loop().time() - began >= 0.19


async def test_tokens_that_an_answer_did_not_take_are_given_back(respx_mock: respx.MockRouter) -> None:
    """A hundred may go at once; each is thought to take seventy-four, and takes eight."""
    queue_responses(respx_mock, *[httpx.Response(200, json=completion_json())] * 4)
    async with make_session(sampling=Sampling(max_tokens=60), tpm=1200) as session, asyncio.timeout(TEST_TIMEOUT):
        for _ in range(4):
            await session.complete(REQUEST)


def slow(gauges: web.Response | None, looks: int) -> tuple[Handler, list[str]]:
    """Answers late, and not before so many looks at the gauges; and the paths that were asked for beside the chat."""
    asked = list[str]()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            await asyncio.sleep(1.4)
            while len(asked) < looks:
                await asyncio.sleep(0.01)
            return completion_response()
        asked.append(request.path)
        return web.Response(status=404) if gauges is None else web.Response(body=gauges.body)

    return handle, asked


GAUGES = web.Response(body=b"vllm:num_requests_running 1.0\nvllm:num_requests_waiting 0.0\n")


@pytest.mark.parametrize(
    ("gauges", "concurrency", "looks"),
    [
        pytest.param(GAUGES, "auto", 2, id="there are some"),
        pytest.param(None, "auto", 1, id="there are none"),
        pytest.param(GAUGES, 4, 0, id="a chosen number"),
    ],
)
async def test_gauges_are_looked_at_where_there_are_some(
    gauges: web.Response | None, concurrency: str | int, looks: int
) -> None:
    handle, asked = slow(gauges, looks)
    async with serve_handler(handle) as url, session_at(f"{url}/v1", concurrency=concurrency) as session:
        await session.complete(REQUEST)
    assert asked[:looks] == ["/metrics"] * looks
    assert len(asked) == looks or looks > 1

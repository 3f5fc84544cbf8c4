"""Sessions that adapt their concurrency and observe rate-limit headers, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError
from persqa_client.limits.adaptive_limit import INITIAL_LIMIT
from persqa_client.limits.rate_limit import ANSWERS_WITHOUT_HEADERS
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.endpoints import (
    FAST_BACKOFF,
    REQUEST,
    TEST_TIMEOUT,
    UNLUCKY,
    Handler,
    completion_json,
    completion_response,
    make_session,
    queue_responses,
    serve_handler,
)


def make_local_session(base_url: str, **limits: Any) -> Session:
    endpoint = Endpoint(base_url=base_url, model=DEFAULT_MODEL)
    return Session(endpoint, limits=Limits(**limits), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)


async def complete_many(session: Session, count: int) -> list[Reply]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*(session.complete(REQUEST) for _ in range(count)))


async def test_a_server_with_capacity_gets_more_requests() -> None:
    with run_simulator(SimSettings(latency=0.2, slots=64)) as server:
        async with make_local_session(server.base_url) as session:
            await complete_many(session, 150)
        assert server.stats()["max_in_flight"] > INITIAL_LIMIT


@pytest.mark.slow
async def test_a_saturated_server_gets_no_more_requests() -> None:
    """A somewhat higher limit is tried repeatedly, but not ever higher ones."""
    with run_simulator(SimSettings(latency=0.05, slots=4)) as server:
        async with make_local_session(server.base_url) as session:
            await complete_many(session, 250)
        assert server.stats()["max_in_flight"] <= 3 * INITIAL_LIMIT


async def test_max_concurrency_is_kept() -> None:
    with run_simulator(SimSettings(latency=0.05, slots=64)) as server:
        async with make_local_session(server.base_url, max_concurrency=10) as session:
            await complete_many(session, 150)
        assert server.stats()["max_in_flight"] <= 10


def respond_together(first: int, then: Callable[[], web.Response]) -> Handler:
    """Answers the first requests alike once all have arrived; later ones are completed."""
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


def busy_response(**headers: str) -> web.Response:
    return web.json_response({"error": {"message": "Busy."}}, status=503, headers=headers)


async def test_a_burst_of_refusals_lowers_no_concurrency() -> None:
    """Nothing else is in flight, so the refusals do not follow load."""
    async with (
        serve_handler(respond_together(INITIAL_LIMIT, busy_response)) as url,
        make_local_session(f"{url}/v1") as session,
    ):
        replies = await complete_many(session, INITIAL_LIMIT)
        assert len(replies) == INITIAL_LIMIT
        assert session.concurrency_limit.admission.report.refused == INITIAL_LIMIT
        assert session.concurrency_limit.controller.permits == INITIAL_LIMIT


async def test_timeouts_lower_the_concurrency() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30 * (b"unlucky" in await request.read()))
        return completion_response()

    async with serve_handler(handle) as url, make_local_session(f"{url}/v1", timeout=0.1, max_attempts=1) as session:
        ends = await asyncio.gather(*(session.complete(UNLUCKY) for _ in range(INITIAL_LIMIT)), return_exceptions=True)
        assert all(isinstance(end, PersQAError) for end in ends)
        assert session.concurrency_limit.permits <= INITIAL_LIMIT // 2


async def test_an_exhausted_rate_limit_pauses_all_requests(
    respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    queue_responses(respx_mock, httpx.Response(200, json=completion_json(), headers=headers))
    async with make_session() as session:
        pauses = list[float]()
        monkeypatch.setattr(session.concurrency_limit, "pause", pauses.append)
        await session.complete(REQUEST)
    assert pauses == [pytest.approx(0.3)]


async def test_a_rate_limit_with_room_pauses_nothing(
    respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "10m"}
    queue_responses(respx_mock, httpx.Response(200, json=completion_json(), headers=headers))
    async with make_session() as session:
        pauses = list[float]()
        monkeypatch.setattr(session.concurrency_limit, "pause", pauses.append)
        await session.complete(REQUEST)
    assert pauses == []


async def test_missing_rate_limit_headers_are_no_longer_expected(respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, *[httpx.Response(200, json=completion_json())] * (ANSWERS_WITHOUT_HEADERS + 1))
    async with make_session() as session:
        for _ in range(ANSWERS_WITHOUT_HEADERS):
            await session.complete(REQUEST)
        assert session.rate_limit.expects_headers
        await session.complete(REQUEST)
        assert not session.rate_limit.expects_headers


async def test_single_answers_without_rate_limit_headers_change_nothing(respx_mock: respx.MockRouter) -> None:
    """As from a gateway to several servers, some of which have no limit."""
    headers = {"x-ratelimit-remaining-requests": "5"}
    pair = [httpx.Response(200, json=completion_json(), headers=each) for each in (headers, {})]
    queue_responses(respx_mock, *pair * (ANSWERS_WITHOUT_HEADERS + 1))
    async with make_session() as session:
        for _ in range(2 * ANSWERS_WITHOUT_HEADERS + 2):
            await session.complete(REQUEST)
        assert session.rate_limit.expects_headers


async def test_a_429_waits_until_the_reset_of_the_rate_limit(
    respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "200ms"}
    queue_responses(
        respx_mock, httpx.Response(429, headers=headers, json={}), httpx.Response(200, json=completion_json())
    )
    async with make_session() as session:
        waits = list[float]()

        async def record_wait(seconds: float) -> None:
            waits.append(seconds)

        monkeypatch.setattr(session.concurrency_limit, "sleep", record_wait)
        await session.complete(REQUEST)
    assert len(waits) == 1
    assert waits[0] >= 0.2


async def test_unused_tokens_are_given_back(respx_mock: respx.MockRouter) -> None:
    """A hundred tokens may be used at once; each request is estimated at 74 and uses 8."""
    queue_responses(respx_mock, *[httpx.Response(200, json=completion_json())] * 4)
    async with make_session(sampling=Sampling(max_tokens=60), tpm=1200) as session, asyncio.timeout(TEST_TIMEOUT):
        for _ in range(4):
            await session.complete(REQUEST)


def respond_slowly(gauges: web.Response | None, looks: int) -> tuple[Handler, list[str]]:
    """Answers after this number of metrics requests; and the paths of those."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gauges", "concurrency", "looks"),
    [
        pytest.param(GAUGES, "auto", 2, id="there are some"),
        pytest.param(None, "auto", 1, id="there are none"),
        pytest.param(GAUGES, 4, 0, id="a chosen number"),
    ],
)
async def test_metrics_are_polled_if_the_server_has_them(
    gauges: web.Response | None, concurrency: str | int, looks: int
) -> None:
    handle, asked = respond_slowly(gauges, looks)
    async with serve_handler(handle) as url, make_local_session(f"{url}/v1", concurrency=concurrency) as session:
        await session.complete(REQUEST)
    assert asked[:looks] == ["/metrics"] * looks
    assert len(asked) == looks or looks > 1

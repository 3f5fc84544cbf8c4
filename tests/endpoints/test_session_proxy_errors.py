"""A session whose server is unavailable behind a proxy, a tunnel or a container port that still answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
import respx

from persqa_client.client.retry import Backoff
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.types import Request
from tests.support.endpoints import (
    CHAT_URL,
    FAST_BACKOFF,
    REQUEST,
    TEST_TIMEOUT,
    UNLUCKY,
    error_response,
    fail_unlucky,
    make_session,
    ok_response,
    outcome_of,
)

DEAD = error_response(500, "EngineCore encountered an issue.")
HEALTH = "http://gpu.example/health"


def poison(text: str = "unlucky") -> Request:
    return Request("s", (), text, seed=1)


def break_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset")


class UnavailableServer:
    """Fails every request until the health check has been called ``probes`` times."""

    def __init__(self, fail: Callable[[httpx.Request], httpx.Response], probes: int) -> None:
        self.fail = fail
        self.probes = probes
        self.chats = 0

    def chat(self, request: httpx.Request) -> httpx.Response:
        self.chats += 1
        return self.fail(request) if self.probes > 0 else ok_response()

    def health(self, request: httpx.Request) -> httpx.Response:
        self.probes -= 1
        return httpx.Response(502 if self.probes > 0 else 200)

    def unknown_health(self, request: httpx.Request) -> httpx.Response:
        """The health check of a host without /health."""
        self.probes -= 1
        return httpx.Response(404)


@pytest.mark.parametrize(
    "fail",
    [pytest.param(lambda _, status=status: error_response(status), id=str(status)) for status in (502, 504, 520, 524)]
    + [pytest.param(break_connection, id="reset")],
)
async def test_a_server_unavailable_behind_a_proxy_costs_no_row(
    respx_mock: respx.MockRouter, fail: Callable[[httpx.Request], httpx.Response]
) -> None:
    away = UnavailableServer(fail, probes=9)
    respx_mock.post(CHAT_URL).mock(side_effect=away.chat)
    respx_mock.get(HEALTH).mock(side_effect=away.health)
    async with make_session(max_attempts=2, concurrency=4) as session:
        replies = await asyncio.gather(*(outcome_of(session) for _ in range(8)))
    assert [reply.attempts for reply in replies if isinstance(reply, Reply)] == [1] * 8
    assert away.chats <= 8 + 8 * 2, "nothing is sent while the gate is closed"


async def test_nothing_but_proxy_errors_is_an_outage_despite_a_good_health(
    respx_mock: respx.MockRouter,
) -> None:
    away = UnavailableServer(lambda _: error_response(502), probes=9)
    respx_mock.post(CHAT_URL).mock(side_effect=away.chat)
    respx_mock.get(HEALTH).mock(side_effect=away.unknown_health)
    async with make_session(max_attempts=2, patience=0.0) as session:
        reply = await outcome_of(session)
    assert isinstance(reply, Reply)
    assert (reply.attempts, away.chats) == (1, 10)


@pytest.mark.parametrize("status", [503, 429])
async def test_nothing_but_refusals_is_an_outage(respx_mock: respx.MockRouter, status: int) -> None:
    """The gate opens for one request after each successful health check."""
    away = UnavailableServer(lambda _: error_response(status), probes=9)
    respx_mock.post(CHAT_URL).mock(side_effect=away.chat)
    respx_mock.get(HEALTH).mock(side_effect=away.unknown_health)
    async with make_session(max_attempts=2, patience=0.0) as session:
        reply = await outcome_of(session)
    assert isinstance(reply, Reply)
    assert (reply.attempts, away.chats) == (1, 10)


async def test_broken_connections_beyond_max_outage_stop_the_run(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=break_connection)
    respx_mock.get(HEALTH).respond(502)
    async with make_session(max_attempts=2, max_outage=0.03) as session:
        stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"


async def complete_beside_others(session: Session, request: Request) -> RowError:
    """The error of a request while others are answered."""
    row = asyncio.create_task(session.complete(request))
    async with asyncio.timeout(TEST_TIMEOUT):
        while not row.done():
            await session.complete(REQUEST)
            await asyncio.sleep(0)
    with pytest.raises(RowError) as caught:
        await row
    return caught.value


@pytest.mark.respx(assert_all_called=False)
async def test_a_row_that_alone_gets_proxy_errors_fails(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(
        side_effect=lambda request: error_response(502) if b"unlucky" in request.content else ok_response()
    )
    respx_mock.get(HEALTH).respond(200)
    async with make_session(max_attempts=3) as session:
        error = await complete_beside_others(session, poison())
    assert (error.code, error.attempts) == ("http_502", 3)


async def test_a_server_error_is_no_outage(respx_mock: respx.MockRouter) -> None:
    fail_unlucky(respx_mock, error_response(500))
    async with make_session(max_attempts=3, patience=0.0) as session:
        error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert (error.code, session.outage.outages) == ("http_500", 0)


@pytest.mark.parametrize(
    "death", [pytest.param(DEAD, id="its engine dies"), pytest.param(error_response(502), id="it becomes unavailable")]
)
async def test_a_row_that_crashes_the_server_each_time_fails(
    respx_mock: respx.MockRouter, death: httpx.Response
) -> None:
    kills, up = 0, True

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal kills, up
        if up and b"unlucky" in request.content:
            kills += 1
            up = False
        return ok_response() if up else death

    def health(request: httpx.Request) -> httpx.Response:
        nonlocal up
        was_up, up = up, True
        return httpx.Response(200 if was_up else 503)

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    respx_mock.get(HEALTH).mock(side_effect=health)
    async with make_session(max_attempts=2) as session:
        error = await complete_beside_others(session, poison())
    assert (error.code, error.attempts) in [("engine_dead", 3), ("engine_dead", 4)]
    assert kills >= 3, "a crash before any other answer does not count"
    assert "times with this row in flight" in error.message


async def test_a_server_that_crashes_at_every_request_fails_no_row(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=DEAD)
    respx_mock.get(HEALTH).respond(200)
    async with make_session(max_outage=0.05) as session:
        ends = await asyncio.gather(*(outcome_of(session) for _ in range(3)))
    assert {type(end) for end in ends} == {RunStopped}


async def test_a_suspect_request_goes_after_waiting_requests(respx_mock: respx.MockRouter) -> None:
    """With one permit, no other request would be answered in between."""
    order = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        order.append(json.loads(request.content)["messages"][1]["content"])
        return DEAD if len(order) == 1 else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    respx_mock.get(HEALTH).respond(200)
    async with make_session(concurrency=1) as session:
        await asyncio.gather(*(session.complete(poison(name)) for name in ("suspect", "new 1", "new 2")))
    assert order == ["suspect", "new 1", "new 2", "suspect"]


async def test_retries_pass_the_rate_limit_before_new_requests_with_a_permit(
    respx_mock: respx.MockRouter,
) -> None:
    order = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        order.append(json.loads(request.content)["messages"][1]["content"])
        return error_response(500) if order == ["old"] else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    names = ["old", *(f"new {number}" for number in range(12))]
    async with make_session(concurrency=8, rps=50, backoff=Backoff(0.0, 0.0), probe_backoff=FAST_BACKOFF) as session:
        await asyncio.gather(*(session.complete(poison(name)) for name in names))
    assert order.index("old", 1) < 8, "before the other requests that held permits when it failed"

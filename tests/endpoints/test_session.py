"""Session.complete: what costs an attempt, what waits, and what ends a row or the run."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate

import httpx
import pytest
import respx

from persqa_client.client.retry import Backoff
from persqa_client.endpoints.failure_handling import MIN_LOAD_REFUSALS
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import Interrupted, RowError, RunStopped
from persqa_client.types import Request, Usage
from tests.support.endpoints import (
    CHAT_URL,
    PRESSURE_RESPONSES,
    REQUEST,
    TEST_TIMEOUT,
    UNLUCKY,
    completion_json,
    error_response,
    fail_unlucky,
    make_session,
    ok_response,
    outcome_of,
    queue_responses,
)


async def test_a_reply_has_the_answer_and_its_cost(session: Session, respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, ok_response("<mam> smiles."))
    reply = await session.complete(REQUEST)
    assert (reply.completion.text, reply.attempts, reply.constrained) == ("<mam> smiles.", 1, False)
    assert (session.traffic.sent, session.traffic.answered, session.traffic.retried) == (1, 1, 0)
    assert session.traffic.usage == Usage(5, 3)


TRANSIENT = [
    *(pytest.param(error_response(status), id=str(status)) for status in (500, 501, 502, 504, 520, 524, 530)),
    pytest.param(httpx.Response(502, text="<html><body>Bad Gateway</body></html>"), id="an HTML page of a proxy"),
    pytest.param(httpx.Response(200, text="{"), id="invalid JSON"),
    pytest.param(httpx.Response(200, json={"choices": []}), id="no choices"),
    pytest.param(httpx.Response(200, json={"choices": [{"message": {"content": None}}]}), id="content is null"),
    pytest.param(httpx.Response(200, json={"error": {"message": "upstream"}}), id="error inside a 200"),
]


@pytest.mark.parametrize("failure", TRANSIENT)
async def test_a_transient_error_costs_an_attempt(
    session: Session, respx_mock: respx.MockRouter, failure: httpx.Response
) -> None:
    queue_responses(respx_mock, failure, failure, ok_response())
    reply = await session.complete(REQUEST)
    assert (reply.attempts, session.traffic.sent, session.traffic.retried) == (3, 3, 2)


@pytest.mark.parametrize("failure", TRANSIENT)
async def test_a_row_fails_after_max_attempts(
    session: Session, respx_mock: respx.MockRouter, failure: httpx.Response
) -> None:
    """Also if it is the only row: then another request shows that the endpoint is good."""
    route = fail_unlucky(respx_mock, failure)
    error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert (route.call_count, error.attempts) == (3 + 1, 3)
    assert error.message.endswith("after 3 attempts.")


@pytest.mark.parametrize("pressure", PRESSURE_RESPONSES)
async def test_a_refusal_because_of_load_costs_no_attempt(
    session: Session, respx_mock: respx.MockRouter, pressure: httpx.Response
) -> None:
    """More refusals than attempts are allowed. More of them would reach the patience of the session, by real waits."""
    queue_responses(respx_mock, *[pressure] * 4, error_response(500), error_response(500), ok_response())
    reply = await session.complete(REQUEST)
    assert (reply.attempts, session.traffic.sent) == (3, 7)


@pytest.mark.parametrize("pressure", PRESSURE_RESPONSES)
async def test_one_refusal_lowers_no_concurrency(
    session: Session, respx_mock: respx.MockRouter, pressure: httpx.Response
) -> None:
    queue_responses(respx_mock, pressure, ok_response())
    await session.complete(REQUEST)
    assert session.concurrency_limit.permits == session.concurrency_limit.maximum
    assert session.concurrency_limit.admission.report.refused == 1


async def test_answers_raise_the_concurrency_again(session: Session, respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, *[ok_response()] * 50)
    session.concurrency_limit.record_outage()
    permits = list[int]()
    for _ in range(50):
        await session.complete(REQUEST)
        permits.append(session.concurrency_limit.permits)
    assert permits == sorted(permits)
    assert permits[0] < permits[-1] <= 64


async def test_a_server_error_does_not_lower_the_concurrency(session: Session, respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, error_response(500), ok_response())
    await session.complete(REQUEST)
    assert session.concurrency_limit.permits == session.concurrency_limit.maximum


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0.06"}, {"retry-after-ms": "60"}], ids=["in seconds", "in milliseconds"]
)
async def test_retry_after_holds_the_request(
    session: Session,
    respx_mock: respx.MockRouter,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, str],
) -> None:
    waits = list[float]()

    async def record_wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(session.concurrency_limit, "sleep", record_wait)
    queue_responses(respx_mock, error_response(status, headers=headers), ok_response())
    await session.complete(REQUEST)
    assert not session.concurrency_limit.paused
    assert len(waits) == 1
    assert 0.06 <= waits[0] <= 0.06 + session.backoff.initial


async def test_retry_after_in_the_past_is_no_wait(session: Session, respx_mock: respx.MockRouter) -> None:
    queue_responses(respx_mock, error_response(429, headers={"Retry-After": formatdate(0, usegmt=True)}), ok_response())
    assert (await session.complete(REQUEST)).attempts == 1


async def test_retry_after_beyond_max_outage_stops_the_run(session: Session, respx_mock: respx.MockRouter) -> None:
    """The stop shows that the date was read."""
    respx_mock.get("http://gpu.example/health")
    long = error_response(429, headers={"Retry-After": formatdate(4e9, usegmt=True)})
    respx_mock.post(CHAT_URL).mock(return_value=long)
    stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert stop.code == "rate_limited"
    assert "more than --max-outage 600" in stop.message


LONG_WAIT = error_response(429, headers={"Retry-After": "86400"})


@pytest.mark.parametrize("is_first", [True, False])
async def test_random_waits_beyond_max_outage_stop_nothing_and_cost_no_attempt(
    respx_mock: respx.MockRouter, is_first: bool
) -> None:
    """https://github.com/lidge-jun/opencodex/issues/4024: every other request goes to a key that is used up."""
    async with make_session(max_attempts=2) as session:
        respx_mock.get("http://gpu.example/health")
        if not is_first:
            queue_responses(respx_mock, ok_response())
            await session.complete(REQUEST)
        # For the row, for trials, and at last one answer for each.
        queue_responses(respx_mock, *[*[LONG_WAIT] * 7, ok_response(), ok_response()] * 2)
        replies = [await session.complete(REQUEST) for _ in range(2)]
    assert [reply.attempts for reply in replies] == [1, 1]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0.01"}])
async def test_rows_that_are_always_refused_together_do_not_stop_the_run(
    respx_mock: respx.MockRouter, headers: dict[str, str]
) -> None:
    """Such as large ones: a trial shows that the endpoint is there, before the run stops."""
    fail_unlucky(respx_mock, error_response(429, headers=headers))
    async with make_session(max_outage=1.0) as session:
        await session.complete(REQUEST)
        rows = [asyncio.ensure_future(session.complete(UNLUCKY)) for _ in range(20)]
        async with asyncio.timeout(TEST_TIMEOUT):
            while not session.traffic.trials and not any(row.done() for row in rows):
                await asyncio.sleep(0.01)
        ends = [row.exception() for row in rows if row.done()]
        session.drain()
        await asyncio.gather(*rows, return_exceptions=True)
    assert (session.traffic.trials, ends) == (1, [])


async def test_a_row_that_alone_is_asked_to_wait_for_days_fails_in_the_end(respx_mock: respx.MockRouter) -> None:
    route = fail_unlucky(respx_mock, LONG_WAIT)
    async with make_session(max_outage=0.05) as session:
        error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert error.code == "busy"
    assert route.call_count >= MIN_LOAD_REFUSALS


async def test_a_retry_after_beyond_max_outage_stops_the_run_if_it_lasts(respx_mock: respx.MockRouter) -> None:
    async with make_session() as session:
        queue_responses(respx_mock, ok_response())
        await session.complete(REQUEST)
        respx_mock.get("http://gpu.example/health")
        respx_mock.post(CHAT_URL).mock(return_value=LONG_WAIT)
        stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert stop.code == "rate_limited"
    assert "86400 s, more than --max-outage" in stop.message


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        pytest.param(error_response(400, "Failed to load image"), "rejected", id="400"),
        pytest.param(error_response(413), "too_large", id="413"),
        pytest.param(error_response(422), "rejected", id="422"),
        pytest.param(error_response(500, "without `--allowed-local-media-path`."), "rejected", id="500, permanent"),
        pytest.param(
            error_response(
                400, "'max_tokens' is too large: 512. This model's maximum context length is 8192", param="max_tokens"
            ),
            "context_overflow",
            id="max_tokens too large",
        ),
    ],
)
async def test_a_rejected_row_is_not_retried(
    session: Session, respx_mock: respx.MockRouter, failure: httpx.Response, code: str
) -> None:
    route = fail_unlucky(respx_mock, failure)
    error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert (error.code, error.attempts, route.call_count) == (code, 1, 1 + 1)
    assert error.raw


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        pytest.param(error_response(401), "wrong_key", id="401"),
        pytest.param(error_response(402), "no_credit", id="402"),
        pytest.param(error_response(403), "forbidden", id="403"),
        pytest.param(error_response(404, "The model `qwen` does not exist."), "unknown_model", id="404, model"),
        pytest.param(httpx.Response(404, json={"detail": "Not Found"}), "wrong_url", id="404, address"),
    ],
)
async def test_an_error_that_every_row_would_get_stops_the_run(
    session: Session, respx_mock: respx.MockRouter, failure: httpx.Response, code: str
) -> None:
    route = queue_responses(respx_mock, failure, ok_response())
    stop = await outcome_of(session)
    assert isinstance(stop, RunStopped)
    assert (stop.code, route.call_count) == (code, 1)


async def test_a_403_after_an_answer_fails_its_row(session: Session, respx_mock: respx.MockRouter) -> None:
    fail_unlucky(respx_mock, error_response(403, "The picture breaks the rules."))
    assert isinstance(await outcome_of(session), Reply)
    error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert error.code == "rejected"


async def test_the_permit_is_free_during_backoff(respx_mock: respx.MockRouter) -> None:
    """While one request waits to be retried, another one uses the only permit."""
    queue_responses(respx_mock, error_response(500), ok_response("second"), ok_response("first"))
    async with make_session(concurrency=1, backoff=Backoff(0.2, 0.2)) as session:
        replies = await asyncio.gather(session.complete(REQUEST), session.complete(REQUEST))
    assert [reply.completion.text for reply in replies] == ["first", "second"]


async def test_requests_in_flight_are_limited(respx_mock: respx.MockRouter) -> None:
    under_way, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(concurrency=3) as session:
        await asyncio.gather(*(session.complete(REQUEST) for _ in range(12)))
    assert most == 3


async def test_retries_go_before_new_requests(respx_mock: respx.MockRouter) -> None:
    order = list[str]()

    async def answer(request: httpx.Request) -> httpx.Response:
        name = json.loads(request.content)["messages"][1]["content"]
        order.append(name)
        await asyncio.sleep(0.05)
        return error_response(500) if order == ["old"] else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(concurrency=1) as session:
        names = ("old", "new 1", "new 2", "new 3")
        requests = [Request("s", (), name, seed=1) for name in names]
        await asyncio.gather(*map(session.complete, requests))
    assert order == ["old", "new 1", "old", "new 2", "new 3"]


async def test_drain_lets_requests_in_flight_finish(respx_mock: respx.MockRouter) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        started.set()
        await released.wait()
        return ok_response()

    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(concurrency=1) as session:
        tasks = [asyncio.create_task(session.complete(REQUEST)) for _ in range(3)]
        await started.wait()
        session.drain()
        released.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Reply, Interrupted, Interrupted]
        assert isinstance(await outcome_of(session), Interrupted)
    assert route.call_count == 1


@pytest.mark.parametrize(
    "failure",
    [error_response(500), error_response(503, headers={"Retry-After": "60"})],
    ids=["backoff", "Retry-After"],
)
async def test_drain_interrupts_sleeping_requests(
    respx_mock: respx.MockRouter, monkeypatch: pytest.MonkeyPatch, failure: httpx.Response
) -> None:
    queue_responses(respx_mock, failure)
    async with make_session(backoff=Backoff(60.0, 60.0)) as session:
        sleeping, sleep = asyncio.Event(), session.concurrency_limit.sleep

        async def observed_sleep(seconds: float) -> None:
            sleeping.set()
            await sleep(seconds)

        monkeypatch.setattr(session.concurrency_limit, "sleep", observed_sleep)
        task = asyncio.create_task(session.complete(REQUEST))
        await sleeping.wait()
        session.drain()
        with pytest.raises(Interrupted):
            await task


async def test_drain_interrupts_requests_that_wait_for_the_rate_limit(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(CHAT_URL).mock(return_value=ok_response())
    async with make_session(rps=0.01) as session:
        tasks = [asyncio.create_task(session.complete(REQUEST)) for _ in range(4)]
        await tasks[0]
        session.drain()
        async with asyncio.timeout(TEST_TIMEOUT):
            ends = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(end) for end in ends] == [Interrupted] * 3
    assert route.call_count == 1


async def test_every_attempt_sends_the_same_body(session: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, error_response(500), error_response(503), ok_response())
    await session.complete(REQUEST)
    bodies = [call.request.content for call in route.calls]
    assert len(set(bodies)) == 1


async def test_a_broken_connection_costs_an_attempt(session: Session, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(
        side_effect=[
            httpx.ReadError("reset"),
            httpx.RemoteProtocolError("cut"),
            httpx.Response(200, json=completion_json()),
        ]
    )
    assert (await session.complete(REQUEST)).attempts == 3


async def test_a_timeout_costs_an_attempt(respx_mock: respx.MockRouter) -> None:
    async def stall(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10 * (b"unlucky" in request.content))
        return ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=stall)
    respx_mock.get(path="/health").respond(200)
    async with make_session(timeout=0.02, max_attempts=2) as session:
        error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert (error.code, error.attempts, session.traffic.sent) == ("timeout", 2, 2 + 1)

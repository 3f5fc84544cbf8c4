"""A pool of sessions with small servers: failover, its cost, and endpoints that are left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web

from persqa_client.client.retry import Backoff
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.pool import DOUBTFUL_AFTER, Pool
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.request_state import RequestState
from persqa_client.endpoints.routing import image_key, rank_endpoints
from persqa_client.endpoints.session import Session
from persqa_client.errors import FailedOver, Interrupted, PersQAError, RowError, RunStopped
from persqa_client.run.phases import describe_trouble, find_wait
from persqa_client.run.summary import collect_endpoint_stats, collect_findings, collect_notes
from persqa_client.types import EncodedImage, Request
from tests.support.endpoints import FAST_BACKOFF, TEST_TIMEOUT, completion_response, serve_handler

FOR_EVER = Backoff(1000.0, 1000.0)
POISON = "What brings you down?"
DEAD = "EngineCore encountered an issue."


@dataclass
class FakeServer:
    """A server. ``chat`` makes the response to a body, or None to break the connection; ``health`` is the status of
    all other requests."""

    chat: Callable[[bytes], web.Response | None] = lambda body: completion_response()
    health: int = 200
    latency: float = 0.0
    seen: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(status=self.health)
        body = await request.read()
        self.seen += 1
        await asyncio.sleep(self.latency)
        reply = self.chat(body)
        if reply is None:
            assert request.transport is not None
            request.transport.abort()
        return reply or web.Response()


def respond(status: int, words: str = "No.", **more: Any) -> Callable[[bytes], web.Response]:
    return lambda body: web.json_response({"error": {"message": words, **more}}, status=status)


@asynccontextmanager
async def make_pool(
    *stubs: FakeServer,
    backoff: Backoff = FAST_BACKOFF,
    probe_backoff: Backoff = FAST_BACKOFF,
    warn: Callable[[str], None] = lambda sentence: None,
    **limits: Any,
) -> AsyncIterator[Pool]:
    """A pool with short waits and a time-out."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serve_handler(stub.handle)) for stub in stubs]
        sessions = [
            Session(
                Endpoint(base_url=f"{url}/v1", model="qwen"),
                limits=Limits(**{"concurrency": 4, **limits}),
                backoff=backoff,
                probe_backoff=probe_backoff,
            )
            for url in urls
        ]
        pool = await stack.enter_async_context(Pool(sessions, warn=warn))
        async with asyncio.timeout(TEST_TIMEOUT):
            yield pool


def make_request(number: int, prompt: str = "What is it?") -> Request:
    return Request("s", (EncodedImage(b"%d" % number, "image/jpeg", 1, 1),), prompt, seed=number)


def request_for(pool: Pool, number: int, *, after: int = 0) -> Request:
    """A request whose image prefers this endpoint; a different one for each ``after``."""
    names = [member.url for member in pool.members]
    requests = map(make_request, range(after, after + 100))
    return next(request for request in requests if rank_endpoints(image_key(request.pictures), names)[0] == number)


async def outcome_of(pool: Pool, request: Request) -> Reply | PersQAError:
    try:
        return await pool.complete(request)
    except PersQAError as error:
        return error


async def test_a_failed_request_continues_elsewhere_with_its_count_of_attempts() -> None:
    one, two = FakeServer(respond(500)), FakeServer()
    async with make_pool(one, two) as pool:
        reply = await pool.complete(request_for(pool, 0))
    assert (one.seen, two.seen, reply.attempts) == (1, 1, 2)


def fail_poison(status: int) -> Callable[[bytes], web.Response]:
    return lambda body: respond(status)(body) if POISON.encode() in body else completion_response()


async def test_max_attempts_holds_for_all_endpoints_together() -> None:
    one, two = FakeServer(fail_poison(500)), FakeServer(fail_poison(500))
    async with make_pool(one, two, max_attempts=5) as pool:
        error = await outcome_of(pool, make_request(1, POISON))
        assert isinstance(error, RowError)
        assert (error.code, error.attempts, one.seen + two.seen) == ("http_500", 5, 5 + 1)
        assert sum(account.failed_rows for account in collect_endpoint_stats(pool)) == 1
    assert min(one.seen, two.seen) == 2


async def test_a_rejected_row_fails_if_another_endpoint_rejects_it_too() -> None:
    one, two = FakeServer(fail_poison(400)), FakeServer(fail_poison(400))
    async with make_pool(one, two) as pool:
        assert isinstance(await outcome_of(pool, make_request(1, POISON)), RowError)
    assert sorted([one.seen, two.seen]) == [1, 1 + 1]


async def test_a_row_that_one_endpoint_rejects_is_answered_by_another() -> None:
    one, two = FakeServer(respond(400)), FakeServer()
    async with make_pool(one, two) as pool:
        reply = await pool.complete(request_for(pool, 0))
    assert (one.seen, two.seen, reply.attempts) == (1, 1, 1)


@pytest.mark.parametrize("attempts", [1, 5])
async def test_a_server_that_dies_in_mid_request_costs_no_attempt(attempts: int) -> None:
    one, two = FakeServer(lambda body: None, health=503), FakeServer()
    async with make_pool(one, two, max_attempts=attempts) as pool:
        reply = await pool.complete(request_for(pool, 0))
        assert (describe_trouble(pool) or "").startswith(f"unavailable: {pool.members[0].url}: The connection was lost")
        assert collect_endpoint_stats(pool)[0].summary_line().endswith("unavailable once")
    assert (one.seen, two.seen, reply.attempts) == (1, 1, 1)


async def test_a_paused_endpoint_is_reported() -> None:
    async with make_pool(FakeServer()) as pool:
        assert find_wait(pool) is None
        pool.members[0].session.concurrency_limit.pause(5)
        wait = find_wait(pool)
        assert wait is not None
        assert wait.text.startswith("Waiting because the server asks to")


async def test_many_refusals_are_reported_with_their_reason() -> None:
    async with make_pool(FakeServer()) as pool:
        report = pool.members[0].session.concurrency_limit.admission.report
        report.message = "All workers are busy."
        for number in range(40):
            report.add(refused=number % 4 == 0, now=asyncio.get_running_loop().time())
        trouble, findings = describe_trouble(pool), collect_findings(pool)
    assert trouble == "25 % of requests were refused in the last minute: All workers are busy."
    assert findings == ["10 of 40 requests refused: All workers are busy."]


async def test_sleeping_and_waiting_requests_move_when_the_gate_closes() -> None:
    one, two = FakeServer(respond(500)), FakeServer()
    async with make_pool(one, two, backoff=FOR_EVER, concurrency=1) as pool:
        outage = pool.members[0].session.outage
        asleep = asyncio.create_task(pool.complete(request_for(pool, 0)))
        while one.seen == 0 or pool.in_use:
            await asyncio.sleep(0.001)
        async with pool.members[0].session.concurrency_limit.permit(retry=False):
            state = RequestState(failover=pool.members[0])
            waiting = asyncio.create_task(pool.members[0].session.complete(make_request(1), state))
            await asyncio.sleep(0.01)
            one.health = 503
            assert await outage.check("Unreachable.", pool.members[0])
            reply = await asleep
            with pytest.raises(FailedOver):
                await waiting
    assert (one.seen, reply.attempts) == (1, 1)


async def test_a_refused_request_moves_at_once_and_at_no_cost() -> None:
    one, two = FakeServer(respond(503)), FakeServer()
    async with make_pool(one, two, backoff=FOR_EVER, max_attempts=1) as pool:
        replies = await asyncio.gather(*(pool.complete(make_request(number)) for number in range(40)))
    assert [reply.attempts for reply in replies] == [1] * 40
    assert one.seen < 15, "an endpoint that refuses everything is paused"


async def test_a_fast_failing_endpoint_does_not_attract_all_requests() -> None:
    """It gets one request at a time, and the other endpoint the rest."""
    one, two = FakeServer(respond(500)), FakeServer(latency=0.1)
    rows = iter(range(100))

    async def work() -> None:
        for number in rows:
            await pool.complete(make_request(number))

    async with make_pool(one, two, backoff=Backoff(0.2, 0.2), probe_backoff=Backoff(0.2, 0.2)) as pool:
        await asyncio.gather(*(work() for _ in range(8)))
    assert two.seen == 100
    assert one.seen < 50


async def test_an_idle_endpoint_takes_over_requests_that_wait_elsewhere() -> None:
    slow, quick = FakeServer(latency=1000.0), FakeServer()
    async with make_pool(slow, quick, concurrency=2) as pool:
        rows = [asyncio.create_task(pool.complete(make_request(number))) for number in range(40)]
        while sum(row.done() for row in rows) < 38:
            await asyncio.sleep(0.001)
        assert (slow.seen, quick.seen) == (2, 38)
        for row in rows:
            row.cancel()
        await asyncio.gather(*rows, return_exceptions=True)


@pytest.mark.parametrize("is_tried", [True, False])
async def test_requests_that_wait_elsewhere_move_to_an_endpoint_that_is_back(is_tried: bool) -> None:
    """All at once if it has answered a trial, else after it has answered one of them."""
    slow, back = FakeServer(latency=1000.0), FakeServer()
    ready = asyncio.Event()
    async with make_pool(slow, back, concurrency=2) as pool:
        member = pool.members[1]
        member.failures = DOUBTFUL_AFTER

        async def check() -> None:
            await ready.wait()
            if is_tried:
                member.session.outage.record_answer()

        member.session.outage.close("Away.", recovery_check=check)
        rows = [asyncio.create_task(pool.complete(make_request(number))) for number in range(12)]
        while slow.seen < 2:
            await asyncio.sleep(0.001)
        ready.set()
        while sum(row.done() for row in rows) < 10:
            await asyncio.sleep(0.001)
        for row in rows:
            row.cancel()
        await asyncio.gather(*rows, return_exceptions=True)
    assert (slow.seen, back.seen) == (2, 10)


async def test_a_row_that_crashes_every_server_fails_alone() -> None:
    crashes = 0

    def chat(body: bytes) -> web.Response:
        nonlocal crashes
        if POISON.encode() not in body:
            return completion_response()
        crashes += 1
        return respond(500, DEAD)(body)

    one, two = FakeServer(chat), FakeServer(chat)
    async with make_pool(one, two, max_attempts=3) as pool:
        poisonous = asyncio.create_task(outcome_of(pool, make_request(0, POISON)))
        others = 0
        while not poisonous.done():
            others += 1
            assert isinstance(await pool.complete(make_request(others)), Reply)
        error = await poisonous
    assert isinstance(error, RowError)
    assert (error.code, crashes) == ("engine_dead", 3)  # more requests arrive where answered ones test a server


async def test_a_lasting_outage_of_all_endpoints_stops_the_run() -> None:
    stubs = [FakeServer(respond(500, DEAD), health=503) for _ in range(2)]
    async with make_pool(*stubs, max_outage=0.05) as pool:
        waiting = [asyncio.create_task(outcome_of(pool, make_request(number))) for number in range(10)]
        while (wait := find_wait(pool)) is None or not wait.text.startswith(
            "Waiting for the servers (The server's engine has died"
        ):
            await asyncio.sleep(0.001)
        ends = await asyncio.gather(*waiting)
    assert {end.code for end in ends if isinstance(end, RunStopped)} == {"server_away"}
    assert all(isinstance(end, RunStopped) for end in ends)


async def test_one_endpoint_may_be_unavailable_longer_than_max_outage() -> None:
    one, two = FakeServer(respond(500, DEAD), health=503), FakeServer()
    async with make_pool(one, two, max_outage=0.02) as pool:
        await pool.complete(request_for(pool, 0))
        await asyncio.sleep(0.1)
        assert isinstance(await outcome_of(pool, request_for(pool, 0)), Reply)
        one.health, one.chat = 200, lambda body: completion_response()
        while pool.members[0].health == "unavailable":
            await asyncio.sleep(0.001)
        await pool.complete(request_for(pool, 0, after=1000))
    assert (one.seen, two.seen) == (2, 2)


async def test_drain_interrupts_requests_that_wait_for_any_endpoint() -> None:
    stubs = [FakeServer(respond(500, DEAD), health=503) for _ in range(2)]
    async with make_pool(*stubs) as pool:
        waiting = [asyncio.create_task(outcome_of(pool, make_request(number))) for number in range(10)]
        while any(member.health != "unavailable" for member in pool.members) or pool.in_use:
            await asyncio.sleep(0.001)
        pool.drain()
        ends = await asyncio.gather(*waiting)
    assert all(isinstance(end, Interrupted) for end in ends)


@pytest.mark.parametrize("status", [401, 402, 404])
async def test_an_endpoint_that_rejects_everything_is_left_out_with_one_warning(status: int) -> None:
    one, two = FakeServer(respond(status)), FakeServer()
    warnings = list[str]()
    async with make_pool(one, two, warn=warnings.append) as pool:
        replies = await asyncio.gather(*(pool.complete(make_request(number)) for number in range(30)))
        assert collect_notes(pool) == warnings
        assert collect_endpoint_stats(pool)[0].left_out is not None
    assert [reply.attempts for reply in replies] == [1] * 30
    assert len(warnings) == 1
    assert one.seen <= 4


async def test_a_request_that_is_asked_to_wait_beyond_max_outage_moves_at_once() -> None:
    busy = lambda body: web.json_response({}, status=429, headers={"Retry-After": "7200"})  # noqa: E731
    async with make_pool(FakeServer(busy), FakeServer()) as pool:
        reply = await pool.complete(request_for(pool, 0))
        assert reply.source is pool.members[1]
        assert pool.members[0].session.traffic.sent == 1


async def test_an_endpoint_with_a_retry_after_beyond_max_outage_is_left_out() -> None:
    busy = lambda body: web.json_response({}, status=429, headers={"Retry-After": "7200"})  # noqa: E731
    async with make_pool(FakeServer(busy), FakeServer()) as pool:
        async with asyncio.timeout(TEST_TIMEOUT):
            while not pool.warnings:
                replies = await asyncio.gather(*(pool.complete(make_request(number)) for number in range(50)))
                assert {reply.attempts for reply in replies} == {1}
        assert "7200 s" in pool.warnings[0]


async def test_notes_name_the_endpoint_only_if_dialects_differ() -> None:
    def strict(body: bytes) -> web.Response:
        refusal = respond(400, "Unsupported parameter: 'seed'", code="unsupported_parameter", param="seed")
        return refusal(body) if b'"seed"' in body else completion_response()

    async with make_pool(FakeServer(strict), FakeServer()) as pool:
        await pool.complete(request_for(pool, 0))
        assert collect_notes(pool) == [f"{pool.members[0].url}: seed is left out: the server refuses it"]
    async with make_pool(FakeServer(strict), FakeServer(strict)) as pool:
        await pool.complete(request_for(pool, 0))
        await pool.complete(request_for(pool, 1))
        assert collect_notes(pool) == ["seed is left out: the server refuses it"]


async def test_a_single_endpoint_is_used_without_the_pool() -> None:
    async with make_pool(FakeServer()) as pool:
        assert pool.completer is pool.members[0].session
        assert collect_endpoint_stats(pool) == ()


async def test_an_endpoint_is_doubtful_while_its_answers_are_rejected() -> None:
    warnings: list[str] = []
    async with make_pool(FakeServer(), FakeServer(), warn=warnings.append) as pool:
        one, two = pool.members
        for _ in range(6):
            assert one.health == "healthy"
            one.judge("refusal")
        assert (one.health, one.is_ready, two.is_ready) == ("doubtful", True, False)
        assert warnings == [
            f"{one.url} gives answers that fail the checks (refusal), and gets few rows until one passes."
        ]
        for _ in range(6):
            two.judge("refusal")
        assert (two.health, len(warnings)) == ("doubtful", 1)
        one.judge(None)
        assert one.health == "healthy"


async def test_another_endpoint_is_asked_about_an_image_that_prefers_this_one() -> None:
    one, two = FakeServer(), FakeServer()
    async with make_pool(one, two) as pool:
        reply = await pool.complete(request_for(pool, 0))
        assert reply.source is pool.members[0]
        again = await pool.members[0].ask_another(request_for(pool, 0))
    assert (again.source, one.seen, two.seen) == (pool.members[1], 1, 1)


async def test_a_request_about_an_answer_goes_to_the_endpoint_of_the_answer() -> None:
    one, two = FakeServer(), FakeServer()
    async with make_pool(one, two) as pool:
        request = request_for(pool, 0)
        replies = [await pool.members[1].ask_again(each) for each in (request, replace(request, pictures=()))]
    assert [reply.source for reply in replies] == [pool.members[1]] * 2
    assert (one.seen, two.seen) == (0, 2)


async def test_a_request_about_an_answer_goes_elsewhere_if_its_endpoint_is_unavailable_or_fails() -> None:
    one, two = FakeServer(), FakeServer(respond(500))
    async with make_pool(one, two) as pool:
        assert (await pool.members[1].ask_again(make_request(1))).source is pool.members[0]
        pool.members[1].session.outage.close("Away.", None)
        assert (await pool.members[1].ask_again(make_request(2))).source is pool.members[0]
    assert (one.seen, two.seen) == (2, 1)


async def test_a_failed_request_about_an_answer_is_no_failed_row() -> None:
    one, two = FakeServer(fail_poison(400)), FakeServer(fail_poison(400))
    async with make_pool(one, two) as pool:
        with pytest.raises(RowError):
            await pool.members[0].ask_again(replace(make_request(1, POISON), is_verification=True))
        assert sum(account.failed_rows for account in collect_endpoint_stats(pool)) == 0

"""A pool of sessions that talk to small servers: where requests go on, what it costs them, and when all ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from persqa_client.client.retry import Backoff
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.routing import image_key, rank_endpoints
from persqa_client.endpoints.session import Reply, Session
from persqa_client.endpoints.traffic import collect_endpoint_stats, collect_notes, describe_trouble
from persqa_client.errors import Interrupted, PersQAError, RowError, RunStopped
from persqa_client.types import EncodedImage, Request
from tests.support.endpoints import FAST_BACKOFF, TEST_TIMEOUT, completion_response, serve_handler

FOR_EVER = Backoff(1000.0, 1000.0)
POISON = "What brings you down?"
DEAD = "EngineCore encountered an issue."


@dataclass
class Stub:
    """A server that does as it is told. ``chat`` makes an answer of a body, None breaks the connection off; ``health``
    is the status of all else."""

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


def says(status: int, words: str = "No.", **more: Any) -> Callable[[bytes], web.Response]:
    return lambda body: web.json_response({"error": {"message": words, **more}}, status=status)


@asynccontextmanager
async def pool_of(*stubs: Stub, backoff: Backoff = FAST_BACKOFF, **limits: Any) -> AsyncIterator[Pool]:
    """A pool whose waits are tiny unless told otherwise; what would hang fails."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serve_handler(stub.handle)) for stub in stubs]
        sessions = [
            Session(
                Endpoint(base_url=f"{url}/v1", model="qwen"),
                limits=Limits(**{"concurrency": 4, **limits}),
                backoff=backoff,
                probe_backoff=FAST_BACKOFF,
            )
            for url in urls
        ]
        pool = await stack.enter_async_context(Pool(sessions))
        async with asyncio.timeout(TEST_TIMEOUT):
            yield pool


def about(number: int, prompt: str = "What is it?") -> Request:
    return Request("s", (EncodedImage(b"%d" % number, "image/jpeg", 1, 1),), prompt, seed=number)


def first_at(pool: Pool, number: int, *, after: int = 0) -> Request:
    """A request that goes to this endpoint first, while none is busy; another one with another ``after``."""
    names = [member.url for member in pool.members]
    requests = map(about, range(after, after + 100))
    return next(request for request in requests if rank_endpoints(image_key(request.pictures), names)[0] == number)


async def end_of(pool: Pool, request: Request) -> Reply | PersQAError:
    try:
        return await pool.complete(request)
    except PersQAError as error:
        return error


async def test_a_failure_goes_on_at_another_endpoint_under_one_number_of_attempts() -> None:
    one, two = Stub(says(500)), Stub()
    async with pool_of(one, two) as pool:
        reply = await pool.complete(first_at(pool, 0))
    assert (one.seen, two.seen, reply.attempts) == (1, 1, 2)


async def test_the_attempts_at_all_endpoints_together_are_bounded() -> None:
    one, two = Stub(says(500)), Stub(says(500))
    async with pool_of(one, two, max_attempts=5) as pool:
        error = await end_of(pool, about(1))
        assert isinstance(error, RowError)
        assert (error.code, error.attempts, one.seen + two.seen) == ("http_500", 5, 5)
        assert sum(account.failed_rows for account in collect_endpoint_stats(pool)) == 1
    assert min(one.seen, two.seen) == 2


async def test_a_row_that_is_refused_for_good_is_asked_nowhere_else() -> None:
    one, two = Stub(says(400)), Stub(says(400))
    async with pool_of(one, two) as pool:
        assert isinstance(await end_of(pool, about(1)), RowError)
    assert one.seen + two.seen == 1


@pytest.mark.parametrize("attempts", [1, 5])
async def test_a_server_that_breaks_off_and_is_gone_costs_no_attempt(attempts: int) -> None:
    one, two = Stub(lambda body: None, health=503), Stub()
    async with pool_of(one, two, max_attempts=attempts) as pool:
        reply = await pool.complete(first_at(pool, 0))
        assert describe_trouble(pool) == f"unavailable: {pool.members[0].url}"
        assert collect_endpoint_stats(pool)[0].summary_line().endswith("unavailable once")
    assert (one.seen, two.seen, reply.attempts) == (1, 1, 1)


async def test_a_server_that_asks_to_wait_is_told_of() -> None:
    async with pool_of(Stub()) as pool:
        assert describe_trouble(pool) is None
        pool.members[0].session.concurrency_limit.pause(5)
        assert (describe_trouble(pool) or "").startswith("waiting: ")


async def test_who_backs_off_or_waits_for_a_slot_goes_elsewhere_when_the_gate_shuts() -> None:
    one, two = Stub(says(500)), Stub()
    async with pool_of(one, two, backoff=FOR_EVER, concurrency=1) as pool:
        outage = pool.members[0].session.outage
        asleep = asyncio.create_task(pool.complete(first_at(pool, 0)))
        while one.seen == 0 or pool.in_use:
            await asyncio.sleep(0.001)
        async with pool.members[0].session.concurrency_limit.permit(again=False):
            in_line = asyncio.create_task(pool.members[0].session.complete(about(1)))
            await asyncio.sleep(0.01)
            one.health = 503
            assert await outage.check("gone")
            reply = await asleep
            with pytest.raises(PersQAError, match="another one takes"):
                await in_line
    assert (one.seen, reply.attempts) == (1, 2)


async def test_pressure_goes_on_at_another_endpoint_at_once_and_at_no_cost() -> None:
    one, two = Stub(says(503)), Stub()
    async with pool_of(one, two, backoff=FOR_EVER, max_attempts=1) as pool:
        replies = await asyncio.gather(*(pool.complete(about(number)) for number in range(40)))
    assert [reply.attempts for reply in replies] == [1] * 40
    assert one.seen < 15, "what turns everything away is left alone"


async def test_one_that_fails_fast_does_not_draw_all_requests_to_it() -> None:
    """What failed there is still sleeping, so it gets one at a time, and the other all the rest."""
    one, two = Stub(says(500)), Stub(latency=0.1)
    rows = iter(range(100))

    async def work() -> None:
        for number in rows:
            await pool.complete(about(number))

    async with pool_of(one, two, backoff=Backoff(0.2, 0.2)) as pool:
        await asyncio.gather(*(work() for _ in range(8)))
    assert two.seen == 100
    assert one.seen < 50


async def test_who_waits_in_line_at_a_slow_server_is_taken_over_by_one_that_idles() -> None:
    slow, quick = Stub(latency=1000.0), Stub()
    async with pool_of(slow, quick, concurrency=2) as pool:
        rows = [asyncio.create_task(pool.complete(about(number))) for number in range(40)]
        while sum(row.done() for row in rows) < 38:
            await asyncio.sleep(0.001)
        assert (slow.seen, quick.seen) == (2, 38)
        for row in rows:
            row.cancel()
        await asyncio.gather(*rows, return_exceptions=True)


async def test_a_row_that_brings_every_server_down_fails_at_last_and_alone() -> None:
    def chat(body: bytes) -> web.Response:
        return says(500, DEAD)(body) if POISON.encode() in body else completion_response()

    one, two = Stub(chat), Stub(chat)
    async with pool_of(one, two, max_attempts=3) as pool:
        poisonous = asyncio.create_task(end_of(pool, about(0, POISON)))
        others = 0
        while not poisonous.done():
            others += 1
            assert isinstance(await pool.complete(about(others)), Reply)
        error = await poisonous
    assert isinstance(error, RowError)
    assert (error.code, one.seen + two.seen) == ("engine_dead", 3 + others)


async def test_an_outage_of_all_that_lasts_stops_the_run() -> None:
    stubs = [Stub(says(500, DEAD), health=503) for _ in range(2)]
    async with pool_of(*stubs, max_outage=0.05) as pool:
        waiting = [asyncio.create_task(end_of(pool, about(number))) for number in range(10)]
        while (trouble := describe_trouble(pool)) is None or not trouble.startswith(
            "waiting: The server's engine has died"
        ):
            await asyncio.sleep(0.001)
        ends = await asyncio.gather(*waiting)
    assert {end.code for end in ends if isinstance(end, RunStopped)} == {"server_away"}
    assert all(isinstance(end, RunStopped) for end in ends)


async def test_one_may_stay_away_for_longer_than_a_run_would_wait_for_it_alone() -> None:
    one, two = Stub(says(500, DEAD), health=503), Stub()
    async with pool_of(one, two, max_outage=0.02) as pool:
        await pool.complete(first_at(pool, 0))
        await asyncio.sleep(0.1)
        assert isinstance(await end_of(pool, first_at(pool, 0)), Reply)
        one.health, one.chat = 200, lambda body: completion_response()
        while pool.members[0].health == "unavailable":
            await asyncio.sleep(0.001)
        await pool.complete(first_at(pool, 0, after=1000))
    assert (one.seen, two.seen) == (2, 2)


async def test_who_waits_for_all_hears_of_the_stop() -> None:
    stubs = [Stub(says(500, DEAD), health=503) for _ in range(2)]
    async with pool_of(*stubs) as pool:
        waiting = [asyncio.create_task(end_of(pool, about(number))) for number in range(10)]
        while any(member.health != "unavailable" for member in pool.members) or pool.in_use:
            await asyncio.sleep(0.001)
        pool.drain()
        ends = await asyncio.gather(*waiting)
    assert all(isinstance(end, Interrupted) for end in ends)


@pytest.mark.parametrize("status", [401, 402, 404])
async def test_one_that_refuses_all_is_left_out_and_told_of_once(status: int) -> None:
    one, two = Stub(says(status)), Stub()
    said = list[str]()
    async with pool_of(one, two) as pool:
        pool.warn = said.append
        replies = await asyncio.gather(*(pool.complete(about(number)) for number in range(30)))
        assert collect_notes(pool) == said
        assert collect_endpoint_stats(pool)[0].left_out is not None
    assert [reply.attempts for reply in replies] == [1] * 30
    assert len(said) == 1
    assert one.seen <= 4


async def test_an_endpoint_that_asks_for_a_longer_pause_than_a_run_waits_is_left_out() -> None:
    busy = lambda body: web.json_response({}, status=429, headers={"Retry-After": "7200"})  # noqa: E731
    async with pool_of(Stub(busy), Stub()) as pool:
        await asyncio.gather(*(pool.complete(about(number)) for number in range(10)))
        assert "7200 s" in pool.warnings[0]


async def test_what_endpoints_learn_is_told_by_name_only_where_they_differ() -> None:
    def strict(body: bytes) -> web.Response:
        refusal = says(400, "Unsupported parameter: 'seed'", code="unsupported_parameter", param="seed")
        return refusal(body) if b'"seed"' in body else completion_response()

    async with pool_of(Stub(strict), Stub()) as pool:
        await pool.complete(first_at(pool, 0))
        assert collect_notes(pool) == [f"{pool.members[0].url}: seed is left out: the server refuses it"]
    async with pool_of(Stub(strict), Stub(strict)) as pool:
        await pool.complete(first_at(pool, 0))
        await pool.complete(first_at(pool, 1))
        assert collect_notes(pool) == ["seed is left out: the server refuses it"]


async def test_one_endpoint_alone_is_its_session_and_nothing_else() -> None:
    async with pool_of(Stub()) as pool:
        assert pool.completer is pool.members[0].session
        assert collect_endpoint_stats(pool) == ()

"""Sessions of several workers keep the limits of their endpoint together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.ray.endpoint_share import EndpointShare
from persqa_client.ray.shared_limit import SharedSession
from persqa_client.task_groups import loop_time
from tests.support.endpoints import REQUEST, completion_json, serve_handler


@dataclass
class Server:
    """Answers after a moment."""

    in_flight: int = 0
    peak: int = 0
    answered: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=404)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(0.01)
        self.in_flight -= 1
        self.answered += 1
        return web.json_response(completion_json())


@asynccontextmanager
async def sharing(url: str, limits: Limits, workers: int) -> AsyncIterator[list[Session]]:
    """Sessions that report to one share, more often than workers do."""
    endpoint = Endpoint(base_url=f"{url}/v1", model="qwen")
    sessions = [Session(endpoint, limits=limits) for _ in range(workers)]
    shared = [SharedSession(session, limits) for session in sessions]
    share = EndpointShare(limits)

    async def report() -> None:
        while True:
            for number, each in enumerate(shared):
                each.take(share.take_report(f"{number}", each.report(), loop_time()))
            await asyncio.sleep(0.02)

    reporting = asyncio.create_task(report())
    try:
        yield sessions
    finally:
        reporting.cancel()
        for session in sessions:
            await session.aclose()


async def ask(sessions: Sequence[Session], each: int) -> None:
    await asyncio.gather(*(session.complete(REQUEST) for session in sessions for _ in range(each)))


async def test_no_more_are_in_flight_than_one_process_may_have() -> None:
    server = Server()
    limits = Limits(concurrency=6)
    async with serve_handler(server.handle) as url, sharing(url, limits, 3) as sessions:
        await ask(sessions, 60)
    assert (server.answered, server.peak) == (180, 6)


async def test_an_idle_worker_keeps_no_permit_from_one_that_waits() -> None:
    """If there are fewer permits than workers."""
    server = Server()
    limits = Limits(concurrency=1)
    async with serve_handler(server.handle) as url, sharing(url, limits, 3) as sessions:
        async with asyncio.timeout(20):
            await ask(sessions[:1], 2)
            await ask(sessions[2:], 1)
    assert (server.answered, server.peak) == (3, 1)


async def test_one_worker_gets_what_the_others_leave() -> None:
    server = Server()
    limits = Limits(concurrency=6)
    async with serve_handler(server.handle) as url, sharing(url, limits, 3) as sessions:
        await ask(sessions[:1], 60)
        assert sessions[0].concurrency_limit.permits >= 4


async def test_a_retry_after_for_one_worker_holds_all() -> None:
    server = Server()
    limits = Limits(concurrency=6)
    async with serve_handler(server.handle) as url, sharing(url, limits, 3) as sessions:
        await ask(sessions, 10)
        sessions[0].concurrency_limit.pause(0.4)
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(ask(sessions[1:], 10))
        await asyncio.sleep(0.1)
        assert server.answered == 30
        await waiting
    assert server.answered == 50

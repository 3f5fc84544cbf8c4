"""A process that may open no more files during a run sends fewer requests at a time, as long as that lasts."""

from __future__ import annotations

import asyncio
import errno
from math import inf

import httpx2
import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.task_groups import loop_time
from tests.simulation.replies import good_answer
from tests.simulation.virtual_clock import run_virtually
from tests.support.commands import python
from tests.support.endpoints import REQUEST

SCRIPT = """
import asyncio, resource, sys
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.client.retry import Backoff
from persqa_client.limits.open_files import count_open_files
from persqa_client.types import Request
import tests.support.endpoints as support

async def main():
    limits = Limits(concurrency="auto" if sys.argv[2] == "auto" else 60, max_concurrency=60)
    endpoint = Endpoint(base_url=sys.argv[1], model="persqa-simulator")
    async with Session(endpoint, limits=limits, backoff=support.FAST_BACKOFF) as session:
        await session.complete(support.REQUEST)
        allowed = count_open_files() + 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
        replies = await asyncio.gather(*(session.complete(support.REQUEST) for _ in range(300)))
    print(len(replies), max(reply.attempts for reply in replies), session.concurrency_limit.permits <= 40)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", ["60", "auto"])
def test_a_lack_of_file_handles_costs_no_attempt(concurrency: str) -> None:
    with run_simulator(SimSettings(latency=0.02, slots=100)) as server:
        result = python(SCRIPT, server.base_url, concurrency)
    assert result.stdout.split() == ["300", "1", "True"], result.stderr


class ServerBehindAShortage(httpx2.AsyncBaseTransport):
    """No connection can be opened from second 5 on; answers take a second."""

    def __init__(self, end: float) -> None:
        self.end = end

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if 5.0 <= loop_time() < self.end:
            raise OSError(errno.EMFILE, "Too many open files")
        await asyncio.sleep(1)
        return httpx2.Response(200, content=good_answer(1).body, headers={"content-type": "application/json"})


async def keep_busy(end: float, limits: Limits, seconds: float) -> Session:
    async def work(session: Session) -> None:
        while loop_time() < seconds:
            await session.complete(REQUEST)

    client = httpx2.AsyncClient(transport=ServerBehindAShortage(end))
    endpoint = Endpoint(base_url="http://endpoint.example/v1", model="qwen")
    async with Session(endpoint, limits=limits, http_client=client) as session, asyncio.TaskGroup() as tasks:
        for _ in range(80):
            tasks.create_task(work(session))
    return session


@pytest.mark.slow
@pytest.mark.parametrize("end", [7.0, pytest.param(20.0, marks=pytest.mark.slow)])
def test_after_a_short_lack_of_file_handles_the_concurrency_is_as_before(end: float) -> None:
    session = run_virtually(keep_busy(end, Limits(concurrency=64), end + 40))
    assert session.concurrency_limit.permits == 64
    assert session.concurrency_limit.admission.shortage.message is None
    assert session.outage.outages == 0


def test_a_run_without_file_handles_stops_after_the_longest_outage() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        run_virtually(keep_busy(inf, Limits(concurrency=8, max_outage=60), 1000))
    stop = caught.value.exceptions[0]
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"
    assert "(--max-outage 60)" in stop.message
    assert "ulimit -n" in stop.message

"""A process that may open no more files during a run sends fewer requests at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.simulator.server import SimSettings, run_simulator

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
    print(len(replies), max(reply.attempts for reply in replies), session.concurrency_limit.permits <= 25)

asyncio.run(main())
"""


@pytest.mark.parametrize("concurrency", ["60", "auto"])
def test_a_lack_of_file_handles_costs_no_attempt(concurrency: str) -> None:
    with run_simulator(SimSettings(latency=0.02, slots=100)) as server:
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.base_url, concurrency], capture_output=True, text=True, timeout=60
        )
    assert result.stdout.split() == ["300", "1", "True"], result.stderr


def test_a_ceiling_only_falls() -> None:
    limit = ConcurrencyLimit(8)
    for maximum, permits in ((9, 8), (5, 5), (7, 5), (0, 1)):
        limit.cap(maximum)
        assert limit.permits == permits

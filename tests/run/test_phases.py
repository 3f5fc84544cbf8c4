"""What a run waits for: which waits are told, and in which words."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.engines.row_loop import ANSWERING, RunProgress
from persqa_client.engines.row_waits import RowsInWork, RowWait, find_row_wait
from persqa_client.run.pacing import describe_probe_phase
from persqa_client.run.phases import PhaseWatch, describe_trouble, find_wait
from persqa_client.run.settings import RunSettings

SLOW = RowsInWork(oldest=1017, seconds=45.4, running=3)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (SLOW, None),
        (RowsInWork(oldest=7, seconds=1.0, running=1, all_started=True), None),
        (RowsInWork(oldest=7, seconds=5.0, running=1, all_started=True), "Waiting for row 7 (5 s)"),
        (
            RowsInWork(oldest=1017, seconds=45.4, running=3, all_started=True),
            "Waiting for the last 3 answers; row 1,017 is the oldest (45 s)",
        ),
        (
            RowsInWork(oldest=17, seconds=45.4, running=3, has_room=False),
            "Waiting for row 17, the oldest unfinished one (45 s), before more rows are asked about",
        ),
        (
            RowsInWork(oldest=17, seconds=0.2, running=3, stopping=True, all_started=True),
            "Stopping after the requests in flight; the oldest, of row 17, has taken 0 s",
        ),
        (
            RowsInWork(oldest=17, seconds=0.2, running=1, checked=4),
            "Asking row 4 again, to see whether the model still gives good answers",
        ),
    ],
)
def test_a_run_waits_for_its_rows(rows: RowsInWork, text: str | None) -> None:
    wait = find_row_wait(rows)
    assert (None if wait is None else wait.text) == text
    assert (wait is not None and wait.is_stop) == rows.stopping


async def make_pool(*limits: Limits) -> Pool:
    sessions = [
        Session(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m"), limits=each)
        for port, each in enumerate(limits, 1)
    ]
    return Pool(sessions)


async def test_a_short_wait_is_not_told() -> None:
    async with await make_pool(Limits()) as pool:
        progress, watch = RunProgress(phase=ANSWERING), PhaseWatch()
        progress.find_wait = lambda: RowWait("last", "Waiting for row 7 (1 s)")
        assert [watch.update(now, progress, pool).text for now in (10.0, 11.9)] == ["Answering", "Answering"]
        assert watch.update(12.1, progress, pool).text == "Waiting for row 7 (1 s)"
        assert watch.since == 12.1
        pool.sessions[0].outage.reason = "busy"
        assert watch.update(13.0, progress, pool).text == "Answering"
        assert watch.update(15.0, progress, pool).text == "Waiting for the server (busy; 0 s)"
        progress.find_wait = lambda: RowWait("stop", "Stopping", is_stop=True)
        watch.update(16.0, progress, pool)
        assert watch.update(18.0, progress, pool).text == "Stopping"
        progress.phase, progress.find_wait = "Finishing the files", lambda: None
        pool.sessions[0].outage.reason = None
        assert watch.update(18.1, progress, pool).text == "Finishing the files"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(rpm=0.01), "0.01 requests per minute"),
        (Limits(rps=0.001, rpm=6), "0.001 requests per second"),
        (Limits(tpm=1), "1 tokens per minute"),
    ],
)
async def test_a_wait_names_the_rate_limit(limits: Limits, words: str) -> None:
    async with await make_pool(limits) as pool:
        rates = pool.sessions[0].rate_limit
        assert (rates.describe_wait(), rates.seconds_waited) == ("", 0.0)
        requests = [asyncio.create_task(rates.acquire(100, retry=False)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert rates.describe_wait() == words
        assert rates.seconds_waited > 0
        assert find_wait(pool) is None  # not yet two seconds
        rates.close()
        for request in requests:
            with suppress(Exception):
                await request
        assert rates.describe_wait() == ""


async def test_one_endpoint_that_takes_requests_is_no_wait() -> None:
    async with await make_pool(Limits(), Limits()) as pool:
        first, second = pool.sessions
        first.outage.reason = "connection refused"
        assert find_wait(pool) is None
        assert describe_trouble(pool) == "unavailable: http://127.0.0.1:1/v1: connection refused"
        second.concurrency_limit.pause(90)
        wait = find_wait(pool)
        assert wait is not None
        assert wait.text == "Waiting for the server (connection refused; 0 s)"
        first.outage.reason = None
        first.concurrency_limit.pause(30.4)
        wait = find_wait(pool)
        assert wait is not None
        cause = "because the server asks to, or the account's rate limit is used up"
        assert wait.text == f"Waiting {cause} (30 s left)"
        assert describe_trouble(pool) is None


def test_the_phase_of_the_probes_says_how_long_they_take() -> None:
    settings = RunSettings(input=None, output=None, endpoint=Endpoint(base_url="http://h/v1", model="m"))
    assert describe_probe_phase("identity", settings) == "Asking for the server's models"
    assert describe_probe_phase("all", settings) == "Testing what the server can do"
    slow = settings.model_copy(update={"limits": Limits(rpm=60)})
    assert describe_probe_phase("all", slow) == "Testing what the server can do (20 s with --rpm 60)"

"""The concurrency limit: its permits, their order, and what refusals, timeouts and outages do to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest
import uvloop

from persqa_client.errors import FailedOver, Interrupted, RunStopped
from persqa_client.limits.concurrency import IMAGE_TOKEN_LIMIT, ConcurrencyLimit
from persqa_client.limits.controllers import OUTAGE_FACTOR, Permit
from tests.support.endpoints import TEST_TIMEOUT


async def run_ready_tasks() -> None:
    """Gives each task many turns of the event loop."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def all_permits(limit: ConcurrencyLimit) -> AsyncIterator[AsyncExitStack]:
    """Holds all permits, to be released one by one or together."""
    async with AsyncExitStack() as stack:
        for _ in range(limit.maximum):
            await stack.enter_async_context(limit.permit(retry=False))
        yield stack


def start_request(limit: ConcurrencyLimit, name: str, log: list[str], *, retry: bool = False) -> asyncio.Task[None]:
    async def enter() -> None:
        async with limit.permit(retry=retry):
            log.append(name)

    return asyncio.create_task(enter())


async def test_no_more_requests_are_in_flight_than_there_are_permits() -> None:
    limit, most = ConcurrencyLimit(3), 0

    async def attempt() -> None:
        nonlocal most
        async with limit.permit(retry=False):
            most = max(most, limit.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(attempt() for _ in range(20)))
    assert (most, limit.in_use) == (3, 0)


async def test_retries_come_first() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    async with all_permits(limit):
        tasks = [start_request(limit, "new 1", log), start_request(limit, "new 2", log)]
        await run_ready_tasks()
        tasks += [start_request(limit, "again 1", log, retry=True), start_request(limit, "again 2", log, retry=True)]
        await run_ready_tasks()
    await asyncio.gather(*tasks)
    assert log == ["again 1", "again 2", "new 1", "new 2"]


async def test_a_new_request_does_not_overtake_waiting_ones() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    async with all_permits(limit):
        first = start_request(limit, "first", log)
        await run_ready_tasks()
    late = start_request(limit, "late", log)
    await asyncio.gather(first, late)
    assert log == ["first", "late"]


async def test_waiting_requests_come_first_after_a_pause() -> None:
    """Also if a new request runs before the timer that ends the pause."""
    limit, log = ConcurrencyLimit(1), list[str]()
    limit.pause(0.01)
    over = monotonic() + 0.01
    first = start_request(limit, "first", log)
    await run_ready_tasks()
    assert log == []
    while monotonic() < over:
        pass
    await asyncio.gather(start_request(limit, "late", log), first)
    assert log == ["first", "late"]


async def test_an_error_releases_the_permit() -> None:
    limit = ConcurrencyLimit(1)
    with pytest.raises(KeyError):
        async with limit.permit(retry=False):
            raise KeyError
    assert limit.in_use == 0


async def test_one_permit_always_remains() -> None:
    limit = ConcurrencyLimit(4)
    for _ in range(50):
        limit.record_outage()
    assert limit.permits == 1
    async with limit.permit(retry=False):
        assert limit.in_use == 1


async def test_fewer_requests_are_in_flight_after_an_outage() -> None:
    limit = ConcurrencyLimit(4)
    limit.record_outage()
    assert limit.permits == 3
    log = list[str]()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(limit.permit(retry=False))
        task = start_request(limit, "fourth", log)
        await run_ready_tasks()
        assert log == []
    await task
    assert log == ["fourth"]


async def test_answers_raise_a_fixed_limit_again() -> None:
    """By one permit, or by a fifth if that is more, for as many answers as there are permits."""
    limit, seen = ConcurrencyLimit(64), list[int]()
    for _ in range(20):
        limit.record_outage()
    for _ in range(40):
        seen.append(limit.permits)
        for _ in range(limit.permits):
            limit.record_answer(Permit(20), 10)
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert seen.index(64) < 40


async def test_answers_to_requests_sent_before_a_cut_do_not_raise_the_limit() -> None:
    limit = ConcurrencyLimit(64)
    limit.record_outage()
    for _ in range(1000):
        limit.record_answer(Permit(0), 10)
    assert limit.permits == 64 * OUTAGE_FACTOR


async def test_repeated_timeouts_and_outages_lower_a_fixed_limit() -> None:
    limit = ConcurrencyLimit(64)
    limit.record_timeout(Permit(0))
    assert limit.permits == 64
    limit.record_timeout(Permit(0))
    assert limit.permits == 48
    limit.record_outage()
    assert limit.permits == 36


async def test_a_permit_knows_how_many_were_in_use_with_it() -> None:
    limit, seen = ConcurrencyLimit(2), list[int]()

    async def attempt() -> None:
        async with limit.permit(retry=False) as permit:
            seen.append(permit.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(attempt() for _ in range(5)))
    assert seen == [1, 2, 2, 2, 2]


async def test_a_higher_limit_serves_a_waiting_request_at_once() -> None:
    limit, log = ConcurrencyLimit(2), list[str]()
    limit.record_outage()
    async with limit.permit(retry=False) as permit:
        task = start_request(limit, "second", log)
        await run_ready_tasks()
        assert log == []
        limit.record_answer(permit, 10)
        await run_ready_tasks()
        assert log == ["second"]
    await task


async def test_one_retry_after_pauses_no_other_request() -> None:
    limit, log = ConcurrencyLimit(8), list[str]()
    async with limit.permit(retry=False) as refused, limit.permit(retry=False):
        limit.record_refusal(refused, 60.0)
    assert not limit.paused
    await start_request(limit, "other", log)
    assert log == ["other"]


async def test_a_retry_after_that_all_hear_pauses_all() -> None:
    limit = ConcurrencyLimit(8)
    async with AsyncExitStack() as stack:
        for permit in [await stack.enter_async_context(limit.permit(retry=False)) for _ in range(8)]:
            limit.record_refusal(permit, 60.0)
    assert limit.paused
    held = start_request(limit, "held", [])
    await run_ready_tasks()
    limit.close()
    with pytest.raises(Interrupted):
        await held


def test_a_pause_ends_on_uvloop_whose_timers_fire_early() -> None:
    """Nothing else is in flight that would wake the request."""

    async def wait() -> list[str]:
        log = list[str]()
        async with asyncio.timeout(TEST_TIMEOUT):
            for number in range(30):
                limit = ConcurrencyLimit(1)
                limit.pause(0.0013 + number * 0.00037)
                await start_request(limit, "held", log)
        return log

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(wait()) == ["held"] * 30


async def test_an_alarm_before_its_time_is_set_again() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    limit.pause(0.01)
    held = start_request(limit, "held", log)
    await run_ready_tasks()
    limit.wake_waiters()
    assert log == []
    async with asyncio.timeout(TEST_TIMEOUT):
        await held


async def test_the_longest_of_several_pauses_counts() -> None:
    limit, log = ConcurrencyLimit(4), list[str]()
    for seconds in (0.02, 60.0, 0.03):
        limit.pause(seconds)
    task = start_request(limit, "held", log)
    await asyncio.sleep(0.06)
    assert log == []
    limit.close()
    with pytest.raises(Interrupted):
        await task


async def test_closing_interrupts_waiting_sleeping_and_new_requests() -> None:
    limit = ConcurrencyLimit(1)
    async with all_permits(limit):
        waiting = start_request(limit, "w", [])
        sleeping = asyncio.create_task(limit.sleep(60))
        await run_ready_tasks()
        limit.close()
        async with asyncio.timeout(TEST_TIMEOUT):
            ends = await asyncio.gather(waiting, sleeping, return_exceptions=True)
        assert [type(end) for end in ends] == [Interrupted, Interrupted]
        assert limit.in_use == 1
    with pytest.raises(Interrupted):
        async with limit.permit(retry=True):
            pass
    with pytest.raises(Interrupted):
        await limit.sleep(0)


async def test_what_stops_the_run_is_raised_in_all_waiting_requests() -> None:
    """Later requests are served."""
    limit, log = ConcurrencyLimit(1), list[str]()
    stop = RunStopped("wrong_key", "No.")
    waiting = list[asyncio.Task[None]]()

    async def meet() -> None:
        async with limit.permit(retry=False):
            waiting.extend(start_request(limit, name, log) for name in ("a", "b"))
            await run_ready_tasks()
            raise stop

    with pytest.raises(RunStopped):
        await meet()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(RunStopped, "No.")] * 2
    assert (log, limit.in_use) == ([], 0)
    await start_request(limit, "later", log)
    assert log == ["later"]


async def test_sleeping_holds_no_permit() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    sleeping = asyncio.create_task(limit.sleep(60))
    await run_ready_tasks()
    await start_request(limit, "in", log)
    assert (log, limit.backing_off) == (["in"], 1)
    limit.close()
    with pytest.raises(Interrupted):
        await sleeping


async def test_sleeping_ends_by_itself() -> None:
    async with asyncio.timeout(TEST_TIMEOUT):
        await ConcurrencyLimit(1).sleep(0.01)


async def test_a_cancelled_waiting_request_takes_no_permit() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    async with all_permits(limit):
        cancelled, other = start_request(limit, "cancelled", log), start_request(limit, "other", log)
        await run_ready_tasks()
        cancelled.cancel()
        await run_ready_tasks()
    await other
    assert (log, limit.in_use) == (["other"], 0)


async def test_a_request_cancelled_as_it_gets_a_permit_releases_it() -> None:
    limit, log = ConcurrencyLimit(1), list[str]()
    async with all_permits(limit):
        cancelled = start_request(limit, "cancelled", log)
        await run_ready_tasks()
    cancelled.cancel()
    await run_ready_tasks()
    assert cancelled.cancelled()
    assert limit.in_use == 0
    await start_request(limit, "next", log)
    assert log == ["next"]


async def test_requests_that_wait_for_the_image_limit_are_rejected_first() -> None:
    """They still have to wait for a permit afterwards."""
    limit = ConcurrencyLimit(1)
    await limit.image_limit.acquire(IMAGE_TOKEN_LIMIT, retry=False)
    async with all_permits(limit):
        waiting = start_request(limit, "waiting", [])
        uploads = [asyncio.create_task(limit.image_limit.acquire(1, retry=False)) for _ in range(2)]
        await run_ready_tasks()
        assert limit.waiting == 3
        for task in (uploads[1], uploads[0], waiting):
            limit.reject_last_waiting(FailedOver())
            with pytest.raises(FailedOver):
                await task
        assert limit.waiting == 0
        upload = asyncio.create_task(limit.image_limit.acquire(1, retry=False))
        await run_ready_tasks()
        limit.close()
        with pytest.raises(Interrupted):
            await upload
    assert (limit.in_use, limit.image_limit.in_use) == (0, IMAGE_TOKEN_LIMIT)

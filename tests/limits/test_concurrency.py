"""Slots: how many at once, who goes first, what pressure does to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest

from persqa_client.errors import FailedOver, Interrupted, RunStopped
from persqa_client.limits.concurrency import ROOM, SHRINK, ConcurrencyLimit, Permit
from tests.support.endpoints import TEST_TIMEOUT


async def settle() -> None:
    """Gives every task many turns."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def full(admission: ConcurrencyLimit) -> AsyncIterator[AsyncExitStack]:
    """All slots taken, to be let go one by one or together."""
    async with AsyncExitStack() as stack:
        for _ in range(admission.maximum):
            await stack.enter_async_context(admission.permit(retry=False))
        yield stack


def waiter(admission: ConcurrencyLimit, name: str, log: list[str], *, retry: bool = False) -> asyncio.Task[None]:
    async def enter() -> None:
        async with admission.permit(retry=retry):
            log.append(name)

    return asyncio.create_task(enter())


async def test_no_more_are_under_way_than_there_are_slots() -> None:
    admission, most = ConcurrencyLimit(3), 0

    async def attempt() -> None:
        nonlocal most
        async with admission.permit(retry=False):
            most = max(most, admission.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(attempt() for _ in range(20)))
    assert (most, admission.in_use) == (3, 0)


async def test_what_is_tried_again_goes_before_what_is_new() -> None:
    admission, log = ConcurrencyLimit(1), list[str]()
    async with full(admission):
        tasks = [waiter(admission, "new 1", log), waiter(admission, "new 2", log)]
        await settle()
        tasks += [waiter(admission, "again 1", log, retry=True), waiter(admission, "again 2", log, retry=True)]
        await settle()
    await asyncio.gather(*tasks)
    assert log == ["again 1", "again 2", "new 1", "new 2"]


async def test_a_free_slot_is_not_taken_past_those_who_wait() -> None:
    admission, log = ConcurrencyLimit(1), list[str]()
    async with full(admission):
        first = waiter(admission, "first", log)
        await settle()
    late = waiter(admission, "late", log)
    await asyncio.gather(first, late)
    assert log == ["first", "late"]


async def test_a_told_time_that_is_over_lets_the_first_in_first() -> None:
    """Also when a newcomer's turn of the loop comes before the alarm's."""
    admission, log = ConcurrencyLimit(1), list[str]()
    admission.record_refusal(Permit(0), 0.01)
    over = monotonic() + 0.01
    first = waiter(admission, "first", log)
    await settle()
    assert log == []
    while monotonic() < over:
        pass
    await asyncio.gather(waiter(admission, "late", log), first)
    assert log == ["first", "late"]


async def test_a_slot_is_free_again_after_an_error() -> None:
    admission = ConcurrencyLimit(1)
    with pytest.raises(KeyError):
        async with admission.permit(retry=False):
            raise KeyError
    assert admission.in_use == 0


async def test_a_burst_of_refusals_shrinks_once_and_a_later_one_again() -> None:
    admission = ConcurrencyLimit(64)
    async with AsyncExitStack() as stack:
        leases = [await stack.enter_async_context(admission.permit(retry=False)) for _ in range(10)]
        for lease in leases:
            admission.record_refusal(lease, None)
        assert admission.permits == 64 * SHRINK
        later = await stack.enter_async_context(admission.permit(retry=False))
        admission.record_refusal(later, None)
    assert admission.permits == 64 * SHRINK**2
    assert admission.refusals == 11


async def test_one_slot_always_stays() -> None:
    admission = ConcurrencyLimit(4)
    for cuts in range(50):
        admission.record_refusal(Permit(cuts), None)
    assert admission.permits == 1
    async with admission.permit(retry=False):
        assert admission.in_use == 1


async def test_fewer_are_let_in_after_pressure() -> None:
    admission = ConcurrencyLimit(4)
    admission.record_refusal(Permit(0), None)
    assert admission.permits == 3
    log = list[str]()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(admission.permit(retry=False))
        task = waiter(admission, "fourth", log)
        await settle()
        assert log == []
    await task
    assert log == ["fourth"]


async def test_a_chosen_number_comes_back_with_the_answers() -> None:
    """By a twentieth for each limit's worth of them, and by one where that is more."""
    admission, seen = ConcurrencyLimit(64), list[int]()
    for cuts in range(20):
        admission.record_refusal(Permit(cuts), None)
    for _ in range(64):
        seen.append(admission.permits)
        for _ in range(admission.permits):
            admission.record_answer(Permit(20), 10)
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert seen.index(64) < 50


async def test_an_answer_to_what_was_sent_before_a_cut_gives_nothing_back() -> None:
    admission = ConcurrencyLimit(64)
    admission.record_refusal(Permit(0), None)
    for _ in range(1000):
        admission.record_answer(Permit(0), 10)
    assert admission.permits == 48


async def test_a_chosen_number_shrinks_by_repeated_time_outs_and_by_outages() -> None:
    admission = ConcurrencyLimit(64)
    admission.record_timeout(Permit(0))
    assert admission.permits == 64
    admission.record_timeout(Permit(0))
    assert admission.permits == 48
    admission.record_outage()
    assert admission.permits == 36


async def test_a_lease_knows_how_many_there_were_with_it() -> None:
    """Those that waited too: what was under way when they were let in."""
    admission, seen = ConcurrencyLimit(2), list[int]()

    async def attempt() -> None:
        async with admission.permit(retry=False) as lease:
            seen.append(lease.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(attempt() for _ in range(5)))
    assert seen == [1, 2, 2, 2, 2]


async def test_growth_lets_a_waiter_in_at_once() -> None:
    admission, log = ConcurrencyLimit(2), list[str]()
    admission.record_refusal(Permit(0), None)
    async with admission.permit(retry=False) as lease:
        task = waiter(admission, "second", log)
        await settle()
        assert log == []
        admission.record_answer(lease, 10)
        await settle()
        assert log == ["second"]
    await task


async def test_a_told_time_holds_everything() -> None:
    admission, log = ConcurrencyLimit(4), list[str]()
    admission.record_refusal(Permit(0), 0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = waiter(admission, "held", log)
    await settle()
    assert log == []
    await task
    assert loop.time() - began >= 0.045


async def test_the_longest_of_several_told_times_counts() -> None:
    admission, log = ConcurrencyLimit(4), list[str]()
    for seconds in (0.02, 60.0, 0.03):
        admission.record_refusal(Permit(0), seconds)
    task = waiter(admission, "held", log)
    await asyncio.sleep(0.06)
    assert log == []
    admission.close()
    with pytest.raises(Interrupted):
        await task


async def test_closing_sends_waiters_sleepers_and_comers_away() -> None:
    admission = ConcurrencyLimit(1)
    async with full(admission):
        waiting = waiter(admission, "w", [])
        sleeping = asyncio.create_task(admission.sleep(60))
        await settle()
        admission.close()
        async with asyncio.timeout(TEST_TIMEOUT):
            ends = await asyncio.gather(waiting, sleeping, return_exceptions=True)
        assert [type(end) for end in ends] == [Interrupted, Interrupted]
        assert admission.in_use == 1
    with pytest.raises(Interrupted):
        async with admission.permit(retry=True):
            pass
    with pytest.raises(Interrupted):
        await admission.sleep(0)


async def test_what_stops_the_run_for_one_stops_it_for_all_who_wait() -> None:
    """Nobody who waited is let in to meet the same refusal; who comes later may try."""
    admission, log = ConcurrencyLimit(1), list[str]()
    stop = RunStopped("wrong_key", "No.")
    waiting = list[asyncio.Task[None]]()

    async def meet() -> None:
        async with admission.permit(retry=False):
            waiting.extend(waiter(admission, name, log) for name in ("a", "b"))
            await settle()
            raise stop

    with pytest.raises(RunStopped):
        await meet()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [stop, stop]
    assert (log, admission.in_use) == ([], 0)
    await waiter(admission, "later", log)
    assert log == ["later"]


async def test_a_pause_holds_no_slot() -> None:
    admission, log = ConcurrencyLimit(1), list[str]()
    sleeping = asyncio.create_task(admission.sleep(60))
    await settle()
    await waiter(admission, "in", log)
    assert log == ["in"]
    admission.close()
    with pytest.raises(Interrupted):
        await sleeping


async def test_a_pause_ends_by_itself() -> None:
    paused = asyncio.create_task(ConcurrencyLimit(1).sleep(0.01))
    await settle()
    assert not paused.done()
    await paused


async def test_a_cancelled_waiter_takes_no_slot() -> None:
    admission, log = ConcurrencyLimit(1), list[str]()
    async with full(admission):
        gone, stays = waiter(admission, "gone", log), waiter(admission, "stays", log)
        await settle()
        gone.cancel()
        await settle()
    await stays
    assert (log, admission.in_use) == (["stays"], 0)


async def test_a_waiter_cancelled_as_its_slot_comes_gives_it_back() -> None:
    admission, log = ConcurrencyLimit(1), list[str]()
    async with full(admission):
        gone = waiter(admission, "gone", log)
        await settle()
    gone.cancel()
    await settle()
    assert gone.cancelled()
    assert admission.in_use == 0
    await waiter(admission, "next", log)
    assert log == ["next"]


async def test_those_with_new_pictures_are_sent_away_like_those_who_wait_for_a_slot() -> None:
    """They wait before they wait for a slot, so they would wait longest."""
    admission = ConcurrencyLimit(1)
    await admission.image_limit.enter(ROOM, retry=False)
    async with full(admission):
        slot = waiter(admission, "slot", [])
        rooms = [asyncio.create_task(admission.image_limit.enter(1, retry=False)) for _ in range(2)]
        await settle()
        assert admission.waiting == 3
        for task in (rooms[1], rooms[0], slot):
            admission.reject_last_waiting(FailedOver())
            with pytest.raises(FailedOver):
                await task
        assert admission.waiting == 0
        room = asyncio.create_task(admission.image_limit.enter(1, retry=False))
        await settle()
        admission.close()
        with pytest.raises(Interrupted):
            await room
    assert (admission.in_use, admission.image_limit.in_use) == (0, ROOM)

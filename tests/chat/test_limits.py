"""How many requests a second."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.chat.limits import PerSecond, Unlimited, throttle_for, whole_rate
from persqa_client.errors import Interrupted


@pytest.mark.parametrize(
    ("rps", "rate"),
    [(0.5, (1, 2.0)), (1, (1, 1.0)), (8, (1, 0.125)), (20, (1, 0.05)), (21, (2, 2 / 21)), (250, (13, 0.052))],
)
def test_a_rate_is_whole_requests_in_a_short_period(rps: float, rate: tuple[int, float]) -> None:
    assert whole_rate(rps) == pytest.approx(rate)


@given(st.floats(0.001, 100_000))
def test_the_rate_stays_what_it_was_and_bursts_stay_small(rps: float) -> None:
    requests, period = whole_rate(rps)
    assert requests / period == pytest.approx(rps)
    assert requests <= max(1, rps * 0.05 + 1)


async def test_no_rate_holds_nothing() -> None:
    throttle = throttle_for(None)
    assert isinstance(throttle, Unlimited)
    for _ in range(1000):
        await throttle.acquire()


async def through(throttle: PerSecond, count: int) -> list[asyncio.Task[None]]:
    """Waiters that have had many turns of the loop, but no time to speak of."""
    tasks = [asyncio.create_task(throttle.acquire()) for _ in range(count)]
    for _ in range(100):
        await asyncio.sleep(0)
    return tasks


async def test_a_period_lets_only_its_share_through_at_once() -> None:
    throttle = PerSecond(0.01)
    tasks = await through(throttle, 5)
    assert [task.done() for task in tasks] == [True, False, False, False, False]
    throttle.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_waiters_are_let_through_as_time_passes_in_their_order() -> None:
    throttle, order = PerSecond(200), list[int]()

    async def wait(number: int) -> None:
        await throttle.acquire()
        order.append(number)

    await asyncio.gather(*(wait(number) for number in range(30)))
    assert order == list(range(30))


async def test_what_is_tried_again_goes_before_what_is_new() -> None:
    """Only who is at the head of the line already stays before it."""
    throttle, order = PerSecond(20), list[str]()

    async def wait(name: str, *, again: bool = False) -> None:
        await throttle.acquire(again=again)
        order.append(name)

    names = ("new 1", "new 2", "new 3", "new 4")
    tasks = [asyncio.create_task(wait(name)) for name in names]
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, wait("old", again=True))
    assert order == ["new 1", "new 2", "old", "new 3", "new 4"]


async def test_closing_sends_all_waiters_away_at_once() -> None:
    throttle = PerSecond(0.001)
    first, *others = await through(throttle, 4)
    assert first.done()
    throttle.close()
    throttle.close()
    ends = await asyncio.gather(*others, return_exceptions=True)
    assert [type(end) for end in ends] == [Interrupted] * 3
    with pytest.raises(Interrupted):
        await throttle.acquire()


async def test_a_cancelled_waiter_leaves_the_others_waiting() -> None:
    throttle = PerSecond(4)
    _, second, third = await through(throttle, 3)
    second.cancel()
    await third
    assert second.cancelled()

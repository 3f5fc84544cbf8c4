"""How many requests a second, and how many tokens a minute."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.errors import Interrupted
from persqa_client.limits.rate_limit import PerSecond, Throttles, TokensPerMinute, Unlimited, throttle_for, whole_rate


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

    async def wait(name: str, *, retry: bool = False) -> None:
        await throttle.acquire(retry=retry)
        order.append(name)

    names = ("new 1", "new 2", "new 3", "new 4")
    tasks = [asyncio.create_task(wait(name)) for name in names]
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, wait("old", retry=True))
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


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"rps": 5.0}, PerSecond),
        ({"rps": None, "rpm": 60.0}, PerSecond),
        ({"rps": None, "tpm": 1000}, TokensPerMinute),
        ({"rps": 5.0, "tpm": 1000}, Throttles),
        ({"rps": None}, Unlimited),
    ],
)
def test_there_are_as_many_throttles_as_limits(given: dict[str, Any], kind: type) -> None:
    assert type(throttle_for(**given)) is kind


async def test_a_minutes_requests_go_evenly() -> None:
    """1,200 a minute: twenty a second, not all at once."""
    throttle = throttle_for(100, rpm=1200)
    tasks = [asyncio.create_task(throttle.acquire()) for _ in range(30)]
    await asyncio.sleep(0.01)
    assert sum(task.done() for task in tasks) <= 2
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*tasks)
    assert asyncio.get_running_loop().time() - began >= 1.2
    throttle.close()


async def tokens_through(throttle: TokensPerMinute, *weights: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(throttle.acquire(tokens=weight)) for weight in weights]
    for _ in range(100):
        await asyncio.sleep(0)
    return tasks


async def end(throttle: TokensPerMinute, tasks: list[asyncio.Task[None]]) -> None:
    throttle.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_only_some_seconds_worth_of_tokens_go_at_once() -> None:
    throttle = TokensPerMinute(1200)
    tasks = await tokens_through(throttle, 40, 40, 40, 40)
    assert [task.done() for task in tasks] == [True, True, False, False]
    await end(throttle, tasks)


async def test_a_request_larger_than_that_waits_for_its_parts() -> None:
    throttle = TokensPerMinute(12_000)
    began = asyncio.get_running_loop().time()
    await throttle.acquire(tokens=1100)
    assert asyncio.get_running_loop().time() - began >= 0.4
    throttle.close()


async def test_what_was_not_taken_lets_others_go() -> None:
    throttle = TokensPerMinute(1200)
    await throttle.acquire(tokens=100)
    throttle.correct(-80)
    tasks = await tokens_through(throttle, 60, 20, 40)
    assert [task.done() for task in tasks] == [True, True, False]
    await end(throttle, tasks)


async def test_what_was_taken_beyond_is_paid_by_the_next() -> None:
    throttle = TokensPerMinute(1200)
    await throttle.acquire(tokens=50)
    throttle.correct(40)
    tasks = await tokens_through(throttle, 20)
    assert [task.done() for task in tasks] == [False]
    await end(throttle, tasks)


async def test_closing_sends_who_waits_for_tokens_away() -> None:
    throttle = TokensPerMinute(60)
    tasks = await tokens_through(throttle, 5, 50, 50)
    throttle.close()
    ends = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(end) for end in ends] == [Interrupted] * 2
    with pytest.raises(Interrupted):
        await throttle.acquire(tokens=1)

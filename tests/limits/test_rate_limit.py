"""Throttles for requests per second and tokens per minute."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.errors import Interrupted
from persqa_client.limits.rate_limit import RequestThrottle, Throttle, TokenThrottle, make_throttles, split_rate
from tests.support.cases import each_case


@each_case(
    ("rps", "rate"),
    [(0.5, (1, 2.0)), (1, (1, 1.0)), (8, (1, 0.125)), (20, (1, 0.05)), (21, (2, 2 / 21)), (250, (13, 0.052))],
)
def test_a_rate_is_whole_requests_in_a_short_period(rps: float, rate: tuple[int, float]) -> None:
    assert split_rate(rps) == pytest.approx(rate)


@given(st.floats(0.001, 100_000))
def test_splitting_keeps_the_rate_and_small_bursts(rps: float) -> None:
    requests, period = split_rate(rps)
    assert requests / period == pytest.approx(rps)
    assert requests <= max(1, rps * 0.05 + 1)


@pytest.mark.parametrize(
    ("limits", "kinds"),
    [
        ({"rps": 5.0}, [RequestThrottle]),
        ({"rps": None, "rpm": 60.0}, [RequestThrottle]),
        ({"rps": None, "tpm": 1000}, [TokenThrottle]),
        ({"rps": 5.0, "rpm": 60.0, "tpm": 1000}, [RequestThrottle, TokenThrottle]),
        ({"rps": None}, []),
    ],
)
def test_requests_and_tokens_have_one_throttle_each(limits: dict[str, Any], kinds: list[type]) -> None:
    assert [type(throttle) for throttle in make_throttles(**limits)] == kinds


async def start(throttle: Throttle, *tokens: int) -> list[asyncio.Task[None]]:
    """One request each, after many turns of the event loop, which take next to no time."""
    tasks = [asyncio.create_task(throttle.acquire(count)) for count in tokens]
    for _ in range(100):
        await asyncio.sleep(0)
    return tasks


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    return [task.done() for task in tasks]


async def end(throttle: Throttle, tasks: list[asyncio.Task[None]]) -> None:
    throttle.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_only_the_requests_of_one_period_pass_at_once() -> None:
    throttle = RequestThrottle(0.01)
    tasks = await start(throttle, *[0] * 5)
    assert done(tasks) == [True, False, False, False, False]
    await end(throttle, tasks)


async def test_requests_pass_in_order() -> None:
    throttle, order = RequestThrottle(200), list[int]()

    async def wait(number: int) -> None:
        await throttle.acquire()
        order.append(number)

    await asyncio.gather(*(wait(number) for number in range(30)))
    assert order == list(range(30))


async def test_retries_pass_first() -> None:
    """Except for the request that is next already."""
    throttle, order = RequestThrottle(20), list[str]()

    async def wait(name: str, *, retry: bool = False) -> None:
        await throttle.acquire(retry=retry)
        order.append(name)

    names = ("new 1", "new 2", "new 3", "new 4")
    tasks = [asyncio.create_task(wait(name)) for name in names]
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, wait("old", retry=True))
    assert order == ["new 1", "new 2", "old", "new 3", "new 4"]


async def test_closing_interrupts_all_waiting_requests() -> None:
    throttle = RequestThrottle(0.001)
    first, *others = await start(throttle, *[0] * 4)
    assert first.done()
    throttle.close()
    throttle.close()
    ends = await asyncio.gather(*others, return_exceptions=True)
    assert [type(end) for end in ends] == [Interrupted] * 3
    with pytest.raises(Interrupted):
        await throttle.acquire()


async def test_a_cancelled_request_does_not_block_the_others() -> None:
    throttle = RequestThrottle(4)
    _, second, third = await start(throttle, *[0] * 3)
    second.cancel()
    await third
    assert second.cancelled()


async def test_requests_per_minute_are_spread_evenly() -> None:
    (throttle,) = make_throttles(100, rpm=60)
    tasks = await start(throttle, *[0] * 30)
    assert sum(done(tasks)) == 1
    await end(throttle, tasks)


async def test_a_few_seconds_worth_of_tokens_passes_at_once() -> None:
    throttle = TokenThrottle(1200)
    tasks = await start(throttle, 40, 40, 40, 40)
    assert done(tasks) == [True, True, False, False]
    await end(throttle, tasks)


async def test_a_request_larger_than_a_burst_passes_in_parts() -> None:
    throttle = TokenThrottle(1_200_000)
    (task,) = await start(throttle, 101_000)
    assert not task.done()
    await task


async def test_unused_tokens_are_free_for_others() -> None:
    throttle = TokenThrottle(1200)
    await throttle.acquire(100)
    throttle.correct(-80)
    tasks = await start(throttle, 60, 20, 40)
    assert done(tasks) == [True, True, False]
    await end(throttle, tasks)


async def test_tokens_beyond_the_estimate_delay_the_next_request() -> None:
    throttle = TokenThrottle(1200)
    await throttle.acquire(50)
    throttle.correct(40)
    tasks = await start(throttle, 20)
    assert done(tasks) == [False]
    await end(throttle, tasks)


async def test_closing_interrupts_requests_that_wait_for_tokens() -> None:
    throttle = TokenThrottle(60)
    tasks = await start(throttle, 5, 50, 50)
    throttle.close()
    ends = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(end) for end in ends] == [Interrupted] * 2
    with pytest.raises(Interrupted):
        await throttle.acquire(1)

"""Requests wait for what is granted to their worker."""

from __future__ import annotations

import asyncio

import pytest

from persqa_client.errors import Interrupted
from persqa_client.ray.granted_throttle import GrantedThrottle


async def test_requests_wait_for_grants_and_retries_are_first() -> None:
    throttle, order = GrantedThrottle("2 requests per second", counts_tokens=False), list[str]()

    async def send(name: str, *, retry: bool = False) -> None:
        await throttle.acquire(100, retry=retry)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("one", "two"):
            tasks.create_task(send(name))
        await asyncio.sleep(0)
        tasks.create_task(send("retry", retry=True))
        await asyncio.sleep(0)
        assert throttle.take_wish() == 3
        throttle.grant(2)
        await asyncio.sleep(0)
        assert order == ["retry", "one"]
        assert throttle.take_wish() == 3, "one that waits, and as many as were sent"
        throttle.grant(1)
    assert order[-1] == "two"


async def test_tokens_are_corrected_by_what_was_used() -> None:
    throttle = GrantedThrottle("600 tokens per minute", counts_tokens=True)
    throttle.grant(100)
    await throttle.acquire(100)
    throttle.correct(-40)
    await throttle.acquire(40)
    throttle.correct(30)
    assert throttle.take_wish() == 170
    waiting = asyncio.ensure_future(throttle.acquire(10))
    await asyncio.sleep(0)
    throttle.grant(39)
    assert not waiting.done()
    throttle.grant(1)
    await waiting


async def test_a_request_that_is_cancelled_leaves_its_part() -> None:
    throttle = GrantedThrottle("1 request per second", counts_tokens=False)
    first, second = (asyncio.ensure_future(throttle.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    throttle.grant(1)
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert first.cancelled()


async def test_a_stop_ends_the_waiting() -> None:
    throttle = GrantedThrottle("1 request per second", counts_tokens=False)
    waiting = asyncio.ensure_future(throttle.acquire())
    await asyncio.sleep(0)
    throttle.close()
    for request in (waiting, throttle.acquire()):
        with pytest.raises(Interrupted):
            await request

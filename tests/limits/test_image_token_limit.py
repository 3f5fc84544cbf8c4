"""The limit on the tokens of new images on their way."""

from __future__ import annotations

import asyncio

from persqa_client.limits.concurrency import ImageTokenLimit


async def test_tokens_given_to_a_waiter_that_is_being_cancelled_are_released() -> None:
    limit = ImageTokenLimit(1)
    await limit.acquire(1, retry=False)
    waiting = asyncio.create_task(limit.acquire(1, retry=False))
    await asyncio.sleep(0)
    limit.release(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (waiting.cancelled(), limit.in_use) == (True, 0)


async def test_retries_come_first() -> None:
    limit, log = ImageTokenLimit(1), list[str]()

    async def enter(name: str) -> None:
        await limit.acquire(1, retry="again" in name)
        log.append(name)
        limit.release(1)

    await limit.acquire(1, retry=False)
    tasks = [asyncio.create_task(enter(name)) for name in ("new 1", "new 2", "again 1", "again 2")]
    await asyncio.sleep(0)
    limit.release(1)
    await asyncio.gather(*tasks)
    assert log == ["again 1", "again 2", "new 1", "new 2"]

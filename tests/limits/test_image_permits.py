"""Room for pictures on their way: who gets it, and that none of it is lost."""

from __future__ import annotations

import asyncio

from persqa_client.limits.concurrency import ImageTokenLimit


async def test_room_that_was_given_in_the_step_of_a_cancellation_comes_back() -> None:
    landing = ImageTokenLimit(1)
    await landing.enter(1, retry=False)
    waiting = asyncio.create_task(landing.enter(1, retry=False))
    await asyncio.sleep(0)
    landing.leave(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (waiting.cancelled(), landing.in_use) == (True, 0)


async def test_room_is_given_in_order_but_first_to_what_is_tried_again() -> None:
    landing, log = ImageTokenLimit(1), list[str]()

    async def enter(name: str) -> None:
        await landing.enter(1, retry="again" in name)
        log.append(name)
        landing.leave(1)

    await landing.enter(1, retry=False)
    tasks = [asyncio.create_task(enter(name)) for name in ("new 1", "new 2", "again 1", "again 2")]
    await asyncio.sleep(0)
    landing.leave(1)
    await asyncio.gather(*tasks)
    assert log == ["again 1", "again 2", "new 1", "new 2"]

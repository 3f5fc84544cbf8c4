"""The virtual clock: order and times of timers, timers that fire early, and loops that can never end."""

from __future__ import annotations

import asyncio

import pytest

from persqa_client.task_groups import loop_time
from tests.simulation.virtual_clock import Stuck, run_virtually


def test_idle_time_is_skipped_and_timers_keep_their_order() -> None:
    async def main() -> list[tuple[int, str]]:
        events: list[tuple[int, str]] = []

        async def wake(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            events.append((round(loop_time()), name))

        await asyncio.gather(wake(7200, "late"), wake(3600, "early"), wake(7200, "later"))
        return events

    assert run_virtually(main()) == [(3600, "early"), (7200, "late"), (7200, "later")]


def test_time_limits_follow_the_clock() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        return loop_time()

    assert run_virtually(main()) == pytest.approx(90, abs=0.01)


def test_timers_may_fire_early_as_those_of_uvloop() -> None:
    async def main() -> float:
        await asyncio.sleep(10)
        return loop_time()

    assert run_virtually(main(), early=0.0005) == pytest.approx(9.9995, abs=0.0001)


def test_work_for_a_thread_is_done_in_the_loop() -> None:
    async def main() -> list[int]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        return await asyncio.to_thread(sorted, [2, 1])

    assert run_virtually(main()) == [1, 2]


def test_a_loop_that_waits_for_nothing_is_stuck() -> None:
    async def main() -> None:
        await asyncio.sleep(5)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match=r"at 5\.000 s: everything waits"):
        run_virtually(main())


def test_a_loop_that_never_pauses_is_stuck() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="without a pause"):
        run_virtually(main())

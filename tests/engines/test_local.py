"""The engine starts what there is room for, gives outcomes as they come, and ends in the right way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from persqa_client.engines.local import Job, LocalEngine
from persqa_client.errors import Interrupted, RunStopped
from persqa_client.types import BadRow, Failure, Outcome, Row, TaskId


def jobs(count: int, weight: int = 1) -> Iterator[Job | None]:
    for number in range(1, count + 1):
        yield Job(Row(number, b"{}", ()), TaskId(number), weight)


class Answering:
    """Answers when it is let go; remembers how many were under way at once."""

    def __init__(self, errors: dict[int, BaseException] | None = None) -> None:
        self.errors = errors or {}
        self.go = asyncio.Event()
        self.started: list[int] = []
        self.under_way = 0
        self.most = 0

    async def __call__(self, row: Row | BadRow, unit: TaskId) -> Outcome:
        self.started.append(unit.row)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if unit.row in self.errors:
                raise self.errors[unit.row]
            await self.go.wait()
            return Failure(unit, "x", "x")
        finally:
            self.under_way -= 1


def engine(answering: Answering, *, most: int = 4, most_bytes: int = 100) -> LocalEngine:
    return LocalEngine(answering, most=lambda: most, most_bytes=most_bytes, on_stop=answering.go.set)


async def drain(engine: LocalEngine, count: int, weight: int = 1, room: int = 1000) -> list[int]:
    return [unit.task_id.row async for _, unit in engine.run(jobs(count, weight), lambda: room > 0)]


async def test_all_jobs_are_done_and_never_more_than_the_bound_at_once() -> None:
    answering = Answering()
    answering.go.set()
    assert sorted(await drain(engine(answering, most=4), 50)) == list(range(1, 51))
    assert answering.most <= 4


async def test_jobs_are_bounded_by_their_bytes_but_one_may_exceed_them_alone() -> None:
    answering = Answering()
    answering.go.set()
    assert sorted(await drain(engine(answering, most_bytes=10), 8, weight=25)) == list(range(1, 9))
    assert answering.most == 1


async def test_without_room_elsewhere_one_job_goes_on_after_the_other() -> None:
    answering = Answering()
    answering.go.set()
    assert await drain(engine(answering), 6, room=0) == [1, 2, 3, 4, 5, 6]
    assert answering.most == 1


async def test_jobs_are_drawn_only_as_there_is_room() -> None:
    answering = Answering()
    local = engine(answering, most=3)
    task = asyncio.create_task(drain(local, 10))
    await asyncio.sleep(0.01)
    assert answering.started == [1, 2, 3]
    answering.go.set()
    assert len(await task) == 10


async def test_a_stop_starts_nothing_more_and_lets_the_rest_finish() -> None:
    answering = Answering()
    local = engine(answering, most=3)
    task = asyncio.create_task(drain(local, 10))
    await asyncio.sleep(0.01)
    local.stop()
    assert sorted(await task) == [1, 2, 3]
    assert answering.started == [1, 2, 3]


async def test_an_abort_ends_what_is_under_way() -> None:
    answering = Answering()
    local = LocalEngine(answering, most=lambda: 3, most_bytes=100, on_stop=lambda: None)
    task = asyncio.create_task(drain(local, 10))
    await asyncio.sleep(0.01)
    local.stop()
    local.abort()
    assert await task == []
    assert answering.under_way == 0


async def test_interrupted_rows_have_no_outcome() -> None:
    answering = Answering({2: Interrupted()})
    answering.go.set()
    assert sorted(await drain(engine(answering), 3)) == [1, 3]


async def test_a_refused_run_still_gives_what_was_under_way_and_then_says_so() -> None:
    answering = Answering({2: RunStopped("wrong_key", "no")})
    local = engine(answering, most=3)
    given: list[int] = []

    async def collect() -> None:
        async for _, outcome in local.run(jobs(10), lambda: True):
            given.append(outcome.task_id.row)

    with pytest.raises(RunStopped):
        await collect()
    assert sorted(given) == [1, 3]
    assert answering.started == [1, 2, 3]


async def test_a_bug_ends_everything_at_once() -> None:
    answering = Answering({2: ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        await drain(engine(answering, most=3), 10)
    assert answering.under_way == 0


async def test_a_long_stretch_without_jobs_leaves_the_loop_its_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    answering = Answering()
    nothing: Iterator[Job | None] = iter([None] * 20)
    assert [outcome async for outcome in engine(answering).run(nothing, lambda: True)] == []
    counter.cancel()
    assert turns >= 20


async def test_a_job_that_turns_out_lighter_makes_room_for_others() -> None:
    answering = Answering()
    local = engine(answering, most_bytes=100)
    task = asyncio.create_task(drain(local, 6, weight=60))
    await asyncio.sleep(0.01)
    assert (answering.started, local.held) == ([1, 2], 120)
    local.lighten(TaskId(1), 10)
    await asyncio.sleep(0.01)
    assert (answering.started, local.held) == ([1, 2, 3], 130)
    for heavier in (10, 11, 60, 1000):
        local.lighten(TaskId(1), heavier)
    local.lighten(TaskId(99), 0)
    assert local.held == 130
    answering.go.set()
    assert sorted(await task) == [1, 2, 3, 4, 5, 6]
    assert local.held == 0


async def test_what_is_lightened_after_the_end_counts_no_more() -> None:
    answering = Answering()
    local = engine(answering)
    task = asyncio.create_task(drain(local, 2))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    local.lighten(TaskId(1), 0)
    assert local.alive == 0

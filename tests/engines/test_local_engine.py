"""The engine starts jobs within its limits, yields outcomes as they finish, and stops as asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from persqa_client.engines.engine import Job, SetWeight
from persqa_client.engines.local_engine import LocalEngine
from persqa_client.errors import Interrupted, RunStopped
from persqa_client.outcomes import Failure, Outcome
from persqa_client.types import BadRow, Row, TaskId


def make_jobs(count: int, weight: int = 1) -> Iterator[Job | None]:
    for number in range(1, count + 1):
        yield Job(Row(number, b"{}", ()), TaskId(number), weight)


class BlockingAnswers:
    """Answers once ``released`` is set. Rows in ``errors`` raise instead."""

    def __init__(self, errors: dict[int, BaseException] | None = None, *, released: bool = False) -> None:
        self.errors = errors or {}
        self.released = asyncio.Event()
        if released:
            self.released.set()
        self.started: list[int] = []
        self.set_weights: dict[int, SetWeight] = {}
        self.running = 0
        self.max_running = 0
        self.changed = asyncio.Condition()

    async def __call__(self, row: Row | BadRow, task_id: TaskId, set_weight: SetWeight) -> Outcome:
        self.started.append(task_id.row)
        self.set_weights[task_id.row] = set_weight
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        async with self.changed:
            self.changed.notify_all()
        try:
            if task_id.row in self.errors:
                raise self.errors[task_id.row]
            await self.released.wait()
            return Failure(task_id, "x", "x")
        finally:
            self.running -= 1

    async def wait_for_started(self, count: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: len(self.started) >= count)


def make_engine(answers: BlockingAnswers, *, max_jobs: int = 4, max_bytes: int = 100) -> LocalEngine:
    return LocalEngine(answers, max_jobs=lambda: max_jobs, max_bytes=max_bytes, on_stop=answers.released.set)


async def collect_rows(engine: LocalEngine, count: int, weight: int = 1, has_room: bool = True) -> list[int]:
    return [job.task_id.row async for job, _ in engine.run(make_jobs(count, weight), lambda: has_room)]


async def test_all_jobs_run_and_never_more_than_the_limit_at_once() -> None:
    answers = BlockingAnswers(released=True)
    assert sorted(await collect_rows(make_engine(answers, max_jobs=4), 50)) == list(range(1, 51))
    assert answers.max_running <= 4


async def test_a_job_knows_how_many_had_ended_when_it_began() -> None:
    engine = make_engine(BlockingAnswers(released=True), max_jobs=2)
    began = {job.task_id.row: (job.began, engine.ended) async for job, _ in engine.run(make_jobs(4), lambda: True)}
    assert began == {1: (0, 1), 2: (0, 2), 3: (1, 3), 4: (2, 4)}


async def test_bytes_are_limited_but_one_job_may_exceed_the_limit() -> None:
    answers = BlockingAnswers(released=True)
    assert sorted(await collect_rows(make_engine(answers, max_bytes=10), 8, weight=25)) == list(range(1, 9))
    assert answers.max_running == 1


async def test_without_room_jobs_run_one_after_the_other() -> None:
    answers = BlockingAnswers(released=True)
    assert await collect_rows(make_engine(answers), 6, has_room=False) == [1, 2, 3, 4, 5, 6]
    assert answers.max_running == 1


async def test_jobs_are_taken_only_while_there_is_room() -> None:
    answers = BlockingAnswers()
    taken: list[int] = []

    def jobs() -> Iterator[Job | None]:
        for job in make_jobs(10):
            assert job is not None
            taken.append(job.task_id.row)
            yield job

    async def run() -> int:
        return len([outcome async for outcome in make_engine(answers, max_jobs=3).run(jobs(), lambda: True)])

    task = asyncio.create_task(run())
    await answers.wait_for_started(3)
    assert taken == [1, 2, 3]
    answers.released.set()
    assert await task == 10


async def test_after_a_stop_no_job_starts_and_running_ones_finish() -> None:
    answers = BlockingAnswers()
    engine = make_engine(answers, max_jobs=3)
    task = asyncio.create_task(collect_rows(engine, 10))
    await answers.wait_for_started(3)
    engine.stop()
    assert sorted(await task) == [1, 2, 3]
    assert answers.started == [1, 2, 3]
    assert not engine.complete


async def test_an_abort_cancels_running_jobs() -> None:
    answers = BlockingAnswers()
    engine = LocalEngine(answers, max_jobs=lambda: 3, max_bytes=100, on_stop=lambda: None)
    task = asyncio.create_task(collect_rows(engine, 10))
    await answers.wait_for_started(3)
    engine.stop()
    engine.abort()
    assert await task == []
    assert answers.running == 0


async def test_interrupted_jobs_have_no_outcome() -> None:
    answers = BlockingAnswers({2: Interrupted()}, released=True)
    assert sorted(await collect_rows(make_engine(answers), 3)) == [1, 3]


async def test_run_stopped_is_raised_after_the_remaining_outcomes() -> None:
    answers = BlockingAnswers({2: RunStopped("wrong_key", "no")})
    engine = make_engine(answers, max_jobs=3)
    rows: list[int] = []

    async def collect() -> None:
        async for job, _ in engine.run(make_jobs(10), lambda: True):
            rows.append(job.task_id.row)

    with pytest.raises(RunStopped):
        await collect()
    assert sorted(rows) == [1, 3]
    assert answers.started == [1, 2, 3]


async def test_an_unexpected_exception_cancels_all_jobs_at_once() -> None:
    answers = BlockingAnswers({2: ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        await collect_rows(make_engine(answers, max_jobs=3), 10)
    assert answers.running == 0


async def test_other_tasks_run_while_no_job_comes() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    pauses: Iterator[Job | None] = iter([None] * 20)
    assert [outcome async for outcome in make_engine(BlockingAnswers()).run(pauses, lambda: True)] == []
    counter.cancel()
    assert turns >= 20


async def test_a_job_that_gets_lighter_makes_room_for_others() -> None:
    answers = BlockingAnswers()
    engine = make_engine(answers, max_bytes=100)
    task = asyncio.create_task(collect_rows(engine, 6, weight=60))
    await answers.wait_for_started(2)
    assert (answers.started, engine.held_bytes) == ([1, 2], 120)
    answers.set_weights[1](10)
    await answers.wait_for_started(3)
    assert (answers.started, engine.held_bytes) == ([1, 2, 3], 130)
    for no_lighter in (10, 11, 60, 1000):
        answers.set_weights[1](no_lighter)
    assert engine.held_bytes == 130
    answers.released.set()
    assert sorted(await task) == [1, 2, 3, 4, 5, 6]
    assert engine.held_bytes == 0


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_weight_set_after_the_job_has_ended_is_ignored(cancelled: bool) -> None:
    answers = BlockingAnswers()
    engine = make_engine(answers)
    task = asyncio.create_task(collect_rows(engine, 2))
    await answers.wait_for_started(2)
    if cancelled:
        task.cancel()
    answers.released.set()
    await asyncio.gather(task, return_exceptions=True)
    answers.set_weights[1](0)
    assert (engine.running, engine.held_bytes) == (0, 0)

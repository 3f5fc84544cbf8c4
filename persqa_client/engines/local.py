"""Rows at once on one event loop: starts as many as there is room for, gives outcomes as they come. Schedules only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from persqa_client.errors import Interrupted, RunStopped
from persqa_client.types import BadRow, Outcome, Row, TaskId

GRACE = 30.0
"""Seconds that requests under way get to finish once the run is asked to stop: what service managers allow."""


AHEAD = 64
"""Jobs that are prepared while others wait for answers: each holds its pictures, and more of them gain nothing, because
a slot that becomes free needs but one."""


@dataclass(frozen=True, slots=True)
class Job:
    """One unit to be answered. ``weight`` is what it holds in memory meanwhile, in bytes, or may come to hold."""

    row: Row | BadRow
    task_id: TaskId
    weight: int


def task_limit(slots: int) -> int:
    """How many jobs are started so that none of so many slots waits for a picture."""
    return slots + min(slots, AHEAD) + 16


AnswerFunction = Callable[[Row | BadRow, TaskId], Coroutine[Any, Any, Outcome]]
Settled = tuple[Job, Outcome]


class LocalEngine:
    """Runs jobs as tasks. ``alive`` and ``held`` are how many there are and how many bytes they hold."""

    def __init__(
        self, answer: AnswerFunction, *, most: Callable[[], int], most_bytes: int, on_stop: Callable[[], None]
    ) -> None:
        self._answer = answer
        self._most = most
        self._most_bytes = most_bytes
        self._on_stop = on_stop
        self._tasks: dict[asyncio.Task[Outcome], Job] = {}
        self._weights: dict[TaskId, int] = {}
        self._ended: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()
        """Also a None where there is room again though none has ended."""
        self._stopped = False
        self._refusal: RunStopped | None = None
        self._exhausted = False
        self._cut = 0
        self.held = 0

    @property
    def alive(self) -> int:
        return len(self._tasks)

    @property
    def stopping(self) -> bool:
        return self._stopped

    @property
    def complete(self) -> bool:
        """Whether every job was drawn and came to its outcome, a stop or not."""
        return self._exhausted and self._cut == 0

    def stop(self) -> None:
        """Starts nothing more; what is under way may finish within GRACE seconds."""
        if not self._stopped:
            self._stopped = True
            self._on_stop()
            asyncio.get_running_loop().call_later(GRACE, self.abort)

    def abort(self) -> None:
        """Ends what is under way at once; it keeps its place and runs next time."""
        for task in self._tasks:
            task.cancel()

    async def run(self, jobs: Iterator[Job | None], has_room: Callable[[], bool]) -> AsyncIterator[Settled]:
        """Outcomes in the order in which they come.

        ``jobs`` is drawn from only while there is room; a None in it is a breath for the loop. What is answered when
        the endpoint refuses the run is still given, then RunStopped is raised. A bug ends everything at once.
        """
        try:
            while await self._start(jobs, has_room) or self._tasks:
                if (task := await self._ended.get()) is None:
                    continue
                job = self._tasks.pop(task)
                self.held -= self._weights.pop(job.task_id)
                if (outcome := self._outcome(task)) is not None:
                    yield job, outcome
        finally:
            await self._end_all()
        if self._refusal is not None:
            raise self._refusal

    async def _start(self, jobs: Iterator[Job | None], has_room: Callable[[], bool]) -> bool:
        """Starts jobs while there is room. Whether anything is under way afterwards."""
        while not self._stopped and (not self._tasks or (self._has_room() and has_room())):
            try:
                job = next(jobs)
            except StopIteration:
                self._exhausted = True
                break
            if job is None:
                await asyncio.sleep(0)
                continue
            task = asyncio.create_task(self._answer(job.row, job.task_id))
            self._tasks[task] = job
            self._weights[job.task_id] = job.weight
            self.held += job.weight
            task.add_done_callback(self._ended.put_nowait)
        return bool(self._tasks)

    def lighten(self, unit: TaskId, weight: int) -> None:
        """Says what a job holds in truth, where that is less than it was said to: more may be started then."""
        spared = self._weights.get(unit, 0) - weight
        if spared <= 0:
            return
        was_full = self.held >= self._most_bytes
        self._weights[unit] = weight
        self.held -= spared
        if was_full:
            self._ended.put_nowait(None)

    def _has_room(self) -> bool:
        return len(self._tasks) < self._most() and self.held < self._most_bytes

    def _outcome(self, task: asyncio.Task[Outcome]) -> Outcome | None:
        try:
            return task.result()
        except (asyncio.CancelledError, Interrupted):
            pass
        except RunStopped as refusal:
            self.refuse(refusal)
        self._cut += 1
        return None

    def refuse(self, refusal: RunStopped) -> None:
        """The endpoint refuses the run: starts nothing more, and ``run`` ends with this."""
        self._refusal = self._refusal or refusal
        self.stop()

    async def _end_all(self) -> None:
        tasks = list(self._tasks)
        self.abort()
        self._tasks.clear()
        self._weights.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

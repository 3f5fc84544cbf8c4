"""Runs jobs concurrently on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial

from persqa_client.engines.engine import AnswerFunction, Job
from persqa_client.errors import Interrupted, RunStopped
from persqa_client.outcomes import Outcome
from persqa_client.task_groups import loop_time

# Time for running jobs to finish after a stop, in seconds; service managers kill a process after a similar time.
STOP_TIMEOUT = 30.0
# Upper bound of jobs that prepare images while others wait for answers. Prepared images use memory, and one is enough
# for each free permit.
MAX_PREPARED = 64
# Maximum number of additional jobs that run while others wait before a retry.
MAX_BACKING_OFF = 4096
POLL_INTERVAL = 0.1


def task_limit(permits: int, backing_off: int = 0) -> int:
    """Number of jobs to run so that images are always ready for ``permits`` requests.

    ``backing_off``: requests that wait before a retry, and hold no permit.
    """
    return permits + min(permits, MAX_PREPARED) + 16 + min(backing_off, MAX_BACKING_OFF)


class LocalEngine:
    """Runs jobs concurrently within the permits and ``max_bytes``. One job may always run, even beyond ``max_bytes``.

    ``answer`` calls ``set_weight`` with the job's real size; if it is smaller than the estimate, more jobs can start.
    """

    def __init__(
        self, answer: AnswerFunction, *, max_jobs: Callable[[], int], max_bytes: int, on_stop: Callable[[], None]
    ) -> None:
        self._answer = answer
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._on_stop = on_stop
        self._jobs: dict[asyncio.Task[Outcome], Job] = {}
        # None wakes the loop because memory was freed, without a finished task.
        self._finished: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()
        self._timer: asyncio.TimerHandle
        self._stop_error: RunStopped | None = None
        self.all_started = False
        self._unanswered = 0
        # Number of jobs with an outcome.
        self.ended = 0
        # Whether the images of a job could be loaded.
        self.has_loaded = False
        self.stopping = False
        self.held_bytes = 0

    @property
    def running(self) -> int:
        return len(self._jobs)

    @property
    def oldest(self) -> Job | None:
        return min(self._jobs.values(), key=lambda job: job.task_id.row, default=None)

    @property
    def complete(self) -> bool:
        return self.all_started and self._unanswered == 0

    def stop(self) -> None:
        """Starts no more jobs, and aborts the running ones after ``STOP_TIMEOUT`` seconds."""
        if not self.stopping:
            self.stopping = True
            self._on_stop()
            asyncio.get_running_loop().call_later(STOP_TIMEOUT, self.abort)

    def stop_with(self, error: RunStopped) -> None:
        self._stop_error = self._stop_error or error
        self.stop()

    def abort(self) -> None:
        for task in self._jobs:
            task.cancel()

    async def run(
        self, jobs: Iterator[Job | None], has_room: Callable[[], bool]
    ) -> AsyncGenerator[tuple[Job, Outcome], None]:
        """Yields finished jobs with their outcomes.

        A None in ``jobs`` yields to the event loop. RunStopped from an answer is raised after the remaining outcomes;
        other exceptions cancel the running jobs.
        """
        self._timer = asyncio.get_running_loop().call_later(POLL_INTERVAL, self._poll)
        try:
            while await self._start_jobs(jobs, has_room) or self._jobs:
                task = await self._finished.get()
                if task is None:
                    continue
                job = self._jobs.pop(task)
                self.held_bytes -= job.weight
                job.weight = 0
                try:
                    outcome = task.result()
                except (asyncio.CancelledError, Interrupted):
                    self._unanswered += 1
                except RunStopped as error:
                    self._unanswered += 1
                    self.stop_with(error)
                else:
                    self.ended += 1
                    yield job, outcome
        finally:
            self._timer.cancel()
            await self._cancel_all()
        if self._stop_error is not None:
            raise self._stop_error

    def _poll(self) -> None:
        """Wakes the loop: jobs may start when permits are added or a job waits for a retry, even if no job finishes."""
        if not self.stopping and not self.all_started:
            self._finished.put_nowait(None)
            self._timer = asyncio.get_running_loop().call_later(POLL_INTERVAL, self._poll)

    async def _start_jobs(self, jobs: Iterator[Job | None], has_room: Callable[[], bool]) -> bool:
        max_jobs = self._max_jobs()
        while not self.stopping and (
            not self._jobs or (len(self._jobs) < max_jobs and self.held_bytes < self._max_bytes and has_room())
        ):
            try:
                job = next(jobs)
            except StopIteration:
                self.all_started = True
                break
            if job is None:
                await asyncio.sleep(0)
                max_jobs = self._max_jobs()
                continue
            job.began, job.began_at = self.ended, loop_time()
            task = asyncio.create_task(self._answer(job.row, job.task_id, partial(self._handle_loaded, job)))
            self._jobs[task] = job
            self.held_bytes += job.weight
            task.add_done_callback(self._finished.put_nowait)
        return bool(self._jobs)

    def _handle_loaded(self, job: Job, weight: int) -> None:
        """Only lowers the weight; a finished job has weight 0."""
        self.has_loaded = True
        freed = job.weight - weight
        if freed <= 0:
            return
        was_full = self.held_bytes >= self._max_bytes
        job.weight = weight
        self.held_bytes -= freed
        if was_full:
            self._finished.put_nowait(None)

    async def _cancel_all(self) -> None:
        self.abort()
        tasks = list(self._jobs)
        for job in self._jobs.values():
            job.weight = 0
        self._jobs.clear()
        self.held_bytes = 0
        await asyncio.gather(*tasks, return_exceptions=True)

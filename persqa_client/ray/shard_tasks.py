"""Works on the shards of a run by tasks of Ray, a few at a time."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from persqa_client import __version__
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.shards import Shard
from persqa_client.ray.cluster import Cluster, Node, choose_node, describe_ray_error
from persqa_client.ray.coordinator import Coordinator, JobState
from persqa_client.ray.reports import ShardEnd
from persqa_client.ray.shard_files import shard_output
from persqa_client.ray.worker import SHARED, ShardTask, run_shard
from persqa_client.run.settings import RunSettings
from persqa_client.storage.checkpoint import FinishedRun, read_run_file
from persqa_client.storage.run_files import RunFiles

# Seconds between looks at the state of the shards, and at the nodes of the cluster.
LOOK_INTERVAL, NODES_INTERVAL = 0.5, 5.0
# Seconds without a worker that are worth a word; the first one starts in about five.
NOTICED_WAIT = 20.0
# Starts of a shard without a new outcome, after which the run stops: its worker dies each time.
MAX_STARTS = 6
# Looks until a shard whose worker was lost goes on; twice as many after each further loss without a new outcome.
FIRST_REST = 2
# Stops by the user after which nothing is waited for.
ABANDON = 3


class Job(Protocol):
    """The run whose shards these are."""

    settings: RunSettings
    progress: RunProgress

    @property
    def output(self) -> Path: ...

    @property
    def workers(self) -> int | None:
        """How many shards are worked on at once; None for one on each node."""
        ...

    @property
    def stops(self) -> int:
        """How often the user has asked to stop."""
        ...

    def make_task(self, shard: Shard) -> ShardTask: ...

    def follow(self, state: JobState, earlier: Mapping[Shard, FinishedRun]) -> None:
        """Gets the state of the shards. ``earlier``: as earlier starts have left them."""
        ...

    def warn(self, message: str) -> None: ...

    def check_budget(self) -> RunStopped | None: ...


@dataclass(slots=True)
class Work:
    """The shards of a run, by what is left to do."""

    total: int
    # Finished before this start, or by it.
    finished: dict[Path, FinishedRun] = field(default_factory=dict)
    waiting: deque[Shard] = field(default_factory=deque)
    # What earlier starts have done, also of unfinished shards.
    earlier: dict[Shard, FinishedRun] = field(default_factory=dict)
    ends: list[ShardEnd] = field(default_factory=list)
    error: Exception | None = None


@dataclass(slots=True)
class Losses:
    """How many workers of a shard have died since its last new outcome."""

    count: int = 0
    # Outcomes at the last death.
    done: int = -1

    def add(self, done: int) -> int:
        """
        >>> losses = Losses()
        >>> [losses.add(done) for done in (-1, 0, 0, 0, 7)]
        [1, 1, 2, 3, 1]
        """
        self.count = self.count + 1 if done == self.done else 1
        self.done = done
        return self.count


class ShardTasks:
    """Starts a task for each shard, a few at a time, and waits for them."""

    def __init__(self, job: Job, cluster: Cluster, work: Work, look_interval: float = LOOK_INTERVAL) -> None:
        self._job = job
        self._cluster = cluster
        self._work = work
        self._interval = look_interval
        self._coordinator: Any = cluster.start_actor(Coordinator, job.settings.limits, len(job.settings.endpoints))
        self._running: dict[asyncio.Future[Any], tuple[Shard, str, Any]] = {}
        self._nodes: list[Node] = []
        self._nodes_at = float("-inf")
        self._stops_sent = 0
        self._state = JobState()
        self._losses: dict[Shard, Losses] = {}
        # Shards of lost workers, with the time when they go on.
        self._resting: dict[Shard, float] = {}

    async def run(self) -> None:
        self._job.progress.phase = "Starting the workers"
        self._job.progress.spending.began = monotonic()
        try:
            while self._has_work():
                await self._start_tasks()
                await self._wait()
                await self._look()
        except Exception as error:
            # The coordinator is lost, for example. Without it, the workers stop.
            explained = self._cluster.explain(error)
            if explained is error:
                raise
            self._work.error = self._work.error or explained

    def _has_work(self) -> bool:
        if self._job.stops >= ABANDON:
            return False
        return bool(self._running) or bool((self._work.waiting or self._resting) and not self._is_stopping)

    @property
    def _is_stopping(self) -> bool:
        return self._job.stops > 0 or self._work.error is not None

    async def _start_tasks(self) -> None:
        for shard in [each for each, until in self._resting.items() if monotonic() >= until]:
            del self._resting[shard]
            self._work.waiting.appendleft(shard)
        now = asyncio.get_running_loop().time()
        if now >= self._nodes_at + NODES_INTERVAL or not self._nodes:
            self._nodes, self._nodes_at = await asyncio.to_thread(self._cluster.list_nodes), now
        while self._work.waiting and self._nodes and not self._is_stopping:
            if len(self._running) >= self._count_workers():
                return
            tasks = Counter(node for _, node, _ in self._running.values())
            node = choose_node({each.id: tasks[each.id] for each in self._nodes}, self._cluster.own_node)
            shard = self._work.waiting.popleft()
            reference, future = self._cluster.start_task(
                run_shard,
                shard,
                __version__,
                pickle.dumps(self._job.make_task(shard)),
                self._coordinator,
                node=node,
                name=f"persqa shard {shard}",
            )
            # If the run ends before the task, nothing else looks at its error.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._running[future] = shard, node, reference

    def _count_workers(self) -> int:
        """No more than there are requests at once, since a worker without a permit does nothing."""
        limits, endpoints = self._job.settings.limits, self._job.settings.endpoints
        return min(self._job.workers or len(self._nodes), limits.concurrency_cap * len(endpoints))

    async def _wait(self) -> None:
        if not self._running:
            await asyncio.sleep(self._interval)
            return
        ended, _ = await asyncio.wait(self._running, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
        for future in ended:
            self._take(future)

    def _take(self, future: asyncio.Future[Any]) -> None:
        shard, _, _ = self._running.pop(future)
        try:
            end: ShardEnd = future.result()
        except Exception as error:
            if not self._is_stopping:
                self._record_failure(shard, error)
            return
        self._work.ends.append(end)
        if (reason := end.make_error()) is not None:
            self._work.error = self._work.error or reason
        elif not end.is_finished:
            if not self._is_stopping:
                # Its worker did not reach the coordinator for a moment.
                self._work.waiting.append(shard)
        else:
            files = RunFiles.for_output(shard_output(self._job.output, shard))
            finished = read_run_file(files)
            if finished is None:
                lack = f"{files.run} is not there, although the work on shard {shard} has ended. {SHARED}."
                self._work.error = self._work.error or SettingsError(lack)
                return
            self._work.finished[files.output] = finished

    def _record_failure(self, shard: Shard, error: Exception) -> None:
        """The work on the shard begins again if its worker or node is lost."""
        if not self._cluster.is_loss(error):
            self._work.error = self._cluster.explain(error)
            return
        reason = describe_ray_error(error)
        self._job.warn(f"The worker of shard {shard} is lost ({reason}). Another one continues the shard.")
        report = self._state.latest.get(shard)
        losses = self._losses.setdefault(shard, Losses())
        if (count := losses.add(-1 if report is None else report.done)) < MAX_STARTS:
            self._resting[shard] = monotonic() + FIRST_REST * self._interval * 2 ** (count - 1)
            return
        self._work.error = RunStopped(
            "worker_dies",
            f"The worker of shard {shard} has died {MAX_STARTS} times without a new answer. Ray's logs on its node say "
            f"why, for example too little memory (lower --max-inflight-mb). Ray reports: {reason}.",
        )

    async def _look(self) -> None:
        state: JobState = await self._coordinator.look.remote()
        self._state = state
        self._job.follow(state, self._work.earlier)
        if not state.latest and monotonic() > self._job.progress.spending.began + NOTICED_WAIT:
            self._job.progress.phase = "Waiting for a worker; each needs a free CPU in the Ray cluster"
        if self._work.error is None:
            self._work.error = self._job.check_budget()
        stops = max(self._job.stops, 1 if self._work.error is not None else 0)
        if stops > self._stops_sent:
            self._stops_sent = stops
            await self._coordinator.stop.remote(stops)
            for shard, _, reference in self._running.values():
                if shard not in state.latest:
                    self._cluster.cancel(reference)

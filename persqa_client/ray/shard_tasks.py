"""Works on the shards of a run by tasks of Ray, a few at a time."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from persqa_client import __version__
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import MaskedError, RunStopped
from persqa_client.inputs.shards import Shard
from persqa_client.ray.cluster import Cluster, Node, choose_node
from persqa_client.ray.coordinator import Coordinator, JobState
from persqa_client.ray.reports import ShardEnd
from persqa_client.ray.shard_files import shard_output
from persqa_client.ray.worker import ShardTask, run_shard
from persqa_client.run.settings import RunSettings
from persqa_client.storage.checkpoint import FinishedRun, read_run_file
from persqa_client.storage.run_files import RunFiles

# Seconds between looks at the state of the shards, and at the nodes of the cluster.
LOOK_INTERVAL, NODES_INTERVAL = 0.5, 5.0
# Seconds without a worker that are worth a word; the first one starts in about five.
NOTICED_WAIT = 20.0
# Starts of a shard without a new outcome, after which the run stops: its worker dies each time.
MAX_STARTS = 6
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

    def follow(self, state: JobState, earlier: dict[Path, FinishedRun]) -> None:
        """Gets the state of the shards. ``earlier``: those that were finished before."""
        ...

    def check_budget(self) -> RunStopped | None: ...


@dataclass(slots=True)
class Work:
    """The shards of a run, by what is left to do."""

    total: int
    # Finished before this start, or by it.
    finished: dict[Path, FinishedRun] = field(default_factory=dict)
    waiting: deque[Shard] = field(default_factory=deque)
    ends: list[ShardEnd] = field(default_factory=list)
    error: Exception | None = None


class ShardTasks:
    """Starts a task for each shard, a few at a time, and waits for them."""

    def __init__(self, job: Job, cluster: Cluster, work: Work) -> None:
        self._job = job
        self._cluster = cluster
        self._work = work
        self._coordinator: Any = cluster.start_actor(Coordinator, job.settings.limits, len(job.settings.endpoints))
        self._running: dict[asyncio.Future[Any], tuple[Shard, str, Any]] = {}
        self._nodes: list[Node] = []
        self._nodes_at = float("-inf")
        self._stops_sent = 0
        # Finished before the tasks, whose reports have the counts of the others.
        self._earlier = dict(work.finished)

    async def run(self) -> None:
        self._job.progress.phase = "Starting the workers"
        self._job.progress.spending.began = monotonic()
        while self._has_work():
            await self._start_tasks()
            await self._wait()
            await self._look()

    def _has_work(self) -> bool:
        if self._job.stops >= ABANDON:
            return False
        return bool(self._running) or bool(self._work.waiting and not self._is_stopping)

    @property
    def _is_stopping(self) -> bool:
        return self._job.stops > 0 or self._work.error is not None

    async def _start_tasks(self) -> None:
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
            self._running[future] = shard, node, reference

    def _count_workers(self) -> int:
        """No more than there are requests at once, since a worker without a permit does nothing."""
        limits, endpoints = self._job.settings.limits, self._job.settings.endpoints
        return min(self._job.workers or len(self._nodes), limits.concurrency_cap * len(endpoints))

    async def _wait(self) -> None:
        if not self._running:
            await asyncio.sleep(LOOK_INTERVAL)
            return
        ended, _ = await asyncio.wait(self._running, timeout=LOOK_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
        for future in ended:
            self._take(future)

    def _take(self, future: asyncio.Future[Any]) -> None:
        shard, _, _ = self._running.pop(future)
        try:
            end: ShardEnd = future.result()
        except Exception as error:
            if not self._is_stopping:
                self._work.error = self._cluster.explain(error)
            return
        self._work.ends.append(end)
        if (reason := end.make_error()) is not None:
            self._work.error = self._work.error or reason
        elif end.is_finished:
            output = shard_output(self._job.output, shard)
            finished = read_run_file(RunFiles.for_output(output))
            assert finished is not None
            self._work.finished[output] = finished

    async def _look(self) -> None:
        state: JobState = await self._coordinator.look.remote()
        self._job.follow(state, self._earlier)
        if not state.latest and monotonic() > self._job.progress.spending.began + NOTICED_WAIT:
            self._job.progress.phase = "Waiting for a worker; each needs a free CPU in the Ray cluster"
        if self._work.error is None:
            self._work.error = self._job.check_budget() or find_dying_shard(state)
        stops = max(self._job.stops, 1 if self._work.error is not None else 0)
        if stops > self._stops_sent:
            self._stops_sent = stops
            await self._coordinator.stop.remote(stops)
            for shard, _, reference in self._running.values():
                if shard not in state.latest:
                    self._cluster.cancel(reference)


def find_dying_shard(state: JobState) -> MaskedError | None:
    for shard, workers in state.workers.items():
        if len(workers) > MAX_STARTS and state.latest[shard].done == state.latest[shard].earlier:
            return RunStopped(
                "worker_dies",
                f"The worker of shard {shard} has died {MAX_STARTS} times without a new answer. Ray's logs on its node "
                "say why, for example too little memory (lower --max-inflight-mb).",
            )
    return None

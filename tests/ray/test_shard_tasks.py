"""What the driver does when a worker, its node or the coordinator is lost. A stand-in takes the place of Ray."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persqa_client.config import Endpoint
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import RunStopped
from persqa_client.inputs.shards import Shard
from persqa_client.ray.cluster import Node
from persqa_client.ray.coordinator import JobState
from persqa_client.ray.reports import ShardEnd
from persqa_client.ray.shard_tasks import MAX_STARTS, ShardTasks, Work
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.storage.checkpoint import FinishedRun
from tests.ray.test_reports import SHARD, make_report

STOP = ShardEnd(SHARD, error="RunStopped", code="wrong_key", message="The key is refused.")


class WorkerLost(Exception):
    pass


class CoordinatorLost(Exception):
    pass


@dataclass
class Job:
    settings: RunSettings
    progress: RunProgress = field(default_factory=RunProgress)
    output: Path = Path("qa.jsonl")
    workers: int | None = 1
    stops: int = 0
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def make_task(self, shard: Shard) -> Any:
        return shard

    def follow(self, state: JobState, earlier: Mapping[Shard, FinishedRun]) -> None:
        pass

    def check_budget(self) -> RunStopped | None:
        return None


class PlayedCluster:
    """Its tasks end at once, as ``ends`` says: with a result or an error. Afterwards a worker reports ``done``."""

    own_node = "a"

    def __init__(self, ends: Iterator[ShardEnd | Exception], count_done: Callable[[int], int]) -> None:
        self.ends = ends
        self.count_done = count_done
        self.starts = 0
        self.is_lost = False

    @property
    def look(self) -> PlayedCluster:
        return self

    stop = look

    async def remote(self, *arguments: object) -> JobState:
        if self.is_lost:
            raise CoordinatorLost
        return JobState({SHARD: make_report(done=self.count_done(self.starts))} if self.starts else {})

    def start_actor(self, kind: type, *arguments: object) -> Any:
        return self

    def list_nodes(self) -> list[Node]:
        return [Node("a", "a")]

    def start_task(self, *arguments: object, **options: object) -> tuple[Any, asyncio.Future[Any]]:
        self.starts += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        end = next(self.ends)
        if isinstance(end, Exception):
            future.set_exception(end)
        else:
            future.set_result(end)
        return None, future

    def is_loss(self, error: Exception) -> bool:
        return isinstance(error, WorkerLost)

    def explain(self, error: Exception) -> Exception:
        return RunStopped("cluster_lost", "lost") if isinstance(error, CoordinatorLost) else error


async def work_on(cluster: PlayedCluster, warnings: list[str] | None = None) -> Work:
    settings = make_run_settings([Endpoint(base_url="http://127.0.0.1:9/v1", model="m")], {}, output="qa.jsonl")
    work = Work(1, waiting=deque([SHARD]))
    job = Job(settings, warnings=[] if warnings is None else warnings)
    tasks = ShardTasks(job, cluster, work, look_interval=0.001)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await tasks.run()
    return work


async def test_a_worker_that_dies_again_and_again_stops_the_run() -> None:
    """Also if it never reports: as where its Python lacks memory to start."""
    cluster = PlayedCluster(iter([WorkerLost("out of memory")] * 100), lambda starts: -1)
    work = await work_on(cluster)
    assert isinstance(work.error, RunStopped)
    assert (work.error.code, cluster.starts) == ("worker_dies", MAX_STARTS)
    assert "Ray reports: out of memory." in str(work.error)


async def test_a_shard_may_lose_many_workers_that_stored_answers() -> None:
    losses = 2 * MAX_STARTS
    cluster = PlayedCluster(iter([*[WorkerLost("It died")] * losses, STOP]), lambda starts: starts)
    warnings: list[str] = []
    work = await work_on(cluster, warnings)
    assert warnings == ["The worker of shard 2/3 is lost (It died). Another one continues the shard."] * losses
    assert cluster.starts == losses + 1
    assert str(work.error) == STOP.message


async def test_a_worker_that_ended_although_nobody_stopped_it_goes_on() -> None:
    """It was cut off from the coordinator for a moment."""
    cluster = PlayedCluster(iter([ShardEnd(SHARD), STOP]), lambda starts: starts)
    work = await work_on(cluster)
    assert (cluster.starts, str(work.error)) == (2, STOP.message)


async def test_the_loss_of_the_coordinator_stops_the_run() -> None:
    cluster = PlayedCluster(iter([ShardEnd(SHARD)]), lambda starts: starts)
    cluster.is_lost = True
    work = await work_on(cluster)
    assert isinstance(work.error, RunStopped)
    assert work.error.code == "cluster_lost"

"""A run whose shards are worked on in a Ray cluster, and whose results are merged into one output."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from persqa_client.config import Limits
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.engines.budget import check_budget
from persqa_client.engines.row_waits import RowWait
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.shards import Shard
from persqa_client.inputs.sources import Source
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Outcome
from persqa_client.ray.cluster import Cluster, discard_ray_messages
from persqa_client.ray.coordinator import JobState
from persqa_client.ray.reports import ShardReport, add_endpoints, add_reports, join_texts, name_final_limits
from persqa_client.ray.shard_files import (
    choose_shards,
    find_begun_shards,
    is_merge_of,
    list_shards,
    read_merged,
    shard_output,
)
from persqa_client.ray.shard_tasks import ShardTasks, Work
from persqa_client.ray.worker import ShardTask, open_shard_input
from persqa_client.run.compose import ignore_warning
from persqa_client.run.merge import MergeReport, merge_runs
from persqa_client.run.pacing import announce_pace
from persqa_client.run.run import Run
from persqa_client.run.run_input import listing_identity, refuse_output_as_input
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import RunState, Summary
from persqa_client.storage.checkpoint import FinishedRun, hide_identity, read_checkpoint, read_run_file
from persqa_client.storage.journal import read_journal
from persqa_client.storage.numbered_files import find_free_number, keep_numbered, number_files
from persqa_client.storage.recovery import check_settings_unchanged
from persqa_client.storage.run_files import RunFiles, RunInUse, RunLock
from persqa_client.storage.tally import Tally
from persqa_client.types import TaskId


@dataclass(frozen=True, slots=True)
class RayOptions:
    """``shards`` and ``workers`` None: by the nodes of the cluster. ``inputs``: as given."""

    inputs: tuple[str, ...]
    address: str | None = None
    shards: int | None = None
    workers: int | None = None
    merges: bool = True


class ClusterPool(Pool):
    """Sums of the reports of the workers about their pools."""

    def __init__(self) -> None:
        super().__init__(())
        self.reports: Sequence[ShardReport] = ()

    @property
    def traffic(self) -> TrafficCounts:
        total = TrafficCounts()
        for report in self.reports:
            total.merge(report.traffic)
        return total

    @property
    def in_use(self) -> int:
        return sum(report.traffic.in_flight for report in self.reports)

    @property
    def permits(self) -> int:
        return sum(report.permits for report in self.reports if not report.has_ended)


class RayRun(Run):
    """Stands for all shards: its progress is theirs together, and its output is their merge.

    A shard is an ordinary run with files of its own, so what holds for the journal and for resuming holds here. A task
    of Ray works on one shard from its start to its end, and no row passes through Ray.
    """

    def __init__(
        self,
        settings: RunSettings,
        source: Source,
        options: RayOptions,
        *,
        warn: Callable[[str], None] = ignore_warning,
    ) -> None:
        super().__init__(settings, source, warn=warn)
        assert settings.output is not None
        self.output = settings.output
        # File by which workers check that they see the folder of the output.
        self._marker = self.output.with_name(f".{self.output.name}.ray")
        self._options = options
        self._pool = ClusterPool()
        self._mark = uuid.uuid4().hex
        self._stops = 0
        self._told: set[str] = set()
        self.progress.find_wait = self._find_wait
        self._reports: Sequence[ShardReport] = ()
        self._permits: Sequence[int] = ()

    @property
    def pool(self) -> Pool:
        return self._pool

    def stop(self) -> None:
        self._stops += 1

    async def execute(self) -> Summary:
        self._started_at = self._clock()
        for warning in (*self.plan.warnings(), *announce_pace(self.settings), *self.source.warnings()):
            self._warn(warning)
            self._told.add(warning)  # the workers find the same
        files = RunFiles.for_output(self.output)
        refuse_output_as_input(self.source, files)
        with self._hold_output(files):
            merged = read_merged(files)
            begun = find_begun_shards(self.output)
            if begun is not None:
                choose_shards(self._options.shards, begun, 1, self.output)
            if merged is not None and begun is None:
                return self._use_merge_alone(files)
            work = None if begun is None else await asyncio.to_thread(self._find_work, begun)
            if work is not None and work.waiting:
                self.follow(JobState(), work.earlier)
                if (reached := self.check_budget()) is not None:
                    raise reached
            if work is None or work.waiting:
                # Ray prints the last of them when it is closed.
                with discard_ray_messages():
                    work = await self._work_in_cluster(work)
        if work.error is not None:
            self.summary = self._summarize(work, "interrupted")
            raise work.error
        if len(work.finished) < work.total:
            self.summary = self._summarize(work, "interrupted")
            return self.summary
        if not self._options.merges:
            self.summary = self._summarize(work, "finished" if work.ends else "already")
            return self.summary
        if merged is not None and is_merge_of(merged, work.finished):
            return self._summarize_earlier(files)
        report = await asyncio.to_thread(self._merge, files, work, is_again=merged is not None)
        self.summary = self._summarize(work, "finished", report)
        return self.summary

    @contextmanager
    def _hold_output(self, files: RunFiles) -> Iterator[None]:
        """Prevents a second start with this output."""
        files.prepare()
        lock = RunLock(files)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _settings_of(self, shard: Shard) -> RunSettings:
        """The budget is that of all shards together, so none has one."""
        budget = dict.fromkeys(("max_tokens_total", "max_cost", "max_failures", "max_wall"))
        limits: Limits = self.settings.limits.model_copy(update=budget)
        changes = {"output": shard_output(self.output, shard), "shard": shard, "limits": limits}
        return self.settings.model_copy(update=changes)

    def _find_work(self, total: int) -> Work:
        """Opens the shards that are finished, to see whether rows were added, or failed ones are to be asked again."""
        work = Work(total)
        for shard in list_shards(total):
            settings = self._settings_of(shard)
            assert settings.output is not None
            files = RunFiles.for_output(settings.output)
            finished = self._find_finished(settings, files)
            if finished is None:
                work.waiting.append(shard)
            else:
                work.finished[files.output] = finished
            if (earlier := finished or self._find_begun(files)) is not None:
                work.earlier[shard] = earlier
        return work

    def _find_begun(self, files: RunFiles) -> FinishedRun | None:
        """What earlier starts have done of an unfinished shard, which counts for the budget before the shard goes on.
        None if it is processed again: only the reports of its worker show what that has used.
        """
        checkpoint = read_checkpoint(files)
        if checkpoint is None:
            return None if self.settings.retry_failed else read_run_file(files)
        if checkpoint.mode != "run":
            return None
        run = checkpoint.to_finished_run()
        tally, later = Tally.from_json(run.tally), dict[TaskId, Outcome]()
        with suppress(SettingsError):  # a process that lost its driver may still write the shard
            later = {entry.outcome.task_id: entry.outcome for entry in read_journal(files, checkpoint.generation)}
        for outcome in later.values():
            tally.add(outcome)
        return replace(run, tally=tally.to_json())

    def _find_finished(self, settings: RunSettings, files: RunFiles) -> FinishedRun | None:
        """None if something is left to do, or if a process that lost its driver still writes the shard."""
        if not files.run.exists() or files.checkpoint.exists():
            return None
        with (
            suppress(RunInUse),
            Run(settings, open_shard_input(settings, self._options.inputs)).hold_files() as has_work,
        ):
            return None if has_work else read_run_file(files)
        return None

    async def _work_in_cluster(self, work: Work | None) -> Work:
        self.progress.phase = "Connecting to the Ray cluster"
        cluster = await asyncio.to_thread(Cluster, self._options.address)
        try:
            if work is None:
                workers = self._options.workers or max(1, len(cluster.list_nodes()))
                total = choose_shards(self._options.shards, None, workers, self.output)
                work = Work(total, waiting=deque(list_shards(total)))
            with self._mark_folder():
                await ShardTasks(self, cluster, work).run()
            return work
        finally:
            await asyncio.to_thread(cluster.close)

    @contextmanager
    def _mark_folder(self) -> Iterator[None]:
        self._marker.write_text(self._mark)
        try:
            yield
        finally:
            self._marker.unlink(missing_ok=True)

    def make_task(self, shard: Shard) -> ShardTask:
        # An endpoint that is lost later ends nothing, as in one process.
        joins = any(report.outcomes["accepted"] for report in self._reports)
        settings = self._settings_of(shard)
        return ShardTask(settings, self._options.inputs, os.getcwd(), self._marker, self._mark, joins)

    def follow(self, state: JobState, earlier: Mapping[Shard, FinishedRun]) -> None:
        """Shows the reports as the progress of this run, and their warnings."""
        for warning in state.warnings:
            if warning not in self._told:
                self._told.add(warning)
                self._warn(warning)
        self._reports = self._pool.reports = list(state.latest.values())
        # A report has the counts of earlier starts of its shard.
        others = [run for shard, run in earlier.items() if shard not in state.latest]
        add_reports(self.progress, self._reports, others)
        self._permits = state.permits

    def warn(self, message: str) -> None:
        self._warn(message)

    def _find_wait(self) -> RowWait | None:
        if self._stops:
            return RowWait("stop", "Stopping after the requests in flight", is_stop=True)
        waits = {report.wait for report in self._reports if not report.has_ended}
        if len(waits) == 1 and (wait := waits.pop()) is not None:
            return RowWait("shards", wait)
        return None

    @property
    def stops(self) -> int:
        return self._stops

    @property
    def workers(self) -> int | None:
        return self._options.workers

    def check_budget(self) -> RunStopped | None:
        return check_budget(self.plan.limits, self.progress.spending)

    def _merge(self, files: RunFiles, work: Work, *, is_again: bool) -> MergeReport:
        self.progress.phase = "Merging the shards"
        if is_again:
            number = find_free_number(files)
            keep_numbered(files, number)
            kept = number_files(files, number).output
            self._warn(f"The shards have changed since they were merged; the earlier merge is kept as {kept}.")
        return merge_runs(list(work.finished), self.output)

    def _use_merge_alone(self, files: RunFiles) -> Summary:
        """The shards were removed to save space. Raises SettingsError if another result is asked for."""
        run = read_run_file(files)
        assert run is not None
        identity = {**self.plan.identity(), **self.plan.digests(), **listing_identity(self.source)}
        check_settings_unchanged(run.identity, hide_identity(load_object(dump_compact(identity))))
        summary = self._summarize_earlier(files)
        if self.settings.retry_failed and summary.tally.failed_total:
            raise SettingsError(f"the shards of {self.output} were removed: leave out --engine ray to go on with it")
        return summary

    def _summarize_earlier(self, files: RunFiles) -> Summary:
        run = read_run_file(files)
        assert run is not None
        self.summary = Summary("already", Tally.from_json(run.tally), run.seconds, files)
        return self.summary

    def _summarize(self, work: Work, state: RunState, report: MergeReport | None = None) -> Summary:
        tally = Tally()
        if report is not None:
            tally = report.tally
        else:
            earlier = {shard: Tally.from_json(run.tally) for shard, run in work.earlier.items()}
            ended = {end.shard: end.tally for end in work.ends if end.error is None}
            for each in {**earlier, **ended}.values():
                tally.add_tally(each)
        return Summary(
            state,
            tally,
            self._elapsed(),
            None if report is None else report.files,
            notes=join_texts(end.notes for end in work.ends),
            findings=(*self._name_limits(), *self._name_shards(work), *join_texts(end.findings for end in work.ends)),
            verify=self.settings.recipe.verify,
            endpoints=add_endpoints([each for end in work.ends for each in end.endpoints]),
            price=self.plan.limits.price,
        )

    def _name_limits(self) -> list[str]:
        if self.settings.limits.concurrency != "auto":
            return []
        return name_final_limits([each.base_url for each in self.settings.endpoints], self._permits)

    def _name_shards(self, work: Work) -> list[str]:
        """Names the files of the results, if they are not merged."""
        if self._options.merges or len(work.finished) < work.total:
            return []
        first, last = min(work.finished), max(work.finished)
        return [f"the {work.total} shards are not merged: {first} to {last.name}; persqa merge puts them together"]

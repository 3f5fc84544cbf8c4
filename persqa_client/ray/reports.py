"""Messages between the processes of a run: reports of a shard, instructions to it, and sums over all shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import NamedTuple

from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.engines.row_loop import ANSWERING, RunProgress
from persqa_client.errors import MaskedError, RunStopped, SettingsError, StorageError, UnusableInput
from persqa_client.inputs.shards import Shard
from persqa_client.ray.shared_limit import EndpointReport, Grant
from persqa_client.run.phases import find_wait
from persqa_client.run.run import Run
from persqa_client.run.summary import EndpointStats
from persqa_client.storage.checkpoint import FinishedRun
from persqa_client.storage.tally import Tally

# Types of the errors that end a run.
ERRORS: dict[str, type[MaskedError]] = {
    each.__name__: each for each in (SettingsError, StorageError, RunStopped, UnusableInput)
}


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The state of a shard while it is worked on. Counts are those of all its starts, but for the requests."""

    # Name of the process that runs the shard; another start of the shard has another name.
    worker: str
    shard: Shard
    done: int
    # The part of ``done`` from earlier starts.
    earlier: int
    failed: int
    earlier_failed: int
    prompt_tokens: int
    completion_tokens: int
    # Counts of this start: failures by code, and ``accepted``.
    outcomes: Counter[str]
    traffic: TrafficCounts
    permits: int
    phase: str
    # In the order of the run's endpoints.
    endpoints: tuple[EndpointReport, ...] = ()
    # What all its requests wait for, in words.
    wait: str | None = None
    warnings: tuple[str, ...] = ()
    # Whether the work on the shard has ended, at least for now.
    has_ended: bool = False


def describe_shard(
    run: Run, worker: str, shard: Shard, warnings: tuple[str, ...], endpoints: tuple[EndpointReport, ...]
) -> ShardReport:
    progress, spending = run.progress, run.progress.spending
    wait = find_wait(run.pool)
    return ShardReport(
        worker,
        shard,
        done=progress.earlier + progress.done,
        earlier=progress.earlier,
        failed=progress.earlier_failed + progress.failed,
        earlier_failed=progress.earlier_failed,
        prompt_tokens=spending.prompt_tokens,
        completion_tokens=spending.completion_tokens,
        outcomes=Counter(progress.outcomes),
        traffic=run.pool.traffic,
        permits=run.pool.permits,
        phase=progress.phase,
        endpoints=endpoints,
        wait=None if wait is None else wait.text,
        warnings=warnings,
    )


class Instructions(NamedTuple):
    """Instructions of the coordinator to the worker of a shard. ``stops``: how often the user requested a stop."""

    stops: int = 0
    # In the order of the run's endpoints.
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """How the work on a shard ended. ``error`` is the name of a class of ``ERRORS``."""

    shard: Shard
    is_finished: bool = False
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    endpoints: tuple[EndpointStats, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    error: str | None = None
    code: str = ""
    message: str = ""

    def make_error(self) -> MaskedError | None:
        """Exceptions with several arguments can't be pickled, so their parts are sent."""
        if self.error is None:
            return None
        kind = ERRORS[self.error]
        return kind(self.code, self.message) if issubclass(kind, RunStopped) else kind(self.message)


def describe_error_end(shard: Shard, error: MaskedError, where: str) -> ShardEnd:
    """``where``: the node, for errors of its files."""
    if isinstance(error, RunStopped):
        kind = UnusableInput if isinstance(error, UnusableInput) else RunStopped
        return ShardEnd(shard, error=kind.__name__, code=error.code, message=error.message)
    kind_of_files = StorageError if isinstance(error, StorageError) else SettingsError
    return ShardEnd(shard, error=kind_of_files.__name__, message=f"{where}: {error}")


def join_texts(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for each in texts for text in each))


def add_endpoints(stats: Sequence[EndpointStats]) -> tuple[EndpointStats, ...]:
    """The counts of each endpoint over all shards."""
    found: dict[str, EndpointStats] = {}
    for each in stats:
        before = found.get(each.base_url)
        found[each.base_url] = each if before is None else join_stats(before, each)
    return tuple(found.values())


def join_stats(one: EndpointStats, other: EndpointStats) -> EndpointStats:
    return EndpointStats(
        one.base_url,
        one.answers + other.answers,
        one.failed_rows + other.failed_rows,
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        max(one.outages, other.outages),
        one.left_out or other.left_out,
    )


def add_reports(progress: RunProgress, reports: Sequence[ShardReport], finished: Iterable[FinishedRun]) -> None:
    """Makes the progress that of all shards. ``finished``: those that had ended before this start."""
    tallies = [Tally.from_json(run.tally) for run in finished]
    progress.earlier = sum(tally.tasks for tally in tallies) + sum(report.earlier for report in reports)
    progress.earlier_failed = sum(t.failed_total for t in tallies) + sum(r.earlier_failed for r in reports)
    progress.done = sum(report.done - report.earlier for report in reports)
    progress.failed = sum(report.failed - report.earlier_failed for report in reports)
    progress.outcomes = reduce(add, (report.outcomes for report in reports), Counter[str]())
    spending = progress.spending
    spending.prompt_tokens = sum(t.prompt_tokens for t in tallies) + sum(r.prompt_tokens for r in reports)
    spending.completion_tokens = sum(t.completion_tokens for t in tallies) + sum(r.completion_tokens for r in reports)
    spending.failed = progress.failed
    phases = [report.phase for report in reports if not report.has_ended]
    if ANSWERING in phases:
        progress.phase = ANSWERING
    elif phases:
        progress.phase = phases[-1]


def name_final_limits(base_urls: Sequence[str], permits: Sequence[int]) -> list[str]:
    """The concurrency that ``auto`` has found for each endpoint, for all workers together."""
    prefixes = [f"{url}: " if len(base_urls) > 1 else "" for url in base_urls]
    return [
        f"{prefix}final concurrency: {each} (--concurrency auto)"
        for prefix, each in zip(prefixes, permits, strict=False)
    ]

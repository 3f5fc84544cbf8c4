"""What the processes of a run tell each other: the state of a shard, and what it may do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.errors import MaskedError, RunStopped, SettingsError, StorageError, UnusableInput
from persqa_client.inputs.shards import Shard
from persqa_client.ray.shared_limit import EndpointReport, Grant
from persqa_client.run.phases import find_wait
from persqa_client.run.run import Run
from persqa_client.run.summary import EndpointStats
from persqa_client.storage.tally import Tally

# Of the errors that end a run.
ERRORS: dict[str, type[MaskedError]] = {
    each.__name__: each for each in (SettingsError, StorageError, RunStopped, UnusableInput)
}


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The state of a shard while it is worked on. Counts are those of all its starts, but for the requests."""

    # Of the process that works on it; another start of the shard has another name.
    worker: str
    shard: Shard
    done: int
    # Of ``done``, those of earlier starts.
    earlier: int
    failed: int
    earlier_failed: int
    prompt_tokens: int
    completion_tokens: int
    # Of this start: failures by code, and ``accepted``.
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
    """What the coordinator tells the worker of a shard. ``stops``: how often the user asked to stop."""

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

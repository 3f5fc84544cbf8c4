"""The actor to which all workers of a run report, and which sends them instructions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from persqa_client.config import Limits
from persqa_client.inputs.shards import Shard
from persqa_client.ray.endpoint_share import EndpointShare
from persqa_client.ray.reports import Instructions, ShardReport
from persqa_client.ray.shared_limit import EndpointReport, Grant


@dataclass(slots=True)
class JobState:
    """The latest report of each shard that is or was worked on, and what all of them have in common."""

    latest: dict[Shard, ShardReport] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    # Concurrent requests to each endpoint, as they are allowed at present.
    permits: tuple[int, ...] = ()


class Coordinator:
    """An actor of Ray. Its methods are coroutines, so that it handles one call after the other."""

    def __init__(self, limits: Limits, endpoints: int) -> None:
        self._state = JobState()
        self._stops = 0
        self._shares = [EndpointShare(limits) for _ in range(endpoints)]

    async def report(self, report: ShardReport) -> Instructions:
        """A worker calls this about twice a second, and once at its end."""
        self._state.latest[report.shard] = dataclasses.replace(report, endpoints=())
        self._state.warnings += [each for each in report.warnings if each not in self._state.warnings]
        if report.has_ended:
            for share in self._shares:
                share.remove(report.worker)
            return Instructions(self._stops)
        return Instructions(self._stops, await self.share(report.worker, report.endpoints))

    async def share(self, worker: str, reports: Sequence[EndpointReport]) -> tuple[Grant, ...]:
        """The worker's part of the limits of each endpoint."""
        now = monotonic()
        return tuple(share.take_report(worker, each, now) for share, each in zip(self._shares, reports, strict=True))

    async def look(self) -> JobState:
        self._state.permits = tuple(share.controller.permits for share in self._shares)
        return self._state

    async def stop(self, stops: int) -> None:
        self._stops = stops

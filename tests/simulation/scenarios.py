"""Scenarios from public reports: what a server did over time, and what a run must make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from persqa_client.config import Limits
from persqa_client.outcomes import Record
from tests.simulation.client_run import Report, simulate
from tests.simulation.endpoint import Crash, EndpointSettings, Kind, Phase, Timeline
from tests.simulation.replies import Reply
from tests.simulation.world import RowScript, World

# Rows of a run, alone and beside a second endpoint.
ROWS, MANY_ROWS = 60, 120
CONCURRENCY = 8
TIMEOUT, MAX_OUTAGE = 20.0, 120.0
# Seconds from the start until the trouble begins: half of the rows are answered.
BEGIN = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Rows from 1 to ``count``; those that ``rows`` does not name are plain."""

    name: str
    # Where the behaviour was reported.
    source: str
    endpoints: tuple[EndpointSettings, ...]
    rows: Mapping[int, RowScript] = field(default_factory=dict)
    # The code of each row that fails, or several between bars.
    failed: Mapping[int, str] = field(default_factory=dict)
    # Words of the server in the message of each stop. After a stop, the run is resumed when an endpoint answers.
    stops: tuple[str, ...] = ()
    # The most requests that the bad time may cost: those in flight when it begins, and the trials.
    cost: int
    count: int = ROWS

    def __str__(self) -> str:
        return self.name

    def with_second_endpoint(self) -> Scenario:
        """Beside another endpoint that answers all the time: nothing stops the run."""
        return replace(self, endpoints=(*self.endpoints, server(slots=4)), stops=(), count=MANY_ROWS)

    def play(self) -> Report:
        world = World(
            seed=len(self.name),
            rows={number: self.rows.get(number) or RowScript() for number in range(1, self.count + 1)},
            endpoints=list(self.endpoints),
            limits=Limits(concurrency=CONCURRENCY, timeout=TIMEOUT, max_outage=MAX_OUTAGE),
        )
        return simulate(world)


def server(*phases: Phase, latency: float = 1.0, **settings: Any) -> EndpointSettings:
    """Good until the first phase, with as many slots as the run has requests."""
    timeline = Timeline([Phase(0.0), *phases])
    return EndpointSettings(**{"timeline": timeline, "slots": CONCURRENCY, "latency": latency, **settings})


def trouble(kind: Kind, *replies: Reply, seconds: float, begin: float = BEGIN, **phase: Any) -> tuple[Phase, Phase]:
    """A bad phase, and the good one after it."""
    return Phase(begin, kind, replies, **phase), Phase(begin + seconds)


def crashing_server(dying: Reply | None, then: Kind, seconds: float) -> EndpointSettings:
    """Dies of a killer row, with all that is in flight."""
    return server(crash=Crash(dying, then, seconds))


def check(scenario: Scenario) -> Report:
    """Asserts which rows fail, that all others are answered though the trouble hit them, the stops, and the cost."""
    report = scenario.play()
    assert report.stuck is None, report.stuck
    assert report.failed.keys() == scenario.failed.keys(), report.failed
    assert {row: code for row, code in report.failed.items() if code not in scenario.failed[row].split("|")} == {}
    assert [words in stop.message for words, stop in zip(scenario.stops, report.stops, strict=True)].count(False) == 0
    hit = set().union(*(endpoint.troubled_rows for endpoint in report.endpoints))
    given_back = hit - scenario.failed.keys()
    assert given_back
    assert given_back <= {row for _, row, outcome in report.outcomes if isinstance(outcome, Record)}
    assert sorted(row for _, row, _ in report.outcomes) == list(range(1, scenario.count + 1))
    cost = sum(endpoint.troubles for endpoint in report.endpoints)
    assert cost <= scenario.cost, f"{cost} requests"
    return report

"""Rows that are refused for load for ever, by an endpoint that answers all others: they fail, and the run ends."""

from __future__ import annotations

from typing import Literal

import pytest

from persqa_client.config import Limits
from tests.simulation.client_run import simulate
from tests.simulation.endpoint import EndpointSettings, Phase, Timeline
from tests.simulation.replies import Reply, refusal
from tests.simulation.world import MAX_OUTAGE, TIMEOUT, RowScript, World

OVERLOADED = refusal(503, "The service is overloaded.")
ROWS = 40


def make_world(refused: tuple[int, ...], reply: Reply, endpoints: int, concurrency: int | Literal["auto"]) -> World:
    rows = {
        row: RowScript("scripted", replies=(reply,)) if row in refused else RowScript() for row in range(1, ROWS + 1)
    }
    settings = [EndpointSettings(Timeline([Phase(0.0)]), slots=8, latency=1.0) for _ in range(endpoints)]
    return World(1, rows, settings, Limits(concurrency=concurrency, timeout=TIMEOUT, max_outage=MAX_OUTAGE))


@pytest.mark.parametrize("concurrency", [1, 8, "auto"])
@pytest.mark.parametrize("endpoints", [1, 2])
@pytest.mark.parametrize(
    ("refused", "reply"),
    [
        pytest.param((ROWS,), OVERLOADED, id="last"),
        pytest.param((1,), OVERLOADED, id="first"),
        pytest.param((ROWS - 2, ROWS - 1, ROWS), OVERLOADED, id="last three"),
        pytest.param((ROWS,), OVERLOADED.after(65), id="last, with a wait"),
    ],
)
def test_rows_that_are_always_refused_fail_and_stop_no_run(
    refused: tuple[int, ...], reply: Reply, endpoints: int, concurrency: int | Literal["auto"]
) -> None:
    report = simulate(make_world(refused, reply, endpoints, concurrency))
    assert (report.stuck, report.stops) == (None, [])
    assert report.failed == dict.fromkeys(refused, "busy")


def test_every_failed_row_is_counted_at_an_endpoint() -> None:
    world = make_world((), OVERLOADED, endpoints=2, concurrency=8)
    world.rows |= {1: RowScript("filtered"), 2: RowScript("stubborn"), 3: RowScript("rejected")}
    report = simulate(world)
    assert len(report.failed) == sum(stats.failed_rows for stats in report.stats) == 3

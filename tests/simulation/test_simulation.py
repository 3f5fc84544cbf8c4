"""Random worlds on a virtual clock: what always holds, however the endpoints fail. More seeds: scripts/simulate.py."""

from __future__ import annotations

import pytest

from persqa_client.config import Limits
from tests.simulation.client_run import Stop, simulate
from tests.simulation.endpoint import EndpointSettings, Phase, Timeline
from tests.simulation.invariants import find_needless_stops, find_violations
from tests.simulation.oracle import capacity, find_common_pauses
from tests.simulation.replies import refusal
from tests.simulation.scenarios import BEGIN, Scenario, server, trouble
from tests.simulation.world import RowScript, World, draw_world

# Of 200 worlds, the slow tests play the later 160.
SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(40, 200))]
# An overloaded endpoint with two slots, at which the client keeps a limit of 1 long after the refusals have ended.
SLOW = frozenset({67})


@pytest.mark.parametrize("seed", SEEDS)
def test_no_good_row_fails_none_is_lost_and_the_pace_is_kept(seed: int) -> None:
    violations = find_violations(simulate(draw_world(seed)))
    if seed in SLOW:
        violations = [violation for violation in violations if not violation.startswith("slow")]
    assert violations == [], f"scripts/simulate.py --seed {seed} --trace shows the events"


@pytest.mark.parametrize("seed", [1, 4, 35])
def test_a_seed_gives_the_same_events_each_time(seed: int) -> None:
    first, second = simulate(draw_world(seed)), simulate(draw_world(seed))
    assert first.trace == second.trace
    assert len(first.trace) > len(first.world.rows)


def test_other_seeds_give_other_worlds() -> None:
    assert simulate(draw_world(1)).trace != simulate(draw_world(2)).trace


def play(**fields: object) -> list[str]:
    """The violations of a small run."""
    scenario = Scenario(**{"name": "a run", "source": "", "cost": 0, "endpoints": (server(),), **fields})  # type: ignore[arg-type]
    return find_violations(scenario.play())


def test_the_invariants_hold_for_an_undisturbed_run() -> None:
    assert play() == []


def test_a_row_that_fails_is_a_violation_if_the_oracle_calls_it_good() -> None:
    refused = RowScript("scripted", replies=(refusal(400, "Not this picture."),))
    assert play(rows={7: refused}) == ["scripted row failed as rejected: 1 (7)"]


def test_a_bad_row_that_is_answered_is_a_violation() -> None:
    report = Scenario(name="a run", source="", cost=0, endpoints=(server(),)).play()
    report.world.rows[7] = RowScript("rejected")
    assert find_violations(report) == ["answered though rejected: 1 (7)"]


def test_lost_and_doubled_rows_are_violations() -> None:
    report = Scenario(name="a run", source="", cost=0, endpoints=(server(),)).play()
    report.outcomes[0] = report.outcomes[1]
    assert [violation.partition(":")[0] for violation in find_violations(report)] == ["lost", "doubled"]


def test_a_stop_is_a_violation_if_an_endpoint_could_be_waited_for() -> None:
    report = Scenario(
        name="a run",
        source="",
        cost=0,
        endpoints=(server(*trouble("account", refusal(402, "No credit."), seconds=60)),),
    ).play()
    assert find_violations(report) == []
    assert len(report.stops) == 1
    report.world.endpoints.append(server())
    assert any("though endpoint 1 could be waited for" in violation for violation in find_violations(report))


def test_a_run_that_makes_no_use_of_an_endpoint_is_slow() -> None:
    report = Scenario(name="a run", source="", cost=0, endpoints=(server(Phase(BEGIN, "good")),)).play()
    report.world.endpoints.append(server())
    assert [violation.partition(":")[0] for violation in find_violations(report)] == ["slow"]


def test_the_pace_leaves_out_the_times_in_which_several_refused_requests_were_asked_to_wait() -> None:
    pauses = [(1.0, 3.0), (1.5, 3.5), (2.0, 4.0), (9.0, 11.0)]
    assert find_common_pauses(pauses) == [(2.0, 3.0)]
    world = World(0, {}, [server(slots=2)], Limits(concurrency=2))
    per_second = capacity(world, 0.0, 10.0, {}) - capacity(world, 0.0, 9.0, {})
    assert capacity(world, 0.0, 10.0, {0: [(2.0, 3.0)]}) == pytest.approx(capacity(world, 0.0, 10.0, {}) - per_second)


def test_a_run_that_ends_when_the_next_one_begins_is_judged_by_its_own_start() -> None:
    report = Scenario(name="a run", source="", cost=0, endpoints=(server(),)).play()
    report.stops, report.spans = [Stop(300.0, "no_credit", "")], [(100.0, 300.0), (300.0, 400.0)]
    # Refused before its first answer, the endpoint was left out for the rest of the first run.
    report.world.endpoints = [EndpointSettings(Timeline([Phase(0.0, "account"), Phase(150.0)]))]
    assert list(find_needless_stops(report)) == []


@pytest.mark.parametrize("bad", [range(53, 61), range(1, 31)], ids=["the last rows", "all rows"])
def test_rows_that_always_get_a_server_error_fail_and_end_the_run(bad: range) -> None:
    """No other row is left whose answer shows that the endpoint is good."""
    broken = RowScript("scripted", replies=(refusal(500, "cannot identify image file"),))
    count = max(bad)
    report = Scenario(
        name="a run", source="", cost=0, endpoints=(server(),), rows=dict.fromkeys(bad, broken), count=count
    ).play()
    assert (report.stuck, report.stops) == (None, [])
    assert set(report.failed) == set(bad)

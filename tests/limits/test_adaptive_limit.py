"""The limit that finds itself, against servers on paper: bounds on what it brings, in simulated time."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import pytest

from persqa_client.limits.adaptive_limit import INITIAL_LIMIT, REFUSAL_CUT, AdaptiveLimit
from persqa_client.limits.concurrency import Permit
from persqa_client.limits.server_metrics import ServerMetrics
from tests.limits.server_model import Server, World

LENGTHS = (0.2, 0.5, 1.0, 1.0, 1.5, 3.0)
MEAN_LENGTH = sum(LENGTHS) / len(LENGTHS)

SIGHT = [pytest.param(False, id="blind"), pytest.param(True, id="with gauges")]


def mixed(rng: random.Random) -> float:
    """Short answers and long ones."""
    return rng.choice(LENGTHS)


def world(server: Server, *, seed: int = 1, **more: Any) -> World:
    """Answers of all lengths, at a pace that varies besides."""
    return World(server, AdaptiveLimit(512), tokens=mixed, noise=0.2, seed=seed, **more)


def limits(world: World, since: float, until: float) -> list[int]:
    """Those that were in force in that time."""
    earlier = [limit for moment, limit in world.levels if moment < since]
    return [*earlier[-1:], *(limit for moment, limit in world.levels if since <= moment < until)]


@pytest.mark.parametrize("gauges", SIGHT)
@pytest.mark.parametrize("latency", [0.2, 0.5, 1.0])
def test_a_capacity_that_changes_is_followed(latency: float, gauges: bool) -> None:
    """8 slots, 64, then 16, a minute each, and no refusal that would tell."""
    changes = [(60.0, {"slots": 64}), (120.0, {"slots": 16})]
    seen = World(Server(slots=8, pace=latency), AdaptiveLimit(512), gauges=gauges, at=changes).run(180)
    assert len(seen.answers) >= 0.9 * (8 + 64 + 16) * 60 / latency
    assert max(limits(seen, 20, 60)) <= 16
    assert median(limits(seen, 150, 180)) <= 56


@pytest.mark.parametrize("gauges", SIGHT)
def test_it_is_followed_through_noise_too(gauges: bool) -> None:
    shares = []
    for seed in range(7):
        changes = [(60.0, {"slots": 64}), (120.0, {"slots": 16})]
        seen = world(Server(slots=8, pace=0.5), gauges=gauges, seed=seed, at=changes).run(180)
        shares.append(len(seen.answers) / ((8 + 64 + 16) * 60 / (0.5 * MEAN_LENGTH)))
    assert min(shares) >= 0.85


@pytest.mark.parametrize("slots", [1, 4, 20, 100, 300])
def test_a_server_is_kept_busy_and_its_queue_short(slots: int) -> None:
    seen = world(Server(slots=slots, pace=0.3)).run(120)
    assert seen.rate(60, 120) >= 0.9 * slots / (0.3 * MEAN_LENGTH)
    assert seen.controller.permits <= 3 * slots + INITIAL_LIMIT


def test_its_gauges_keep_the_queue_shorter_still() -> None:
    seen = world(Server(slots=20, pace=0.3), gauges=True).run(120)
    assert seen.rate(60, 120) >= 0.9 * 20 / (0.3 * MEAN_LENGTH)
    assert median(limits(seen, 60, 120)) <= 30


@pytest.mark.parametrize(("pace", "load"), [(1.0, 0.05), (0.2, 0.02), (0.02, 0.02), (3.0, 0.1)])
def test_a_batching_server_is_given_more_as_long_as_more_brings_more(pace: float, load: float) -> None:
    """The best time of all is that of one request alone; to go by it would leave such a server idle."""
    for seed in range(4):
        seen = world(Server(pace=pace, load=load), seed=seed).run(300)
        assert seen.rate(120, 300) >= 0.8 / (load * MEAN_LENGTH)


@pytest.mark.parametrize("queue", [None, 8])
def test_a_machine_that_others_work_on_too_does_not_lead_it_astray(queue: int | None) -> None:
    """Its pace changes every second by as much as other limits would, whatever the limit."""
    shares = []
    for seed in range(8):
        server = Server(slots=8, pace=0.02, load=0.012, queue=queue)
        seen = World(server, AdaptiveLimit(512), tokens=mixed, noise=0.2, sway=0.3, seed=seed).run(120)
        shares.append(seen.rate(5, 120) / (8 / ((0.02 + 0.012 * 8) * MEAN_LENGTH)))
    assert median(shares) >= 0.85


def test_less_must_do_as_well_twice() -> None:
    """Once may be the server's own change."""
    knee = AdaptiveLimit(8)
    answer(knee, 12, 1.0)
    assert knee.permits == 6
    answer(knee, 12, 0.5, now=10)
    assert (knee.limit, knee.permits) == (8, 8)
    answer(knee, 12, 0.5, now=20)
    assert (knee.limit, knee.permits) == (8, 6)
    answer(knee, 12, 0.375, now=30)
    assert knee.limit == 6


@pytest.mark.parametrize("queue", [0, 8])
@pytest.mark.parametrize("slots", [2, 8, 64])
def test_refusals_are_few_and_cost_little(slots: int, queue: int) -> None:
    seen = world(Server(slots=slots, pace=0.3, queue=queue)).run(120)
    assert seen.rate(10, 120) >= 0.9 * slots / (0.3 * MEAN_LENGTH)
    assert seen.refused_share(10, 120) < 0.02


@pytest.mark.parametrize("gauges", SIGHT)
def test_a_server_that_struggles_gets_less_and_is_back_at_full_speed_soon(gauges: bool) -> None:
    dip = [(60.0, {"slots": 4}), (80.0, {"slots": 64})]
    seen = world(Server(slots=64, pace=0.3, queue=0), gauges=gauges, at=dip).run(120)
    assert max(limits(seen, 70, 80)) <= 8
    assert seen.refused_share(70, 80) < 0.05
    assert seen.rate(90, 120) >= 0.9 * seen.rate(40, 60)


def test_repeated_time_outs_shrink_it_and_answers_bring_it_back() -> None:
    hang = [(30.0, {"hangs": True}), (60.0, {"hangs": False})]
    seen = world(Server(slots=64, pace=0.3), at=hang, timeout=5.0).run(100)
    assert limits(seen, 59, 60)[-1] <= 16
    assert seen.rate(75, 100) >= 0.9 * seen.rate(15, 30)


def test_it_grows_only_where_it_was_used() -> None:
    """Rows that come slowly say nothing of what the server could take."""
    seen = world(Server(slots=64, pace=0.3), demand=10).run(200)
    assert seen.controller.permits <= 16


def answer(knee: AdaptiveLimit, count: int, seconds: float, now: float = 0.0) -> None:
    """So many answers that took so long, at the full limit, spread over a second; fewer where the limit changes."""
    level = knee.level
    for number in range(count):
        lease = Permit(knee.cuts, knee.level, knee.permits, now + number / max(1, count - 1))
        knee.record_answer(lease, 50, lease.since + seconds)
        if knee.level != level:
            return


def test_it_starts_low_and_doubles_while_that_brings_twice_as_much() -> None:
    knee, seen = AdaptiveLimit(100), []
    for _ in range(5):
        seen.append(knee.permits)
        answer(knee, max(12, knee.permits), 1.0)
    assert seen == [8, 16, 32, 64, 100]


def test_it_keeps_to_its_bounds() -> None:
    assert (AdaptiveLimit(3).permits, AdaptiveLimit(1).permits) == (3, 1)
    knee = AdaptiveLimit(100)
    for _ in range(50):
        knee.record_refusal(Permit(knee.cuts), 0.0)
    assert knee.permits == 1


def test_more_that_brings_nothing_is_taken_back() -> None:
    knee = AdaptiveLimit(100)
    answer(knee, 12, 1.0)
    assert knee.permits == 16
    answer(knee, 16, 2.0, now=10)
    assert knee.permits == INITIAL_LIMIT


def test_one_burst_cuts_once() -> None:
    knee = AdaptiveLimit(100, start=50)
    burst = [Permit(knee.cuts, knee.level, 50) for _ in range(20)]
    for lease in burst:
        knee.record_refusal(lease, 1.0)
    assert knee.permits == 50 * REFUSAL_CUT
    knee.record_refusal(Permit(knee.cuts), 1.1)
    assert knee.permits == int(50 * REFUSAL_CUT**2)


def test_a_refused_trial_falls_back_to_what_was_good() -> None:
    knee = AdaptiveLimit(100)
    answer(knee, 12, 1.0)
    knee.record_refusal(Permit(knee.cuts, knee.level, 16), 2.0)
    assert knee.permits == INITIAL_LIMIT


def test_what_was_refused_is_not_tried_again_at_once() -> None:
    knee, tried = AdaptiveLimit(100), set[int]()
    answer(knee, 12, 1.0)
    knee.record_refusal(Permit(knee.cuts, knee.level, 16), 0.0)
    for tick in range(25):
        answer(knee, 4, 1.0, now=tick / 10)
        tried.add(knee.permits)
    assert INITIAL_LIMIT < max(tried) < 16


def test_the_aftermath_of_a_refused_trial_is_not_held_against_what_was_good() -> None:
    knee = AdaptiveLimit(100)
    answer(knee, 12, 1.0)
    knee.record_refusal(Permit(knee.cuts, knee.level, 16), 2.0)
    knee.record_refusal(Permit(knee.cuts, knee.level, 8), 2.1)
    assert knee.permits == INITIAL_LIMIT
    knee.record_refusal(Permit(knee.cuts, knee.level, 8), 3.0)
    assert knee.permits == int(INITIAL_LIMIT * REFUSAL_CUT)


def test_where_answers_are_slow_refusals_are_far_between() -> None:
    """Its time alone does not make a limit worth another try."""
    knee = AdaptiveLimit(100)
    knee.record_refusal(Permit(knee.cuts, knee.level, 8), 3.0)
    for round in range(12):
        answer(knee, 1, 1.0, now=10.0 + 10 * round)
    assert int(INITIAL_LIMIT * REFUSAL_CUT) < knee.permits < INITIAL_LIMIT


def test_a_server_that_refuses_is_not_tried_with_less() -> None:
    """It says itself when it is too much."""
    knee, seen = AdaptiveLimit(100), list[int]()
    answer(knee, 12, 1.0)
    knee.record_refusal(Permit(knee.cuts, knee.level, 16), 2.0)
    for round in range(50):
        answer(knee, 100, knee.permits / 8, now=3.0 + round)
        seen.append(knee.permits)
    assert min(seen) == INITIAL_LIMIT
    for round in range(6):
        answer(knee, 100, knee.permits / 8, now=200.0 + round)
        seen.append(knee.permits)
    assert min(seen) < INITIAL_LIMIT, "long afterwards it is"


def test_one_time_out_is_chance_and_many_are_not() -> None:
    knee = AdaptiveLimit(100, start=50)
    knee.record_timeout(Permit(knee.cuts), 1.0)
    assert knee.permits == 50
    knee.record_timeout(Permit(knee.cuts), 1.0)
    assert knee.permits == 25


def test_a_few_time_outs_among_many_answers_are_chance_too() -> None:
    knee = AdaptiveLimit(50, start=50)
    for _ in range(10):
        for _ in range(100):
            knee.record_answer(Permit(knee.cuts, level=-1), 50, 1.0)
        knee.record_timeout(Permit(knee.cuts), 1.0)
    assert knee.permits == 50


def test_each_outage_takes_half() -> None:
    knee, seen = AdaptiveLimit(100, start=64), []
    for moment in range(4):
        knee.record_outage(float(moment))
        seen.append(knee.permits)
    assert seen == [32, 16, 8, 4]


def test_what_was_held_back_tells_nothing_of_the_pace() -> None:
    knee = AdaptiveLimit(100)
    for number in range(50):
        knee.record_answer(Permit(knee.cuts, knee.level, 8, was_delayed=True), 50, 600.0 + number)
    assert knee.permits == INITIAL_LIMIT


def look(
    knee: AdaptiveLimit, times: int, *, running: float, waiting: float, kv: float = 0.5, rejections: float = 0
) -> None:
    for _ in range(times):
        knee.record_metrics(ServerMetrics(running, waiting, kv, rejections), knee.permits, 1.0)


def test_a_queue_of_ours_at_the_server_is_shortened() -> None:
    knee = AdaptiveLimit(100, start=50)
    knee.record_refusal(Permit(knee.cuts, knee.level), 1.0)
    answer(knee, 40, 0.5, now=0.4)
    assert knee.permits == 40
    look(knee, 4, running=10, waiting=30)
    assert knee.permits <= 15


def test_a_queue_of_others_is_not() -> None:
    knee = AdaptiveLimit(100, start=50)
    knee.record_refusal(Permit(knee.cuts, knee.level), 1.0)
    answer(knee, 40, 0.5, now=0.4)
    look(knee, 10, running=100, waiting=400)
    assert knee.permits == 40


@pytest.mark.parametrize("full", [{"kv": 1.0}, {"rejections": 1}])
def test_a_server_that_says_it_is_full_is_not_given_more(full: dict[str, float]) -> None:
    knee = AdaptiveLimit(100)
    look(knee, 2, running=8, waiting=0)
    look(knee, 1, running=8, waiting=0, **full)
    answer(knee, 12, 1.0)
    assert knee.permits <= INITIAL_LIMIT


def test_a_larger_limit_whose_surplus_only_waits_is_taken_back_before_its_answers_come() -> None:
    knee = AdaptiveLimit(100)
    answer(knee, 12, 1.0)
    assert knee.permits == 16
    look(knee, 4, running=8, waiting=8)
    assert INITIAL_LIMIT <= knee.permits <= INITIAL_LIMIT + 2

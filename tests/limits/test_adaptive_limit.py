"""The adaptive limit: its throughput against modelled servers, and its single steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import pytest

from persqa_client.limits.adaptive_limit import FIRST_DOWN, INITIAL_LIMIT, AdaptiveLimit
from persqa_client.limits.controllers import FixedLimit, LimitController, Permit
from persqa_client.limits.server_metrics import ServerMetrics
from tests.limits.server_model import Server, World

LENGTHS = (0.2, 0.5, 1.0, 1.0, 1.5, 3.0)
MEAN_LENGTH = sum(LENGTHS) / len(LENGTHS)

METRICS = [pytest.param(False, id="no metrics"), pytest.param(True, id="metrics")]
# Runs that differ in their random numbers: one, or all.
SEEDS = [pytest.param(1, id="one seed"), pytest.param(8, id="all seeds", marks=pytest.mark.slow)]
SLOW_METRICS = [pytest.param(False, id="no metrics", marks=pytest.mark.slow), pytest.param(True, id="metrics")]


def mixed_lengths(rng: random.Random) -> float:
    return rng.choice(LENGTHS)


def world(server: Server, *, seed: int = 1, **more: Any) -> World:
    """A run with answers of mixed lengths and some noise."""
    return World(server, AdaptiveLimit(512), tokens=mixed_lengths, noise=0.2, seed=seed, **more)


def limits(world: World, since: float, until: float) -> list[int]:
    """The limits in force during that time."""
    earlier = [limit for moment, limit in world.levels if moment < since]
    return [*earlier[-1:], *(limit for moment, limit in world.levels if since <= moment < until)]


@pytest.mark.parametrize("metrics", METRICS)
@pytest.mark.parametrize("latency", [*(pytest.param(latency, marks=pytest.mark.slow) for latency in (0.2, 0.5)), 1.0])
def test_the_limit_follows_a_capacity_that_changes(latency: float, metrics: bool) -> None:
    """8, 64 and 16 slots for a minute each, without any refusal."""
    changes = [(60.0, {"slots": 64}), (120.0, {"slots": 16})]
    seen = World(Server(slots=8, pace=latency), AdaptiveLimit(512), metrics=metrics, at=changes).run(180)
    assert len(seen.answers) >= 0.9 * (8 + 64 + 16) * 60 / latency
    assert max(limits(seen, 20, 60)) <= 16
    assert median(limits(seen, 150, 180)) <= 56


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("metrics", SLOW_METRICS)
def test_the_limit_follows_a_changing_capacity_despite_noise(metrics: bool, seeds: int) -> None:
    shares = []
    for seed in range(min(seeds, 7)):
        changes = [(60.0, {"slots": 64}), (120.0, {"slots": 16})]
        seen = world(Server(slots=8, pace=0.5), metrics=metrics, seed=seed, at=changes).run(180)
        shares.append(len(seen.answers) / ((8 + 64 + 16) * 60 / (0.5 * MEAN_LENGTH)))
    assert min(shares) >= 0.85


@pytest.mark.parametrize("slots", [1, 4, 20, *(pytest.param(slots, marks=pytest.mark.slow) for slots in (100, 300))])
def test_the_server_is_busy_and_its_queue_short(slots: int) -> None:
    seen = world(Server(slots=slots, pace=0.3)).run(120)
    assert seen.rate(60, 120) >= 0.9 * slots / (0.3 * MEAN_LENGTH)
    assert seen.controller.permits <= 3 * slots + INITIAL_LIMIT


def test_metrics_keep_the_queue_shorter() -> None:
    seen = world(Server(slots=20, pace=0.3), metrics=True).run(120)
    assert seen.rate(60, 120) >= 0.9 * 20 / (0.3 * MEAN_LENGTH)
    assert median(limits(seen, 60, 120)) <= 30


@pytest.mark.parametrize(
    ("pace", "load"),
    [
        (1.0, 0.05),
        pytest.param(0.2, 0.02, marks=pytest.mark.slow),
        pytest.param(0.02, 0.02, marks=pytest.mark.slow),
        (3.0, 0.1),
    ],
)
@pytest.mark.parametrize("seeds", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_batching_server_gets_more_while_throughput_rises(pace: float, load: float, seeds: int) -> None:
    """A limit by latency would leave such a server idle: a single request is answered fastest."""
    for seed in range(seeds):
        seen = world(Server(pace=pace, load=load), seed=seed).run(300)
        assert seen.rate(120, 300) >= 0.8 / (load * MEAN_LENGTH)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("queue", [None, pytest.param(8, marks=pytest.mark.slow)])
def test_a_shared_machine_does_not_mislead_the_limit(queue: int | None, seeds: int) -> None:
    """Its speed changes every second by as much as another limit would change it."""
    shares = []
    for seed in range(seeds):
        server = Server(slots=8, pace=0.02, load=0.012, queue=queue)
        seen = World(server, AdaptiveLimit(512), tokens=mixed_lengths, noise=0.2, sway=0.3, seed=seed).run(120)
        shares.append(seen.rate(5, 120) / (8 / ((0.02 + 0.012 * 8) * MEAN_LENGTH)))
    assert median(shares) >= 0.85


def test_a_server_that_reports_no_queue_gets_more() -> None:
    """Twice the requests bring 8 % more throughput, which the noise of a run of 30 s hides."""
    runs = (world(Server(32, 0.137, 0.051), seed=seed, sway=0.1, metrics=True).run(30) for seed in range(16))
    ends = [seen.controller.limit for seen in runs if isinstance(seen.controller, AdaptiveLimit)]
    assert sum(end >= 32 for end in ends) >= 13, ends


def test_a_smaller_limit_must_do_as_well_twice() -> None:
    """The first time, the server itself may have become faster."""
    adaptive = AdaptiveLimit(8)
    answer(adaptive, 1, 1.0, now=-FIRST_DOWN)
    answer(adaptive, 12, 1.0)
    assert adaptive.permits == 6
    answer(adaptive, 12, 0.5, now=10)
    assert (adaptive.limit, adaptive.permits) == (8, 8)
    answer(adaptive, 12, 0.5, now=20)
    assert (adaptive.limit, adaptive.permits) == (8, 6)
    answer(adaptive, 12, 0.375, now=30)
    assert adaptive.limit == 6


@pytest.mark.parametrize("queue", [0, 8])
@pytest.mark.parametrize("slots", [2, 8, pytest.param(64, marks=pytest.mark.slow)])
def test_refusals_are_few_and_cost_little(slots: int, queue: int) -> None:
    seen = world(Server(slots=slots, pace=0.3, queue=queue)).run(120)
    assert seen.rate(10, 120) >= 0.9 * slots / (0.3 * MEAN_LENGTH)
    assert seen.refused_share(10, 120) < 0.02


@pytest.mark.parametrize("metrics", SLOW_METRICS)
def test_full_speed_is_back_soon_after_a_dip_in_capacity(metrics: bool) -> None:
    dip = [(60.0, {"slots": 4}), (80.0, {"slots": 64})]
    seen = world(Server(slots=64, pace=0.3, queue=0), metrics=metrics, at=dip).run(120)
    assert max(limits(seen, 70, 80)) <= 8
    assert seen.refused_share(70, 80) < 0.05
    assert seen.rate(90, 120) >= 0.9 * seen.rate(40, 60)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize(
    "controller", [pytest.param(partial(AdaptiveLimit, 512), id="auto"), pytest.param(partial(FixedLimit, 64), id="64")]
)
def test_a_small_limit_is_left_soon_after_an_overload(controller: Callable[[], LimitController], seeds: int) -> None:
    """Sixty answers under a limit of 1 would take another minute or two."""
    for seed in range(1, seeds + 1):
        dip = [(60.0, {"slots": 1}), (120.0, {"slots": 64})]
        server = Server(slots=64, pace=1.0, queue=0)
        seen = World(server, controller(), tokens=mixed_lengths, noise=0.2, seed=seed, at=dip).run(200)
        assert seen.rate(170, 200) >= 0.85 * seen.rate(40, 60)


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize(
    "controller", [pytest.param(partial(AdaptiveLimit, 512), id="auto"), pytest.param(partial(FixedLimit, 64), id="64")]
)
def test_a_server_that_stays_small_is_seldom_tried(controller: Callable[[], LimitController], slots: int) -> None:
    server = Server(slots=64, pace=1.0, queue=0)
    seen = World(server, controller(), noise=0.2, at=[(30.0, {"slots": slots})]).run(900)
    assert seen.refused_share(300, 900) < 0.05
    assert seen.rate(300, 900) > 0.9 * slots


def test_repeated_timeouts_lower_the_limit_and_answers_raise_it() -> None:
    hang = [(30.0, {"hangs": True}), (60.0, {"hangs": False})]
    seen = world(Server(slots=64, pace=0.3), at=hang, timeout=5.0).run(100)
    assert limits(seen, 59, 60)[-1] <= 16
    assert seen.rate(75, 100) >= 0.9 * seen.rate(15, 30)


def test_a_limit_that_is_not_reached_does_not_grow() -> None:
    seen = world(Server(slots=64, pace=0.3), demand=10).run(200)
    assert seen.controller.permits <= 16


def answer(adaptive: AdaptiveLimit, count: int, seconds: float, now: float = 0.0) -> None:
    """Records up to ``count`` answers of so many seconds within one second, until the limit changes."""
    level = adaptive.level
    for number in range(count):
        permit = Permit(adaptive.cuts, adaptive.level, adaptive.permits, now + number / max(1, count - 1))
        adaptive.record_answer(permit, 50, permit.since + seconds)
        if adaptive.level != level:
            return


def test_the_limit_doubles_while_throughput_doubles() -> None:
    adaptive, seen = AdaptiveLimit(100), []
    for _ in range(5):
        seen.append(adaptive.permits)
        answer(adaptive, max(12, adaptive.permits), 1.0)
    assert seen == [8, 16, 32, 64, 100]


def test_the_limit_keeps_within_its_bounds() -> None:
    assert (AdaptiveLimit(3).permits, AdaptiveLimit(1).permits) == (3, 1)
    adaptive = AdaptiveLimit(100)
    for _ in range(50):
        adaptive.record_timeout(Permit(adaptive.cuts), 0.0)
    assert adaptive.permits == 1


def test_a_larger_limit_without_gain_is_taken_back() -> None:
    adaptive = AdaptiveLimit(100)
    answer(adaptive, 12, 1.0)
    assert adaptive.permits == 16
    answer(adaptive, 16, 2.0, now=10)
    assert adaptive.permits == INITIAL_LIMIT


def test_a_saturated_server_gets_the_limit_that_it_serves() -> None:
    adaptive = AdaptiveLimit(100, start=50)
    adaptive.record_saturation(32, 33, 1.0)
    assert adaptive.permits == 32


def test_a_refused_experiment_falls_back_to_the_previous_limit() -> None:
    adaptive = AdaptiveLimit(100)
    answer(adaptive, 12, 1.0)
    adaptive.record_saturation(INITIAL_LIMIT, 16, 2.0)
    assert adaptive.permits == INITIAL_LIMIT


def test_a_refused_limit_is_not_tried_again_at_once() -> None:
    adaptive, tried = AdaptiveLimit(100), set[int]()
    answer(adaptive, 12, 1.0)
    adaptive.record_saturation(INITIAL_LIMIT, 16, 0.0)
    for tick in range(25):
        answer(adaptive, 4, 1.0, now=tick / 10)
        tried.add(adaptive.permits)
    assert INITIAL_LIMIT < max(tried) < 16


def test_a_refused_limit_is_not_tried_again_before_enough_answers() -> None:
    adaptive = AdaptiveLimit(100)
    adaptive.record_saturation(6, INITIAL_LIMIT, 3.0)
    for round in range(12):
        answer(adaptive, 1, 1.0, now=10.0 + 10 * round)
    assert 6 < adaptive.permits < INITIAL_LIMIT


def test_no_smaller_limit_is_tried_soon_after_a_refusal() -> None:
    adaptive, seen = AdaptiveLimit(100), list[int]()
    answer(adaptive, 12, 1.0)
    adaptive.record_saturation(INITIAL_LIMIT, 16, 2.0)
    for round in range(50):
        answer(adaptive, 100, adaptive.permits / 8, now=3.0 + round)
        seen.append(adaptive.permits)
    assert min(seen) == INITIAL_LIMIT
    for round in range(6):
        answer(adaptive, 100, adaptive.permits / 8, now=200.0 + round)
        seen.append(adaptive.permits)
    assert min(seen) < INITIAL_LIMIT, "long afterwards one is tried"


def test_one_timeout_cuts_nothing_and_two_do() -> None:
    adaptive = AdaptiveLimit(100, start=50)
    adaptive.record_timeout(Permit(adaptive.cuts), 1.0)
    assert adaptive.permits == 50
    adaptive.record_timeout(Permit(adaptive.cuts), 1.0)
    assert adaptive.permits == 25


def test_few_timeouts_among_many_answers_cut_nothing() -> None:
    adaptive = AdaptiveLimit(50, start=50)
    for _ in range(10):
        for _ in range(100):
            adaptive.record_answer(Permit(adaptive.cuts, level=-1), 50, 1.0)
        adaptive.record_timeout(Permit(adaptive.cuts), 1.0)
    assert adaptive.permits == 50


def test_each_outage_halves_the_limit() -> None:
    adaptive, seen = AdaptiveLimit(100, start=64), []
    for moment in range(4):
        adaptive.record_outage(float(moment))
        seen.append(adaptive.permits)
    assert seen == [32, 16, 8, 4]


def permits_after(outages: int) -> list[int]:
    """The limits in the minute after the last of several outages under the first limit, at a server with room."""
    adaptive, now, seen = AdaptiveLimit(INITIAL_LIMIT * 8), 0.0, list[int]()
    for _ in range(outages):
        while adaptive.permits < INITIAL_LIMIT:
            answer(adaptive, 100, 1.0, now=now)
            now += 1
        adaptive.record_outage(now)
    for second in range(50):
        answer(adaptive, 100, 1.0, now=now + second)
        seen.append(adaptive.permits)
    return seen


def test_a_limit_is_avoided_only_after_a_second_outage_under_it() -> None:
    assert max(permits_after(1)) > 4 * INITIAL_LIMIT
    assert max(permits_after(2)) < INITIAL_LIMIT


def test_a_server_that_was_frozen_from_the_start_soon_gets_more_requests() -> None:
    """Its requests time out, and so do the single ones that follow."""
    adaptive = AdaptiveLimit(64)
    for moment in range(4):
        for _ in range(adaptive.permits):
            adaptive.record_timeout(Permit(adaptive.cuts), float(moment))
        adaptive.record_outage(float(moment))
    assert adaptive.permits == 1
    for second in range(4, 12):
        answer(adaptive, 100, 1.0, now=float(second))
    assert adaptive.permits > INITIAL_LIMIT


def test_requests_delayed_by_an_outage_are_not_measured() -> None:
    adaptive = AdaptiveLimit(100)
    for number in range(50):
        adaptive.record_answer(Permit(adaptive.cuts, adaptive.level, 8, was_delayed=True), 50, 600.0 + number)
    assert adaptive.permits == INITIAL_LIMIT


def report(
    adaptive: AdaptiveLimit, times: int, *, running: float, waiting: float, kv: float = 0.5, rejections: float = 0
) -> None:
    for _ in range(times):
        adaptive.record_metrics(ServerMetrics(running, waiting, kv, rejections), adaptive.permits, 1.0)


def test_a_queue_of_our_own_requests_is_shortened() -> None:
    adaptive = AdaptiveLimit(100, start=50)
    adaptive.record_saturation(40, 50, 1.0)
    answer(adaptive, 40, 0.5, now=0.4)
    assert adaptive.permits == 40
    report(adaptive, 4, running=10, waiting=30)
    assert adaptive.permits <= 15


def test_a_queue_of_other_clients_is_left_alone() -> None:
    adaptive = AdaptiveLimit(100, start=50)
    adaptive.record_saturation(40, 50, 1.0)
    answer(adaptive, 40, 0.5, now=0.4)
    report(adaptive, 10, running=100, waiting=400)
    assert adaptive.permits == 40


def test_of_a_queue_that_two_clients_make_each_counts_its_share() -> None:
    adaptive = AdaptiveLimit(100, start=50)
    adaptive.record_saturation(40, 50, 1.0)
    answer(adaptive, 40, 0.5, now=0.4)
    report(adaptive, 4, running=16, waiting=44)
    # 40 of 60 requests are this client's, and so are 29 of the 44 that wait, of which 4 are tolerated.
    assert adaptive.permits == 15


@pytest.mark.parametrize("full", [{"kv": 1.0}, {"rejections": 1}])
def test_a_full_server_gets_no_more_requests(full: dict[str, float]) -> None:
    adaptive = AdaptiveLimit(100)
    report(adaptive, 2, running=8, waiting=0)
    report(adaptive, 1, running=8, waiting=0, **full)
    answer(adaptive, 12, 1.0)
    assert adaptive.permits <= INITIAL_LIMIT


def test_a_server_that_works_on_all_requests_soon_gets_more() -> None:
    adaptive, seen = AdaptiveLimit(100), []
    for _ in range(4):
        report(adaptive, 1, running=adaptive.permits, waiting=0, kv=0.1)
        seen.append(adaptive.permits)
    assert seen == [16, 32, 32, 32]


@pytest.mark.parametrize(
    "metrics",
    [
        {"running": 8, "waiting": 3, "kv": 0.1},
        {"running": 4, "waiting": 0, "kv": 0.1},
        {"running": 8, "waiting": 0, "kv": 0.5},
        {"running": 200, "waiting": 0, "kv": 0.1},  # of other clients
    ],
)
def test_a_server_with_another_load_gets_no_more_without_an_experiment(metrics: dict[str, float]) -> None:
    adaptive = AdaptiveLimit(100)
    report(adaptive, 3, **metrics)
    assert adaptive.permits == INITIAL_LIMIT


def test_nothing_is_risked_after_an_answer_was_measured() -> None:
    adaptive = AdaptiveLimit(100)
    answer(adaptive, 12, 1.0)
    adaptive.record_saturation(4, 16, 1.0)
    limit = adaptive.permits
    report(adaptive, 3, running=16, waiting=0, kv=0.1)
    assert adaptive.permits == limit


def test_an_experiment_whose_requests_only_wait_ends_early() -> None:
    adaptive = AdaptiveLimit(100)
    answer(adaptive, 12, 1.0)
    assert adaptive.permits == 16
    report(adaptive, 4, running=8, waiting=8)
    assert INITIAL_LIMIT <= adaptive.permits <= INITIAL_LIMIT + 2


@pytest.mark.parametrize("maximum", [1, 8, 16])
def test_metrics_do_not_stop_the_search_at_a_small_maximum(maximum: int) -> None:
    adaptive = AdaptiveLimit(maximum)
    report(adaptive, 3, running=adaptive.permits, waiting=0, kv=0.1)
    assert adaptive.permits == maximum
    level = adaptive.level
    report(adaptive, 3, running=maximum, waiting=0, kv=0.1)
    assert adaptive.level == level, "what was measured until then is lost"

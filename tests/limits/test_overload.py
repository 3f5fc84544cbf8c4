"""Refusals: those that follow load lower the limit, noise does not; throughput against modelled servers."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.admission import Admission
from persqa_client.limits.controllers import FixedLimit, LimitController, Permit
from persqa_client.limits.overload import State
from tests.limits.server_model import Server, World

SLOTS, LATENCY = 64, 0.2
BAR = 0.85
KINDS = ["auto", "fixed"]
KINDS_AUTO_SLOW = [pytest.param("auto", marks=pytest.mark.slow), "fixed"]


def make_controller(kind: str) -> LimitController:
    return AdaptiveLimit(512) if kind == "auto" else FixedLimit(SLOTS)


def run(kind: str, server: Server, *, seconds: float = 40, seed: int = 1, **more: Any) -> World:
    return World(server, make_controller(kind), seed=seed, **more).run(seconds)


@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "retry_after", [None, *(pytest.param(seconds, marks=pytest.mark.slow) for seconds in (0.05, 5.0))]
)
@pytest.mark.parametrize("share", [0.05, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.01, 0.1, 0.3))])
def test_noise_costs_no_throughput(kind: str, share: float, retry_after: float | None, seeds: int) -> None:
    shares = []
    for seed in range(seeds):
        server = Server(slots=SLOTS, pace=LATENCY, refusals=share, retry_after=retry_after)
        shares.append(run(kind, server, seed=seed).rate(10, 40) / (SLOTS / LATENCY))
    assert median(shares) >= BAR


@pytest.mark.parametrize("kind", KINDS_AUTO_SLOW)
def test_refusals_that_take_as_long_as_answers_cost_no_more_than_their_time(kind: str) -> None:
    seen = run(kind, Server(slots=SLOTS, pace=LATENCY, refusals=0.1, reply_time=LATENCY))
    assert seen.rate(10, 40) >= 0.8 * SLOTS / LATENCY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queue", [0, 8])
@pytest.mark.parametrize("slots", [2, pytest.param(8, marks=pytest.mark.slow), 32])
def test_a_full_server_gets_what_it_serves(kind: str, slots: int, queue: int) -> None:
    seen = run(kind, Server(slots=slots, pace=0.3, queue=queue), seconds=60)
    assert seen.rate(10, 60) >= 0.95 * slots / 0.3
    assert seen.refused_share(10, 60) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_noise_does_not_hide_a_full_server(kind: str) -> None:
    seen = run(kind, Server(slots=20, pace=0.3, queue=8, refusals=0.05), seconds=60)
    assert seen.rate(10, 60) >= BAR * 20 / 0.3
    assert seen.refused_share(10, 60) < 0.1


@pytest.mark.parametrize("kind", KINDS_AUTO_SLOW)
def test_where_few_more_are_refused_with_each_request_more_are_still_faster(kind: str) -> None:
    """At 64 requests, three in ten are refused; at 32, one in thirteen."""
    seen = run(kind, Server(slots=SLOTS, pace=0.3, softness=0.3), seconds=60)
    assert seen.rate(10, 60) >= 0.6 * SLOTS / 0.3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [pytest.param(0.0, marks=pytest.mark.slow), 0.05])
def test_the_limit_follows_a_full_server_whose_capacity_falls_and_rises(kind: str, noise: float) -> None:
    changes = [(30.0, {"slots": 8}), (50.0, {"slots": SLOTS})]
    seen = run(kind, Server(slots=SLOTS, pace=0.3, queue=0, refusals=noise), seconds=90, at=changes)
    assert seen.rate(35, 50) >= 0.9 * 8 / 0.3
    assert seen.refused_share(35, 50) < 0.1 + noise
    assert seen.rate(70, 90) >= 0.75 * SLOTS / 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_noise_that_ended_is_forgotten(kind: str) -> None:
    changes = [(20.0, {"refusals": 0.0})]
    seen = run(kind, Server(slots=SLOTS, pace=LATENCY, refusals=0.3), seconds=40, at=changes)
    assert seen.admission.monitor.noise < 0.01
    assert seen.rate(25, 40) >= 0.9 * SLOTS / LATENCY


def test_a_storm_is_cut_at_once() -> None:
    """64 requests are sent to a server that takes 8 and refuses the others within milliseconds."""
    seen = run("fixed", Server(slots=8, pace=1.0, queue=0), seconds=1)
    assert seen.admission.permits == 8
    assert len(seen.refusals) < 2.5 * SLOTS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("allowed", "period", "pace", "burst"), [(30, 10.0, 0.2, 1), (60, 60.0, 1.0, 1), (10, 1.0, 1.0, 11)]
)
def test_windows_of_requests_are_learnt(kind: str, allowed: int, period: float, pace: float, burst: int) -> None:
    """In windows as short as an answer, the limit of requests in flight has the same effect as a pace."""
    length = 12 * max(period, 5)
    seen = run(kind, Server(slots=200, pace=pace, window=(allowed, period)), seconds=length)
    assert seen.rate(length / 2, length) >= 0.85 * allowed / period
    assert seen.refused_share(length / 2, length) < 0.1
    assert seen.largest_burst(length / 2, length) <= burst


def send(admission: Admission, count: int, now: float) -> list[Permit]:
    return [admission.start(admission.take(now), now) for _ in range(count)]


def refuse(admission: Admission, permits: list[Permit], now: float, retry_after: float | None = None) -> None:
    for permit in permits:
        admission.record_refusal(permit, retry_after, "503: busy.", now)
        admission.release(permit)


def answer(admission: Admission, permits: list[Permit], now: float) -> None:
    for permit in permits:
        admission.release(permit)
        admission.record_answer(permit, 10, now)


def test_nothing_is_sent_until_it_is_clear_what_a_storm_leaves() -> None:
    admission = Admission(FixedLimit(16))
    permits = send(admission, 16, 0.0)
    refuse(admission, permits[8:12], 0.005)
    assert admission.monitor.state is State.COUNT
    assert admission.seconds_to_wait(0.006) > 0
    refuse(admission, permits[12:], 0.007)
    admission.seconds_to_wait(0.1)
    assert (admission.permits, admission.in_use) == (8, 8)


def test_what_is_refused_with_nothing_in_service_does_not_follow_load() -> None:
    """A single request is sent from time to time until one is answered; then the limit is soon as before."""
    admission = Admission(FixedLimit(8))
    refuse(admission, send(admission, 8, 0.0), 0.005)
    admission.seconds_to_wait(0.1)
    assert admission.monitor.nothing_is_accepted
    assert admission.permits == 1
    now, waits = 0.1, list[float]()
    for _ in range(5):
        waits.append(admission.seconds_to_wait(now))
        now += waits[-1]
        refuse(admission, send(admission, 1, now), now + 0.005)
    assert waits == sorted(waits)
    now += admission.seconds_to_wait(now)
    answer(admission, send(admission, 1, now), now + 1)
    for _ in range(8):
        answer(admission, send(admission, 1, now), now + 1)
    assert admission.permits == 8
    assert admission.seconds_to_wait(now + 1) == 0


def test_an_outage_of_refusals_alone_does_not_lower_the_limit() -> None:
    admission = Admission(FixedLimit(8))
    refuse(admission, send(admission, 8, 0.0), 0.005)
    admission.seconds_to_wait(0.1)
    admission.record_outage(1.0)
    assert admission.controller.permits == 8


@pytest.mark.parametrize(("refused", "paused"), [(1, False), (3, False), (8, True)])
def test_a_retry_after_pauses_all_if_several_in_a_row_hear_it(refused: int, paused: bool) -> None:
    admission = Admission(FixedLimit(8))
    permits = send(admission, 8, 0.0)
    refuse(admission, permits[:refused], 0.005, retry_after=60.0)
    assert (admission.seconds_paused(1.0) > 50) is paused


def test_refusals_between_answers_pause_nothing() -> None:
    admission = Admission(FixedLimit(64))
    for number in range(100):
        permits = send(admission, 4, number * 0.2)
        refuse(admission, permits[:1], number * 0.2 + 0.005, retry_after=60.0)
        answer(admission, permits[1:], number * 0.2 + 0.1)
    assert admission.seconds_paused(20.0) == 0


def test_the_report_says_how_many_are_refused_and_why() -> None:
    admission = Admission(FixedLimit(64))
    permits = send(admission, 50, 0.0)
    assert admission.report.describe(0.0) is None
    answer(admission, permits[6:], 0.2)
    refuse(admission, permits[:6], 0.2)
    assert admission.report.describe(10.0) == "12 % of requests were refused in the last minute: 503: busy."
    assert admission.report.describe(100.0) is None


def test_few_refusals_are_not_reported() -> None:
    admission = Admission(FixedLimit(64))
    permits = send(admission, 64, 0.0)
    refuse(admission, permits[:1], 0.2)
    answer(admission, permits[1:], 0.2)
    assert admission.report.describe(1.0) is None

"""Comparison of the throughput under two limits."""

from __future__ import annotations

import random
from math import log

import pytest

from persqa_client.limits.adaptive_limit import ThroughputSample, compare_throughput


def sample(*answers: tuple[float, float], in_flight: float = 8) -> ThroughputSample:
    made = ThroughputSample()
    for seconds, tokens in answers:
        made.add(seconds, tokens, in_flight)
    return made


def test_twice_as_many_in_the_same_time_is_twice_the_throughput() -> None:
    before, after = sample(*[(1.0, 10.0)] * 8), sample(*[(1.0, 10.0)] * 8, in_flight=16)
    assert compare_throughput(before, after) == pytest.approx((log(2), 0.0))


def test_twice_as_many_in_twice_the_time_is_no_gain() -> None:
    before, after = sample(*[(1.0, 10.0)] * 8), sample(*[(2.0, 10.0)] * 8, in_flight=16)
    assert compare_throughput(before, after) == pytest.approx((0.0, 0.0))


def test_shorter_answers_are_no_gain() -> None:
    """0.1 s per token before and after."""
    before = sample(*[(tokens / 10, tokens) for tokens in (5.0, 10.0, 20.0, 40.0)] * 3)
    after = sample(*[(tokens / 10, tokens) for tokens in (5.0, 6.0, 10.0, 12.0)] * 3)
    assert compare_throughput(before, after) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_durations_that_do_not_depend_on_length_are_compared_directly() -> None:
    before = sample(*[(1.0, tokens) for tokens in (5.0, 40.0)] * 6)
    after = sample(*[(1.0, tokens) for tokens in (1.0, 2.0)] * 6)
    assert compare_throughput(before, after) == pytest.approx((0.0, 0.0))


def test_the_standard_error_covers_noise_and_falls_with_the_count() -> None:
    rng = random.Random(0)

    def drawn(count: int) -> ThroughputSample:
        return sample(*[(rng.uniform(0.5, 1.5), 10.0) for _ in range(count)])

    few = [compare_throughput(drawn(10), drawn(10)) for _ in range(200)]
    many = [compare_throughput(drawn(160), drawn(160)) for _ in range(50)]
    assert sum(abs(found) < 2 * error for found, error in few) >= 170
    assert sum(error for _, error in many) / 50 < sum(error for _, error in few) / 200 / 3


def test_a_merged_sample_has_its_weight() -> None:
    old, new = sample(*[(1.0, 10.0)] * 4), sample(*[(4.0, 10.0)] * 4)
    assert old.merge(new, weight=0.5).mean_seconds == pytest.approx(3.0)

"""Rates under one limit and another."""

from __future__ import annotations

import random
from math import log

import pytest

from persqa_client.limits.adaptive_limit import Sample, gain


def sample(*answers: tuple[float, float], in_flight: float = 8) -> Sample:
    made = Sample()
    for seconds, tokens in answers:
        made.add(seconds, tokens, in_flight)
    return made


def test_twice_as_many_in_the_same_time_is_twice_the_rate() -> None:
    before, after = sample(*[(1.0, 10.0)] * 8), sample(*[(1.0, 10.0)] * 8, in_flight=16)
    assert gain(before, after) == pytest.approx((log(2), 0.0))


def test_twice_as_many_in_twice_the_time_is_none() -> None:
    before, after = sample(*[(1.0, 10.0)] * 8), sample(*[(2.0, 10.0)] * 8, in_flight=16)
    assert gain(before, after) == pytest.approx((0.0, 0.0))


def test_answers_of_other_lengths_are_put_on_one() -> None:
    """A server of 0.1 s a token is not faster for shorter answers."""
    before = sample(*[(tokens / 10, tokens) for tokens in (5.0, 10.0, 20.0, 40.0)] * 3)
    after = sample(*[(tokens / 10, tokens) for tokens in (5.0, 6.0, 10.0, 12.0)] * 3)
    assert gain(before, after) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_lengths_that_take_no_longer_are_left_alone() -> None:
    before = sample(*[(1.0, tokens) for tokens in (5.0, 40.0)] * 6)
    after = sample(*[(1.0, tokens) for tokens in (1.0, 2.0)] * 6)
    assert gain(before, after) == pytest.approx((0.0, 0.0))


def test_the_error_covers_chance_and_falls_with_the_count() -> None:
    rng = random.Random(0)

    def drawn(count: int) -> Sample:
        return sample(*[(rng.uniform(0.5, 1.5), 10.0) for _ in range(count)])

    few = [gain(drawn(10), drawn(10)) for _ in range(200)]
    many = [gain(drawn(160), drawn(160)) for _ in range(50)]
    assert sum(abs(found) < 2 * error for found, error in few) >= 170
    assert sum(error for _, error in many) / 50 < sum(error for _, error in few) / 200 / 3


def test_half_a_sample_weighs_half() -> None:
    old, new = sample(*[(1.0, 10.0)] * 4), sample(*[(4.0, 10.0)] * 4)
    assert (old.faded(0.5) + new).mean_seconds == pytest.approx(3.0)

"""Estimates of totals: the interval covers the total of numbers with and without a heavy tail."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from persqa_client.run.intervals import Estimate, estimate_by_ratio, estimate_total, student_quantile

TRIALS, POPULATION = 200, 500


def draw_capped(rng: random.Random) -> float:
    """The lengths of answers: some words, and the thoughts of a model, up to its limit."""
    return min(512, 20 + rng.lognormvariate(4, 1))


@pytest.mark.parametrize(
    ("draw", "count", "least"),
    [
        pytest.param(lambda rng: max(1, rng.gauss(60, 10)), 20, 0.92, id="symmetric"),
        pytest.param(lambda rng: rng.lognormvariate(4, 1), 20, 0.92, id="heavy tail"),
        pytest.param(lambda rng: rng.expovariate(1 / 60), 20, 0.92, id="exponential"),
        pytest.param(draw_capped, 20, 0.95, id="heavy tail with a limit"),
        pytest.param(lambda rng: 20 + 60 * rng.lognormvariate(0, 1), 20, 0.95, id="heavy tail above an offset"),
        pytest.param(draw_capped, 100, 0.92, id="heavy tail with a limit, larger sample"),
        pytest.param(lambda rng: 0 if rng.random() < 0.2 else rng.gauss(60, 20), 20, 0.92, id="some zeros"),
    ],
)
def test_the_interval_covers_the_total(draw: Callable[[random.Random], float], count: int, least: float) -> None:
    rng, covered, near = random.Random(1), 0, 0
    for _ in range(TRIALS):
        numbers = [draw(rng) for _ in range(POPULATION)]
        found = estimate_total(numbers[:count], POPULATION)
        covered += found.low <= sum(numbers) <= found.high
        near += abs(found.value / sum(numbers) - 1) < 0.15
        assert found.low <= found.value <= found.high
    assert covered / TRIALS >= least
    assert near / TRIALS >= (0.9 if count == 100 else 0.4)


def test_twenty_answers_tell_the_tokens_of_a_run_within_15_percent() -> None:
    """Those of a prompt with a small picture are known, and the answers with their heavy tail are the smaller part."""
    rng, near, covered = random.Random(3), 0, 0
    prompts = Estimate(400.0 * POPULATION, 390.0 * POPULATION, 410.0 * POPULATION)
    for _ in range(TRIALS):
        numbers = [draw_capped(rng) for _ in range(POPULATION)]
        total = prompts.value + sum(numbers)
        found = prompts.plus(estimate_total(numbers[:20], POPULATION))
        near += abs(found.value / total - 1) < 0.15
        covered += found.low <= total <= found.high
    assert near / TRIALS >= 0.97
    assert covered / TRIALS >= 0.95


def test_a_sample_of_all_numbers_is_certain() -> None:
    assert estimate_total([1, 2, 3], 3) == Estimate(6, 6, 6)
    assert estimate_total([5, 5], 100) == pytest.approx(Estimate(500, 500, 500))


def test_the_total_is_at_least_what_is_known_and_at_most_the_limit() -> None:
    wide = estimate_total([1, 1000], 10, upper_bound=1000)
    assert (wide.low, wide.high) == (1001, 1001 + 8 * 1000)
    # The sample knows better.
    assert estimate_total([7, 9], 10, upper_bound=5).high == 16 + 8 * 9
    assert estimate_total([7], 10, upper_bound=100) == Estimate(70, 7, 7 + 9 * 100)
    assert estimate_total([7], 10).to_json() == {"value": 70, "low": 7, "high": None}
    assert estimate_total([0, 0, 0], 9) == Estimate(0, 0, 0)


def test_proportional_numbers_are_estimated_closely() -> None:
    rng = random.Random(2)
    pairs = [(other, other * 1.1 + rng.gauss(0, 5)) for other in (rng.uniform(100, 1000) for _ in range(500))]
    total = sum(number for _, number in pairs)
    found = estimate_by_ratio(pairs[:20], sum(other for other, _ in pairs), 20 / 500)
    assert found.low <= total <= found.high
    assert found.high - found.low < 0.02 * total
    assert estimate_by_ratio(pairs, sum(other for other, _ in pairs), 1.0).value == pytest.approx(total)
    assert math.isinf(estimate_by_ratio(pairs[:1], 1000.0, 0.1).high)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (5, 2.571), (9, 2.262), (19, 2.093), (99, 1.984)])
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=0.002)

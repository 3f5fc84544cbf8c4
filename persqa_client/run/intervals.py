"""Estimates of totals from a sample, with 95 % intervals.

Numbers of tokens have heavy tails: a few answers are many times longer than the others. The mean of the sample is the
estimate, since it has no bias whatever the distribution; with 20 numbers of a log-normal distribution, a winsorised or
a log-normal mean is not nearer. Its interval is the smallest one that contains three others. Student's t covers
symmetric numbers. Cox's interval of the mean of a log-normal distribution (Olsson 2005, with t in place of z) is
asymmetric and covers skewed numbers. Cox's interval above an offset covers numbers with a fixed part, such as the text
of an answer beside reasoning of varying length. A bootstrap of 20 skewed numbers is too narrow: it does not cover a
tail that is missing from the sample. No interval covers rare values that do not occur in the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, median, stdev, variance
from typing import NamedTuple

CONFIDENCE = 0.95
# Two-sided 95 % quantiles of Student's t for the first degrees of freedom, where the series is not exact.
FIRST_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447)
# Minimum size of a sample for an estimate of the offset.
OFFSET_COUNT = 10


class Estimate(NamedTuple):
    value: float
    # The 95 % interval; infinite at the top for a sample of one.
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        return Estimate(factor * self.value, factor * self.low, factor * self.high)

    def plus(self, other: Estimate) -> Estimate:
        """The sum of two estimates. The bounds are added, as if both were reached together."""
        return Estimate(self.value + other.value, self.low + other.low, self.high + other.high)

    def to_json(self) -> dict[str, float | None]:
        return {
            "value": round(self.value, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6) if math.isfinite(self.high) else None,
        }


def estimate_total(sample: Sequence[float], population: int, upper_bound: float = math.inf) -> Estimate:
    """The sum of ``population`` numbers that are not negative, of which the sample is known.

    ``upper_bound``: an upper bound of the numbers. If the sample has a larger number, that one is used.
    """
    count, known, upper_bound = len(sample), sum(sample), max(upper_bound, *sample)
    if count >= population:
        return Estimate(known, known, known)
    mean = fmean(sample)
    if count == 1:
        rest = population - 1
        return Estimate(population * mean, known, known + rest * upper_bound)
    # A part of the population is known.
    population_correction = math.sqrt(1 - count / population)
    low, high = mean_interval(sample, population_correction)
    return Estimate(
        population * mean,
        max(known, population * low),
        max(population * mean, min(population * high, known + (population - count) * upper_bound)),
    )


def mean_interval(sample: Sequence[float], population_correction: float) -> tuple[float, float]:
    """The hull of the intervals; ``population_correction`` scales their widths. For at least two numbers."""
    count, mean = len(sample), fmean(sample)
    half_width = population_correction * student_quantile(count - 1) * stdev(sample) / math.sqrt(count)
    low, high = mean - half_width, mean + half_width
    positive = sorted(value for value in sample if value > 0)
    if len(positive) >= 2:
        share = len(positive) / count
        for offset in {0.0, find_offset(positive)}:
            lower, upper = log_normal_interval([value - offset for value in positive], population_correction)
            low, high = min(low, share * (offset + lower)), max(high, share * (offset + upper))
    return max(0.0, low), high


def log_normal_interval(sample: Sequence[float], population_correction: float) -> tuple[float, float]:
    """Cox's, of at least two positive numbers."""
    logarithms = list(map(math.log, sample))
    spread, degrees = variance(logarithms), len(sample) - 1
    width = math.sqrt(spread / len(sample) + spread**2 / (2 * degrees))
    half_width = population_correction * student_quantile(degrees) * width
    centre = fmean(logarithms) + spread / 2
    # Larger numbers than 700 have no exponential.
    return math.exp(centre - half_width), math.exp(min(centre + half_width, 700.0))


def find_offset(ascending: Sequence[float]) -> float:
    """The offset for which the logarithms of the extremes are equally far from that of the median; 0 if none is
    positive.

    By Aitchison and Brown's method of quantiles for the log-normal distribution with three parameters; a few numbers
    are not enough for it.

    >>> find_offset([21] * 5 + [30] + [120] * 5)
    20.0
    """
    if len(ascending) < OFFSET_COUNT:
        return 0.0
    lowest, middle, highest = ascending[0], median(ascending), ascending[-1]
    skew = lowest + highest - 2 * middle
    offset = (lowest * highest - middle**2) / skew if skew > 0 else 0.0
    return offset if 0 < offset < lowest else 0.0


def estimate_by_ratio(sample: Sequence[tuple[float, float]], total: float, share: float) -> Estimate:
    """Estimates the sum of y, where y is about proportional to x, and the sum of x is ``total``.

    ``sample``: pairs (x, y). ``share``: size of the sample divided by that of the population.
    """
    ratio = sum(number for _, number in sample) / sum(other for other, _ in sample)
    count = len(sample)
    if count < 2 or share >= 1:
        return Estimate(ratio * total, ratio * total, ratio * total if share >= 1 else math.inf)
    # By linearisation, as in Cochran's Sampling Techniques, section 6.4.
    squares = sum((number - ratio * other) ** 2 for other, number in sample) / (count - 1)
    mean = fmean(other for other, _ in sample)
    half_width = student_quantile(count - 1) * math.sqrt((1 - share) * squares / count) / mean * total
    return Estimate(ratio * total, max(0.0, ratio * total - half_width), ratio * total + half_width)


def student_quantile(degrees: int) -> float:
    """Two-sided, for 95 %. By the series of Cornish and Fisher.

    >>> round(student_quantile(19), 3), round(student_quantile(1000), 3)
    (2.093, 1.962)
    """
    if degrees <= len(FIRST_QUANTILES):
        return FIRST_QUANTILES[degrees - 1]
    z: float = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum((term / degrees**power for power, term in enumerate(terms, 1)), 0.0)

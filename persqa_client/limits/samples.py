"""How fast a server answered under one limit, and whether that is more than under another. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt


@dataclass(slots=True)
class Sample:
    """Sums over answers that came while the limit was used to the full.

    By Little's law the rate is what is in flight over the time that one takes; unlike counting answers in a stretch of
    time, that also holds where the answers come in waves.
    """

    count: float = 0
    in_flight: float = 0.0
    seconds: float = 0.0
    tokens: float = 0.0
    seconds_squared: float = 0.0
    tokens_squared: float = 0.0
    product: float = 0.0

    def add(self, seconds: float, tokens: float, in_flight: float) -> None:
        """One answer: how long it took, how long it was, how many were under way with it."""
        self.count += 1
        self.in_flight += in_flight
        self.seconds += seconds
        self.tokens += tokens
        self.seconds_squared += seconds * seconds
        self.tokens_squared += tokens * tokens
        self.product += seconds * tokens

    def faded(self, share: float) -> Sample:
        """The same sample with a share of its weight."""
        return Sample(*(share * value for value in self._sums()))

    def __add__(self, other: Sample) -> Sample:
        return Sample(*(mine + theirs for mine, theirs in zip(self._sums(), other._sums(), strict=True)))

    def _sums(self) -> tuple[float, ...]:
        return (
            self.count,
            self.in_flight,
            self.seconds,
            self.tokens,
            self.seconds_squared,
            self.tokens_squared,
            self.product,
        )

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.count

    @property
    def mean_tokens(self) -> float:
        return self.tokens / self.count

    def seconds_for(self, tokens: float) -> tuple[float, float]:
        """Mean time of an answer of this length, and its standard error.

        Answers differ in length and the short ones come first, so the times are put on one length by their slope.
        """
        mean, length = self.mean_seconds, self.mean_tokens
        spread = max(0.0, self.seconds_squared / self.count - mean * mean)
        width = max(0.0, self.tokens_squared / self.count - length * length)
        shared = self.product / self.count - mean * length
        slope = max(0.0, shared / width) if width > 1e-9 else 0.0
        expected = mean + slope * (tokens - length)
        if expected < mean / 4:
            slope, expected = 0.0, mean
        left = max(0.0, spread - slope * slope * width)
        return expected, sqrt(left / max(1.0, self.count - 2))


def gain(before: Sample, after: Sample) -> tuple[float, float]:
    """The logarithm of how many times the rate became, for answers of one length, and its standard error."""
    length = before.mean_tokens
    (old, old_error), (new, new_error) = before.seconds_for(length), after.seconds_for(length)
    if old <= 0 or new <= 0:
        return 0.0, inf
    rates = (before.in_flight / before.count / old, after.in_flight / after.count / new)
    return log(rates[1] / rates[0]), sqrt((old_error / old) ** 2 + (new_error / new) ** 2)

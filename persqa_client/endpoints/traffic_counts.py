"""Counts of the requests to an endpoint since the start of this process, with the durations of the answered ones."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from persqa_client.types import Usage

# Upper ends of the classes of durations, in seconds: eight for each factor of ten, from 0.05 s to 10 min.
DURATION_BOUNDS = tuple(round(0.05 * 10 ** (step / 8), 4) for step in range(34))


@dataclass(slots=True)
class Durations:
    """Number of answers by duration. The last class has all that are longer than the last bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(DURATION_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def merge(self, other: Durations) -> None:
        self.counts = [own + added for own, added in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


@dataclass(slots=True)
class TrafficCounts:
    sent: int = 0
    answered: int = 0
    retried: int = 0
    trials: int = 0  # answered trials, which belong to no row
    in_flight: int = 0  # on their way to the server, without trials
    failed_rows: int = 0  # rows whose last attempt was at this endpoint
    usage: Usage = field(default_factory=Usage)
    retries: Counter[str] = field(default_factory=Counter)  # ``retried`` by the code of the attempt before
    refusals: Counter[str] = field(default_factory=Counter)  # attempts refused because of load, by code
    durations: Durations = field(default_factory=Durations)

    def record_sent(self, retry_reason: str | None) -> None:
        """``retry_reason``: the code of the failed attempt before; None for a first attempt."""
        self.sent += 1
        self.in_flight += 1
        if retry_reason is not None:
            self.retried += 1
            self.retries[retry_reason] += 1

    def merge(self, other: TrafficCounts) -> None:
        self.sent += other.sent
        self.answered += other.answered
        self.retried += other.retried
        self.trials += other.trials
        self.in_flight += other.in_flight
        self.failed_rows += other.failed_rows
        self.usage += other.usage
        self.retries += other.retries
        self.refusals += other.refusals
        self.durations.merge(other.durations)


def find_percentiles(counts: Sequence[int], shares: Sequence[float]) -> list[float] | None:
    """Durations in seconds that these shares of the answers do not exceed; None without answers.

    Interpolated by logarithm in a class. They are therefore at most a third off. The last class, which has no upper
    bound, is treated as if it were as wide as the class before it.
    """
    total = sum(counts)
    return [find_percentile(counts, share * total) for share in shares] if total else None


def find_percentile(counts: Sequence[int], rank: float) -> float:
    """``rank``: number of answers that are not longer."""
    growth = DURATION_BOUNDS[1] / DURATION_BOUNDS[0]
    passed = 0
    for place, count in enumerate(counts):
        if count and passed + count >= rank:
            start = DURATION_BOUNDS[place - 1] if place else DURATION_BOUNDS[0] / growth
            return float(start * growth ** ((rank - passed) / count))
        passed += count
    return DURATION_BOUNDS[-1] * growth

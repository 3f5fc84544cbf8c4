"""Permits, the interface that decides their number, and the fixed number of ``--concurrency N``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from persqa_client.limits.server_metrics import ServerMetrics

LOWERED_FACTOR = 0.8  # factor of the limit, to test whether refusals end under a lower one
OUTAGE_FACTOR = 0.75  # factor of a fixed limit, after repeated timeouts or an outage
REGROWTH = 0.2  # share of a fixed limit regained for as many answers as there are permits
# Minimum number and share of timeouts that lower the limit; fewer may be chance.
MIN_TIMEOUTS, MIN_TIMEOUT_SHARE = 2, 0.05

# Seconds below a refused limit, doubled after another refusal.
BACKOFF, MAX_BACKOFF = 5.0, 10.0
# Answers needed before a refused limit is tried again, so that slow servers refuse less. If the server has answered
# several times as many requests at once, it is probably overloaded for a while, and answers under a small limit take
# long, so their number depends on the limit, and doubles with each failed try: the server may stay small.
BACKOFF_ANSWERS = 60
OVERLOADED, OVERLOADED_ANSWERS = 4, 10
CLEARED = 1.25  # an answer with this multiple of a refused limit in flight shows a larger capacity
CEILING_LIFETIME = 60.0  # seconds after the backoff in which a refused limit counts as the server's capacity


@dataclass(slots=True, eq=False)
class Permit:
    """Permission for one request in flight, with the state of the limit when it was given."""

    # Number of reductions and changes so far: outcomes of older requests are ignored.
    cuts: int = 0
    level: int = 0
    in_use: int = 0  # permits in use, including this one
    since: float = 0.0
    was_delayed: bool = False  # whether an outage delayed it, so its duration does not show the server's speed
    number: int = 0  # number in the order of sending
    epoch: int = 0  # number of changes of the limit by RefusalMonitor
    tallied: bool = False  # whether RefusalMonitor has counted its outcome
    ended: bool = False
    refused: bool = False


class LimitController(Protocol):
    """Decides the number of permits. ``now`` is monotonic, in seconds."""

    @property
    def permits(self) -> int: ...

    @property
    def cuts(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def fallback(self) -> int | None:
        """The lower limit that is kept if the larger limit that is being tried brings nothing."""
        ...

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None: ...

    def record_saturation(self, limit: int, refused: int, now: float) -> None:
        """The server refused requests under one limit, and no longer does under a lower one."""
        ...

    def record_timeout(self, permit: Permit, now: float) -> None: ...

    def record_outage(self, now: float) -> None: ...

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None: ...


@dataclass(slots=True)
class TimeoutCount:
    timeouts: int = 0
    outcomes: int = 0

    @property
    def is_significant(self) -> bool:
        return self.timeouts >= MIN_TIMEOUTS and self.timeouts >= MIN_TIMEOUT_SHARE * self.outcomes


def is_about(limit: int, other: int) -> bool:
    return 0.85 * other <= limit <= 1.1 * other


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit under which the server refused."""

    limit: int
    until: float
    backoff: float
    failed_tries: int = 0  # of this limit: the server refused again

    def raise_backoff(self, limit: int, now: float, backoff: float) -> Ceiling:
        """Ceiling after another refusal; the backoff doubles for about the same limit."""
        if is_about(limit, self.limit):
            backoff = max(backoff, min(MAX_BACKOFF, 2 * self.backoff))
        failed_tries = self.failed_tries + 1 if is_about(limit, self.limit) else 0
        return Ceiling(limit, now + backoff, backoff, failed_tries)

    def cap(self, wanted: int, limit: int, now: float, answers: int, most_answered: int) -> int:
        """Caps ``wanted`` below the ceiling, or at the ceiling after the backoff."""
        is_early = self.is_backing_off(now, answers, most_answered)
        return min(wanted, self.limit - 1 if is_early else max(self.limit, limit + 1))

    def is_backing_off(self, now: float, answers: int, most_answered: int) -> bool:
        """``most_answered``: the largest number of requests in flight of which one was answered."""
        is_overloaded = OVERLOADED * self.limit <= most_answered
        fewer = OVERLOADED_ANSWERS * self.limit * 2**self.failed_tries
        enough = min(BACKOFF_ANSWERS, fewer) if is_overloaded else BACKOFF_ANSWERS
        return now < self.until or answers < enough

    def is_recent(self, now: float) -> bool:
        return now < self.until + CEILING_LIFETIME


@dataclass(slots=True)
class FixedLimit:
    """The user's number, lowered by saturation, timeouts and outages, and raised by answers."""

    maximum: int
    cuts: int = 0
    level: int = 0  # not counted: only AdaptiveLimit uses it
    limit: float = field(init=False)
    _timeouts: TimeoutCount = field(default_factory=TimeoutCount)
    _ceiling: Ceiling | None = None
    _most_answered: int = 0  # as in Ceiling.is_backing_off

    def __post_init__(self) -> None:
        self.limit = float(self.maximum)

    @property
    def permits(self) -> int:
        return max(1, int(self.limit))

    @property
    def fallback(self) -> int | None:
        ceiling = self._ceiling
        return ceiling.limit - 1 if ceiling is not None and 1 < ceiling.limit <= self.permits else None

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None:
        self._timeouts.outcomes += 1
        self._most_answered = max(self._most_answered, permit.in_use)
        if permit.cuts != self.cuts:
            return
        is_known = self._ceiling is None or self.limit < self._ceiling.limit - 1
        larger = min(self.maximum, self.limit + max(1 / self.limit, REGROWTH if is_known else 0.0))
        answers = self._timeouts.outcomes
        if self._ceiling is not None and self._ceiling.is_backing_off(now, answers, self._most_answered):
            larger = min(larger, max(self.limit, self._ceiling.limit - 1))
        self.limit = larger
        if self._ceiling is not None and permit.in_use > CLEARED * self._ceiling.limit:
            self._ceiling = None

    def record_saturation(self, limit: int, refused: int, now: float) -> None:
        self._ceiling = (self._ceiling or Ceiling(0, 0.0, 0.0)).raise_backoff(refused, now, BACKOFF)
        self._cut(limit)

    def record_timeout(self, permit: Permit, now: float) -> None:
        self._timeouts.outcomes += 1
        if permit.cuts == self.cuts:
            self._timeouts.timeouts += 1
            if self._timeouts.is_significant:
                self._cut(self.limit * OUTAGE_FACTOR)

    def record_outage(self, now: float) -> None:
        self._cut(self.limit * OUTAGE_FACTOR)

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None:
        """Ignored: the limit is the user's choice."""

    def _cut(self, limit: float) -> None:
        self.cuts += 1
        self.limit = max(1.0, min(limit, self.limit))
        self._timeouts = TimeoutCount()

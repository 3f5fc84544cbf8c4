"""How many requests at once a server can use: the limit that more no longer makes faster. Pure; time is an argument.

The rate under the present limit is compared with that under a neighbouring one, and the smaller is kept unless the
larger brings more. Refusals, time-outs and outages take some of the limit away at once; what a server tells of its
queue shortens the search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf, log, sqrt

from persqa_client.limits.concurrency import Permit, Strikes
from persqa_client.limits.server_metrics import Queue, ServerMetrics

# How fast a server answered under one limit, and whether that is more than under another. Pure.


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


# A limit that a server refused: how long and how far to stay below it. Pure.

PATIENCE, LONGEST_PATIENCE, OUTAGE_PATIENCE = 5.0, 10.0, 60.0
"""Seconds that the limit is kept below one that was refused; twice as long when it is refused again."""
QUIET = 20
"""Answers, too, that come before it is tried again, so that refusals stay few where answers are slow."""
MEMORY = 60.0
"""Seconds more for which it counts as what the server takes."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The limit that was refused last, and until when it is kept away from."""

    limit: int
    until: float
    patience: float

    def hit(self, limit: int, now: float, patience: float) -> Ceiling:
        """The one after a further refusal, which may be of the same limit again."""
        if 0.85 * self.limit <= limit <= 1.1 * self.limit:
            patience = max(patience, min(LONGEST_PATIENCE, 2 * self.patience))
        return Ceiling(limit, now + patience, patience)

    def lower(self, wanted: int, limit: int, now: float, answers: int) -> int:
        """What may be tried in place of ``wanted``: less than was refused, or later no more than just that.

        ``answers`` have come since.
        """
        waits = now < self.until or answers < QUIET
        return min(wanted, self.limit - 1 if waits else max(self.limit, limit + 1))

    def fresh(self, now: float) -> bool:
        """Whether the server has told lately what is too much."""
        return now < self.until + MEMORY


INITIAL_LIMIT = 8
"""Enough to keep a small server busy, and not so many that the last one would wait past its time-out."""
WORTH = 0.1
"""A larger limit must bring this share of what it would bring where there is room: for twice as many, 7 % more."""
FAR = 0.7
"""Where it brings more than this share, the knee is far off."""
SURE = 1.5
"""Standard errors by which a trial must differ from what it is held against, or it goes on for a while."""
UP, DOWN, DOUBLE = 1.25, 0.8, 2.0
REFUSAL_CUT, CUT_BY_TIMEOUTS = 0.8, 0.5
SATURATED = 0.9
"""An answer counts where so much of the limit was in use: else the limit was not what held the rate back."""
FEW, FIRST, SPAN = 8, 12, 0.7
"""Answers that a comparison needs at least, those of the first rate, and the seconds over which they come."""
FADED = 0.7
"""What an earlier rate weighs beside a later one, under the same limit."""
LEAST = 0.25
"""The share of a limit that is left when the rate has fallen, however far."""
WORSE, BETTER = -0.2, 0.05
"""Logarithms of the rate's change, under a limit that stayed, by which the server has become another one."""
CALM = 0.5
"""Seconds after a trial that was refused in which further refusals are still its own."""
REST, LONGEST_REST = 5.0, 120.0
"""Seconds between looks downwards that were in vain; between looks upwards it is 2, for they cost nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Another limit than the present one, tried."""

    limit: int
    queued: float | None = None
    """What waited at the server, by its own word, where that is why less is tried."""
    second: bool = False
    """Whether the same limit has done well already."""


@dataclass(slots=True)
class AdaptiveLimit:
    """Finds the limit, from 1 to ``maximum``, by itself."""

    maximum: int
    start: int = INITIAL_LIMIT
    cuts: int = 0
    level: int = 0
    limit: int = field(init=False)
    """What is believed to be right; during a trial ``slots`` is another."""
    _trial: Trial | None = None
    _before: Sample | None = None
    """The rate under ``limit``."""
    _latest: Sample = field(default_factory=Sample)
    _queue: Queue = field(default_factory=Queue)
    _queued: float = 0.0
    """What waited at the server under ``limit``, by its own word."""
    _tolerated: float = 1.0
    """What may wait there: the batches of some servers let a few wait at all times."""
    _ceiling: Ceiling | None = None
    _step: float = DOUBLE
    _next_up: float = 0.0
    _next_down: float = 0.0
    _rest: float = 0.0
    _strikes: Strikes = field(default_factory=Strikes)
    _promising: int | None = None
    """A smaller limit that has done as well as ``limit``, once."""
    _first: float = 0.0
    """When the first answer of ``_latest`` came."""
    _calm: float = 0.0
    """Until when refusals are the aftermath of a trial that was too much."""
    _proven: int = 0
    """The limit under which the last answer came."""

    def __post_init__(self) -> None:
        self.limit = self._proven = min(self.start, self.maximum)

    @property
    def permits(self) -> int:
        return self.limit if self._trial is None else self._trial.limit

    def record_answer(self, lease: Permit, tokens: int, now: float) -> None:
        if lease.cuts == self.cuts:
            self._strikes.ends += 1
            self._proven = self.limit
        if lease.level != self.level or lease.was_delayed or lease.in_use < SATURATED * self.permits:
            return
        if not self._latest.count:
            self._first = now
        self._latest.add(now - lease.since, tokens, lease.in_use)
        if now < self._first + SPAN:
            return
        if self._trial is not None and self._before is not None:
            self._judge(self._trial, self._before, now)
        elif self._before is None and self._latest.count >= max(FIRST, self.limit):
            self._before, self._latest = self._latest, Sample()
            self._try_another(now)
        elif self._before is not None and self._latest.count >= max(FIRST, self.limit):
            self._reconsider(self._before, now)

    def _judge(self, trial: Trial, before: Sample, now: float) -> None:
        """Ends the trial as soon as it is clear what it brings."""
        count = self._latest.count
        if count < max(FEW, trial.limit):
            return
        found, error = gain(before, self._latest)
        span = log(trial.limit / self.limit)
        ahead = found - WORTH * span
        if abs(ahead) < SURE * error and count < FEW + 2 * max(trial.limit, before.count):
            return
        if ahead < 0 or (span < 0 and error > abs(span) / 2):
            self._reject(trial, now)
        elif span < 0 and trial.queued is None and not trial.second:
            self._return_once(trial)
        else:
            self._accept(trial, now, far=found > FAR * span)

    def _return_once(self, trial: Trial) -> None:
        """Less did as well, but the server may just have become faster: both are looked at once more."""
        self._promising, self._trial = trial.limit, None
        self._move()

    def _accept(self, trial: Trial, now: float, *, far: bool) -> None:
        """Takes the limit, and tries a further one in its direction at once."""
        if trial.limit > self.limit:
            self._step = DOUBLE if far else min(DOUBLE, self._step**2)
            self._next_up = now
        else:
            self._next_down = now
        self._rest, self._queued = 0.0, self._queue.mean or 0.0
        self.limit, self._before, self._trial = trial.limit, self._latest, None
        if self._ceiling is not None and self.limit >= self._ceiling.limit:
            self._ceiling = None
        self._move()
        self._try_another(now)

    def _reject(self, trial: Trial, now: float) -> None:
        pace = self._before.mean_seconds if self._before is not None else 0.0
        if trial.limit > self.limit:
            self._next_up = now + max(2.0, 2 * pace)
            self._step = UP if self._step == DOUBLE else DOUBLE
        else:
            self._rest = min(LONGEST_REST, max(REST, 10 * pace, 2 * self._rest))
            self._next_down = now + self._rest
            if trial.queued is not None:
                self._tolerated = max(self._tolerated, 1.5 * trial.queued)
        self._trial = None
        self._move()

    def _reconsider(self, before: Sample, now: float) -> None:
        """Looks at what came under the present limit: a server that has changed wants another one soon."""
        latest, self._latest = self._latest, Sample()
        found, error = gain(before, latest)
        worse = found < WORSE and found + SURE * error < WORSE / 2
        better = found > BETTER and found - SURE * error > BETTER / 2
        if worse or better:
            self._before, self._tolerated = latest, 1.0
        else:
            self._before = before.faded(FADED) + latest
        if better:
            self._step, self._next_up = DOUBLE, now
        if worse and self._begin(round(self.limit * max(LEAST, exp(found)))):
            return
        self._try_another(now)

    def _try_another(self, now: float) -> None:
        if (limit := self._promising) is not None:
            self._promising = None
            if limit < self.limit and self._begin(limit, second=True):
                return
        if now >= self._next_up and not self._queue.full and self._begin(self._above(now)):
            return
        # A server that refuses says itself when it is too much.
        if now >= self._next_down and not (self._ceiling and self._ceiling.fresh(now)):
            self._begin(min(self.limit - 1, round(self.limit * DOWN)))

    def _above(self, now: float) -> int:
        """The next larger limit to try: short of one that was refused, and when its time is over just that one."""
        larger = max(self.limit + 1, round(self.limit * self._step))
        if self._ceiling is not None:
            larger = self._ceiling.lower(larger, self.limit, now, self._strikes.ends)
        return min(self.maximum, larger)

    def _begin(self, limit: int, queued: float | None = None, *, second: bool = False) -> bool:
        """Whether there is now a trial of that limit."""
        if self._before is None or limit == self.limit or not 1 <= limit <= self.maximum:
            return False
        self._trial = Trial(limit, queued, second)
        self._move()
        return True

    def _move(self) -> None:
        """The limit is another one: what comes of what was sent before says nothing about it."""
        self.level += 1
        self._latest, self._queue = Sample(), self._queue.anew()

    def record_refusal(self, lease: Permit, now: float) -> None:
        if lease.cuts == self.cuts and now >= self._calm:
            self._strikes.ends += 1
            self._cut(REFUSAL_CUT, now, PATIENCE)

    def record_timeout(self, lease: Permit, now: float) -> None:
        if lease.cuts == self.cuts:
            self._strikes.ends += 1
            self._strikes.timeouts += 1
            if self._strikes.out:
                self._cut(CUT_BY_TIMEOUTS, now, PATIENCE)

    def record_outage(self, now: float) -> None:
        """Half of what brought answers last: the refusals of a server on its way out say nothing of what it can do."""
        self._cut(REFUSAL_CUT, now, OUTAGE_PATIENCE)
        self._proven = self.limit = max(1, self._proven // 2)
        self._before, self._step, self._next_up = None, DOUBLE, now

    def _cut(self, share: float, now: float, patience: float) -> None:
        """Takes a part of the slots away; of a larger limit that was only tried, all that it had added."""
        hit, self.cuts = self.permits, self.cuts + 1
        self._ceiling = (self._ceiling or Ceiling(0, 0.0, 0.0)).hit(hit, now, patience)
        if hit <= self.limit:
            self.limit, self._before = max(1, int(hit * share)), None
        else:
            self._calm = now + CALM
        self._trial, self._step, self._strikes = None, UP, Strikes()
        self._next_up, self._next_down = now + 1.0, max(self._next_down, now + REST)
        self._move()

    def record_metrics(self, gauges: ServerMetrics, in_use: int, now: float) -> None:
        if in_use < SATURATED * self.permits or gauges.foreign(in_use):
            return
        self._queue.add(gauges)
        if (queued := self._queue.mean) is None:
            return
        spare = round(queued - max(self._tolerated, 0.1 * self.permits))
        if self._trial is None:
            self._queued = queued
            if spare > 0 and self._begin(max(1, self.limit - spare), queued):
                return
        elif (added := self._trial.limit - self.limit) > 0 and queued - self._queued > added / 2:
            self._settle(self._trial, self._trial.limit - max(0, spare), now)

    def _settle(self, trial: Trial, useful: int, now: float) -> None:
        """Most of what the trial added only waits at the server: what does not is kept."""
        self._reject(trial, now)
        if useful > self.limit:
            self.limit, self._before = useful, None

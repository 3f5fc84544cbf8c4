"""How many requests at once a server can use: the limit that more no longer makes faster. Pure; time is an argument.

The rate under the present limit is compared with that under a neighbouring one, and the smaller limit is kept unless the
larger brings more. Refusals, time-outs and outages take some of the limit away at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

from persqa_client.chat.control import Lease, Strikes
from persqa_client.chat.gauges import Gauges
from persqa_client.chat.samples import Sample, gain

START = 8
"""Enough to keep a small server busy, and not so many that the last one would wait past its time-out."""
WORTH = 0.1
"""A larger limit must bring this share of what it would bring a server with room: 7 % more answers for twice the limit."""
FAR = 0.7
"""Where it brings more than this share of that, the knee is far off."""
SURE = 1.5
"""Standard errors by which a trial must differ from what it is held against, or it goes on."""
UP, DOWN, DOUBLE = 1.25, 0.8, 2.0
CUT = 0.8
SATURATED = 0.9
"""An answer counts where so much of the limit was in use: else the limit was not what held the rate back."""
CHANGED, BETTER = -0.2, 0.05
"""Logarithms of the rate, under a limit that stayed, by which the server has become another one."""
PATIENCE, LONGEST_PATIENCE = 5.0, 60.0
"""Seconds that a limit is kept below the one that was refused; longer each time that it is refused again."""
OUTAGE_PATIENCE = 60.0


@dataclass(slots=True)
class Queue:
    """What the gauges said of the server's queue since the limit was changed, of ours alone."""

    looks: int = 0
    waiting: float = 0.0
    full: bool = False
    rejections: float | None = None

    def add(self, gauges: Gauges) -> None:
        """The first look is left out: the queue was another limit's."""
        self.looks += 1
        self.full = gauges.kv_usage >= 0.98 or (self.rejections is not None and gauges.rejections > self.rejections)
        self.rejections = gauges.rejections
        if self.looks > 1:
            self.waiting += gauges.waiting

    @property
    def mean(self) -> float | None:
        return self.waiting / (self.looks - 1) if self.looks >= 4 else None


@dataclass(slots=True)
class Trial:
    """Another limit than the present one, tried."""

    limit: int
    queued: float | None = None
    """What waited at the server, by its gauges, where that is why less is tried."""


@dataclass(slots=True)
class Ceiling:
    """The limit that was refused last, and until when it is kept away from."""

    limit: int
    until: float
    patience: float

    def hit(self, limit: int, now: float, patience: float) -> Ceiling:
        again = 0.85 * self.limit <= limit <= 1.1 * self.limit
        patience = max(patience, min(LONGEST_PATIENCE, 2 * self.patience)) if again else patience
        return Ceiling(limit, now + patience, patience)


@dataclass(slots=True)
class Knee:
    """Finds the limit, from 1 to ``most``, by itself."""

    most: int
    start: int = START
    cuts: int = 0
    level: int = 0
    limit: int = field(init=False)
    """What is believed to be right; ``slots`` differs from it during a trial."""
    _trial: Trial | None = None
    _before: Sample | None = None
    """The rate under ``limit``."""
    _now: Sample = field(default_factory=Sample)
    _queue: Queue = field(default_factory=Queue)
    _queued: float | None = None
    """What waited at the server under ``limit``, by its gauges."""
    _tolerated: float = 1.0
    _ceiling: Ceiling | None = None
    _step: float = DOUBLE
    _next_up: float = 0.0
    _next_down: float = 0.0
    _rest: float = 0.0
    """Seconds from one look downwards in vain to the next."""
    _strikes: Strikes = field(default_factory=Strikes)

    def __post_init__(self) -> None:
        self.limit = min(self.start, self.most)

    @property
    def slots(self) -> int:
        return self.limit if self._trial is None else self._trial.limit

    def answered(self, lease: Lease, tokens: int, now: float) -> None:
        self._strikes.ends += 1
        if lease.level != self.level or lease.held or lease.in_use < SATURATED * self.slots:
            return
        self._now.add(now - lease.since, tokens, lease.in_use)
        if self._trial is not None:
            self._judge(self._trial, now)
        elif self._now.count >= max(12, (1 if self._before is None else 2) * self.limit):
            self._consider(now)

    def _judge(self, trial: Trial, now: float) -> None:
        """Ends the trial as soon as it is clear what it brings."""
        if self._before is None or self._now.count < max(8, trial.limit // 2):
            return
        found, error = gain(self._before, self._now)
        wanted = WORTH * log(trial.limit / self.limit)
        clear = found - wanted > 4 * error and trial.limit > self.limit
        if not clear and self._now.count < trial.limit:
            return
        if abs(found - wanted) < SURE * error and self._now.count < 8 + 2 * max(trial.limit, self._before.count):
            return
        if found >= wanted:
            self._accept(trial, found, now)
        else:
            self._reject(trial, now)

    def _accept(self, trial: Trial, found: float, now: float) -> None:
        before = self.limit
        upwards = trial.limit > before
        self.limit, self._trial, self._before = trial.limit, None, self._now
        self._queued, self._rest = self._queue.mean, 0.0
        if self._ceiling is not None and self.limit >= self._ceiling.limit:
            self._ceiling = None
        if upwards:
            self._step = DOUBLE if found > FAR * log(trial.limit / before) else min(DOUBLE, self._step**2)
            self._next_up = now
        else:
            self._next_down = now
        self._move()
        self._try_another(now)

    def _reject(self, trial: Trial, now: float) -> None:
        if trial.limit > self.limit:
            self._next_up = now + self._pace(2, 2.0)
            self._step = UP
        else:
            self._rest = min(120.0, max(2 * self._rest, self._pace(10, 5.0)))
            self._next_down = now + self._rest
            if trial.queued is not None:
                self._tolerated = max(self._tolerated, 1.5 * trial.queued)
        self._trial = None
        self._move()

    def _pace(self, answers: float, least: float) -> float:
        """Seconds that so many answers, one after the other, take."""
        return max(least, answers * self._before.mean_seconds) if self._before is not None else least

    def _consider(self, now: float) -> None:
        """Looks at what came under the present limit, and for another one when it is time."""
        before, latest = self._before, self._now
        self._now = Sample()
        if before is None:
            self._before = latest
        else:
            found, error = gain(before, latest)
            changed = found < CHANGED and found + SURE * error < CHANGED / 2
            better = found > BETTER and found - SURE * error > BETTER / 2
            self._before = latest if changed or better else before.faded(0.5) + latest
            if better:
                self._step, self._next_up = DOUBLE, now
            if changed and self._begin(round(self.limit * max(0.5, exp(found)))):
                return
        self._try_another(now)

    def _try_another(self, now: float) -> None:
        if now >= self._next_up and not self._queue.full and self._begin(self._above(now)):
            return
        if now >= self._next_down:
            self._begin(round(self.limit * DOWN) if self.limit > 4 else self.limit - 1)

    def _above(self, now: float) -> int:
        """The next larger limit to try; below one that was refused until its time is over, then just there."""
        larger = max(self.limit + 1, round(self.limit * self._step))
        if self._ceiling is not None:
            larger = min(larger, self._ceiling.limit - 1 if now < self._ceiling.until else max(self._ceiling.limit, self.limit + 1))
        return min(self.most, larger)

    def _begin(self, limit: int, queued: float | None = None) -> bool:
        """Whether there is a trial of that limit now."""
        if limit == self.limit or not 1 <= limit <= self.most or (limit < self.limit and self._before is None):
            return False
        self._trial = Trial(limit, queued)
        self._move()
        return True

    def _move(self) -> None:
        """The limit is another one: what comes of what was sent before says nothing about it."""
        self.level += 1
        self._now, self._queue = Sample(), Queue(rejections=self._queue.rejections)

    def refused(self, lease: Lease, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._cut(self.slots, now, PATIENCE)

    def _cut(self, hit: int, now: float, patience: float) -> None:
        self.cuts += 1
        self._ceiling = self._ceiling.hit(hit, now, patience) if self._ceiling else Ceiling(hit, now + patience, patience)
        if self._trial is None or self._trial.limit < self.limit:
            self.limit, self._before = max(1, int(hit * CUT)), None
        self._trial, self._step, self._strikes = None, UP, Strikes()
        self._next_up, self._next_down = now + 1.0, max(self._next_down, now + PATIENCE)
        self._move()

    def timed_out(self, lease: Lease, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._strikes.timeouts += 1
            if self._strikes.out:
                self._cut(self.slots, now, PATIENCE)

    def away(self, now: float) -> None:
        """Back to half of it at once when the server is back, and only later to what it was."""
        before = self.slots
        self._cut(max(1, 3 * before // 4), now, OUTAGE_PATIENCE)
        self.limit, self._before, self._step, self._next_up = max(1, before // 2), None, DOUBLE, now

    def looked(self, gauges: Gauges, in_use: int, now: float) -> None:
        """The server's queue, where it is ours, tells sooner than the answers that less would do."""
        foreign = gauges.running + gauges.waiting > 1.5 * in_use + 4
        if foreign or in_use < SATURATED * self.slots:
            return
        self._queue.add(gauges)
        queued = self._queue.mean
        if queued is None:
            return
        if self._trial is None:
            self._queued = queued
            spare = queued - max(self._tolerated, 0.1 * self.limit)
            if spare > 0:
                self._queue = Queue(rejections=gauges.rejections)
                self._begin(max(1, self.limit - max(1, round(spare))), queued)
        elif self._trial.limit > self.limit and queued - (self._queued or 0.0) > (self._trial.limit - self.limit) / 2:
            self._settle_below(self._trial, queued, now)

    def _settle_below(self, trial: Trial, queued: float, now: float) -> None:
        """Most of what the trial added only waits at the server: what does not is kept."""
        useful = trial.limit - max(0, round(queued - max(self._tolerated, 0.1 * trial.limit)))
        self._reject(trial, now)
        if useful > self.limit:
            self.limit, self._before = min(useful, trial.limit), None


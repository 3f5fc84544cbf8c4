"""Learns the request rate of a server that accepts a number of requests per period and refuses all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

SIMILAR_COUNT, SIMILAR_PERIOD = 1.25, 1.4  # maximum ratios of two periods that count as alike
MIN_PERIOD = 0.8  # seconds; shorter ones are left to the concurrency limit
MARGIN = 0.97  # of the rate that was observed
STEP, MAX_STEP = 0.05, 0.2  # by which a higher rate is tried
SLOWER = 0.95  # factor after refusals
MAX_PATIENCE = 16  # periods between trials of a higher rate
TOLERATED = 0.15  # share of refusals that may be noise, if no two come in a row
GIVE_UP = 0.7  # at this factor of the rate, the refusals must have another cause
IDLE_PERIODS = 3  # periods in which the rate was not reached


@dataclass(slots=True)
class WindowPace:
    """``rate`` is None until the accepted requests of two periods in a row are alike."""

    rate: float | None = None
    next_at: float = -inf
    period: float = 0.0
    _start: float | None = None  # start of the present period
    _answered: int = 0
    _last: tuple[int, float] | None = None
    _learned: float = 0.0
    _period_end: float = 0.0
    _sent: int = 0
    _refused: int = 0
    _successive: int = 0  # refusals without an answer since the previous one
    _was_refused: bool = False
    _step: float = STEP
    _patience: int = 1
    _wait: int = field(default=1)
    _idle: int = 0

    def record_sent(self, now: float) -> None:
        if self._start is None:
            self._start = now
        if self.rate is not None:
            self._sent += 1
            self.next_at = max(now, self.next_at) + 1 / self.rate

    def record_answer(self) -> None:
        self._answered += 1
        self._was_refused = False

    def record_refusal(self) -> None:
        self._refused += 1
        self._successive += self._was_refused
        self._was_refused = True

    def record_reopening(self, now: float) -> None:
        """Call at the first answer after a time in which nothing was accepted."""
        count, start = self._answered, self._start
        self._answered, self._start = 0, now
        if self.rate is not None or start is None:
            return
        cycle, last = (count, now - start), self._last
        self._last = cycle
        if last is None or not count or not last[0] or min(cycle[1], last[1]) < MIN_PERIOD:
            return
        if _ratio(count, last[0]) <= SIMILAR_COUNT and _ratio(cycle[1], last[1]) <= SIMILAR_PERIOD:
            self.period = (cycle[1] + last[1]) / 2
            self.rate = self._learned = MARGIN * (count + last[0]) / 2 / self.period
            self.next_at, self._last = now + 1 / self.rate, None
            self._step, self._patience, self._wait, self._idle = STEP, 1, 1, 0
            self._start_period(now)

    def advance(self, noise: float, now: float) -> None:
        """Adjusts the rate after each period."""
        if self.rate is None or now < self._period_end:
            return
        if self._sent < self.rate * self.period / 2:
            self._idle += 1
        else:
            self._idle = 0
            self._adjust(self.rate, noise)
        if self._idle >= IDLE_PERIODS or self.rate < GIVE_UP * self._learned:
            self.rate, self.next_at, self._last, self._start = None, -inf, None, None
        self._start_period(now)

    def _adjust(self, rate: float, noise: float) -> None:
        if self._successive > noise * self._refused + 0.5 or self._refused > (noise + TOLERATED) * self._sent:
            self.rate = rate * (SLOWER if self._step == STEP else 1 / (1 + self._step))
            self._patience = min(MAX_PATIENCE, 2 * self._patience)
            self._step, self._wait = STEP, self._patience
        elif self._wait > 0:
            self._wait -= 1
        else:
            self.rate = rate * (1 + self._step)
            self._learned = max(self._learned, rate)
            self._step, self._wait = min(MAX_STEP, 2 * self._step), 1

    def _start_period(self, now: float) -> None:
        self._period_end, self._sent, self._refused, self._successive = now + self.period, 0, 0, 0


def _ratio(one: float, other: float) -> float:
    return max(one, other) / max(1e-9, min(one, other))

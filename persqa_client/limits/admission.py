"""Decides from the outcomes of earlier requests when the next one may be sent. Callers pass the time as ``now``.

``WindowPace`` learns the request rate of a server that accepts a number of requests per period and refuses all others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf

from persqa_client.limits.controllers import LimitController, Permit
from persqa_client.limits.open_files import FileShortage
from persqa_client.limits.overload import RefusalMonitor
from persqa_client.limits.server_metrics import ServerMetrics

SIMILAR_COUNT, SIMILAR_PERIOD = 1.25, 1.4  # maximum ratios of two periods that count as alike
MIN_PERIOD = 0.8  # seconds; shorter ones are left to the concurrency limit
MARGIN = 0.97  # share of the observed rate at which requests are sent
STEP, MAX_STEP = 0.05, 0.2  # relative steps to a higher rate
SLOWER = 0.95  # factor after refusals
MAX_PATIENCE = 16  # periods until a higher rate is tried again
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


REPORT_SECONDS = 60.0  # refusals of this time are reported
REPORT_SLICES = 12
MIN_REPORTED, MIN_REPORTED_SHARE = 5, 0.03


@dataclass(slots=True)
class RefusalReport:
    """Refused requests: those of the last minute, and all."""

    message: str = ""
    outcomes: int = 0
    refused: int = 0
    _slices: deque[list[float]] = field(default_factory=deque)  # start, outcomes, refusals

    def add(self, refused: bool, now: float) -> None:
        if not self._slices or now - self._slices[-1][0] >= REPORT_SECONDS / REPORT_SLICES:
            self._slices.append([now, 0, 0])
            self._drop_old(now)
        self._slices[-1][1] += 1
        self._slices[-1][2] += refused
        self.outcomes += 1
        self.refused += refused

    def describe(self, now: float) -> str | None:
        self._drop_old(now)
        outcomes, refused = (sum(part[column] for part in self._slices) for column in (1, 2))
        if refused < MIN_REPORTED or refused < MIN_REPORTED_SHARE * outcomes:
            return None
        return f"{100 * refused / outcomes:.0f} % of requests were refused in the last minute: {self.message}"

    def describe_total(self) -> str | None:
        if self.refused < MIN_REPORTED or self.refused < MIN_REPORTED_SHARE * self.outcomes:
            return None
        return f"{self.refused:,} of {self.outcomes:,} requests refused: {self.message}"

    def _drop_old(self, now: float) -> None:
        while self._slices and now - self._slices[0][0] > REPORT_SECONDS:
            self._slices.popleft()


class Admission:
    """The permits of one endpoint and their number."""

    def __init__(self, controller: LimitController) -> None:
        self.controller = controller
        self.monitor = RefusalMonitor(controller)
        self.pace = WindowPace()
        self.report = RefusalReport()
        self.in_use = 0
        self.backing_off = 0  # requests that wait before a retry
        self.alone = 0  # requests that must be the only one in flight, waiting ones included
        self._sent = 0
        self.shortage = FileShortage()
        self.share = inf  # of the permits, if other processes have the others
        self.paused_until = -inf  # as the server asks

    @property
    def permits(self) -> int:
        limit = min(self.shortage.limit, self.share)
        permits = 1 if self.alone else self.monitor.permits
        return permits if limit == inf else min(permits, int(limit))

    def seconds_paused(self, now: float) -> float:
        """Seconds in which nothing is sent because of a Retry-After, or because the server accepts nothing."""
        until = self.paused_until
        if self.monitor.nothing_is_accepted:
            until = max(until, self.monitor.hold_until)
        return max(0.0, until - now)

    def seconds_to_wait(self, now: float) -> float:
        """Seconds until a request may be sent; infinite if an earlier one has to end first."""
        self.monitor.advance(self.in_use, now)
        if self.pace.rate is not None:
            self.pace.advance(self.monitor.noise, now)
        if self.in_use >= self.permits:
            return inf
        return max(0.0, max(self.paused_until, self.monitor.hold_until, self.pace.next_at) - now)

    def take(self, now: float) -> int:
        """Reserves a permit for a request that is sent when its task runs. More permits may be taken before that."""
        self.pace.record_sent(now)
        self.in_use += 1
        return self.in_use

    def start(self, in_use: int, now: float) -> Permit:
        """``in_use``: from ``take``."""
        self._sent += 1
        permit = Permit(self.controller.cuts, self.controller.level, in_use, now, number=self._sent)
        self.monitor.record_sent(permit)
        return permit

    def release(self, permit: Permit | None = None) -> None:
        self.in_use -= 1
        if permit is not None:
            self.monitor.record_end(permit)

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None:
        self.report.add(False, now)
        if self.monitor.nothing_is_accepted:
            self.pace.record_reopening(now)
        self.pace.record_answer()
        self.monitor.record_answer(permit, self.in_use, now)
        self.controller.record_answer(permit, tokens, now)
        self.shortage.record_answer(permit, self.monitor.permits)

    def record_refusal(self, permit: Permit, retry_after: float | None, message: str, now: float) -> None:
        """A Retry-After holds all requests only if several sent at about the same time are refused."""
        self.report.message = message
        self.report.add(True, now)
        self.pace.record_refusal()
        self.monitor.record_refusal(permit, self.in_use, now)
        if retry_after and self.monitor.is_general(self.in_use):
            self.pause(retry_after, now)

    def record_shortage(self, permit: Permit, message: str, now: float) -> float:
        return self.shortage.record_failure(permit, self.in_use, self._sent, message, now)

    def record_timeout(self, permit: Permit, now: float) -> None:
        self.controller.record_timeout(permit, now)

    def record_outage(self, now: float) -> None:
        # If all requests are refused for a time, load is not the reason.
        if not self.monitor.nothing_is_accepted:
            self.controller.record_outage(now)

    def record_metrics(self, metrics: ServerMetrics, now: float) -> None:
        self.controller.record_metrics(metrics, self.in_use, now)

    def pause(self, seconds: float, now: float) -> None:
        self.paused_until = max(self.paused_until, now + seconds)

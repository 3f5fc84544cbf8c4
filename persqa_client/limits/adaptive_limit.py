"""Finds the concurrency at which a server's throughput stops rising, by experiments during a run.

An experiment compares the throughput under a neighbouring limit with that under the current one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf, log, sqrt

from persqa_client.limits.controllers import BACKOFF, Ceiling, Permit, TimeoutCount, is_about
from persqa_client.limits.server_metrics import EMPTY_QUEUE, QueueSamples, ServerMetrics

INITIAL_LIMIT = 8  # keeps a small server busy without timeouts
# Up to this limit, a server whose metrics show that it works on all requests gets twice as many without an experiment.
EASY_LIMIT = 32
EASY_KV_CACHE = 0.5  # largest share of the KV cache in use, so that twice the requests fit
# Share of a proportional gain that a larger limit must bring: for twice the limit, 7 % more throughput.
MIN_GAIN = 0.1
HIGH_GAIN = 0.7  # from this share on, the best limit is much larger
SIGNIFICANCE = 1.5  # standard errors; within this difference an experiment continues
UNCERTAIN = 2.0  # standard errors; at first, a larger limit within this difference is tried again
STEP_UP, STEP_DOWN, DOUBLE = 1.25, 0.8, 2.0
TIMEOUT_CUT = 0.5
# An answer counts if this share of the permits was in use; otherwise the limit did not affect throughput.
SATURATION = 0.9
MIN_ANSWERS, MIN_BASELINE_ANSWERS, MIN_SECONDS = 8, 12, 0.7  # for an experiment, for a baseline, for both
DECAY = 0.7  # weight of the old baseline compared with new answers under the same limit
MAX_REDUCTION = 0.25  # lowest share of the limit after a fall of throughput
# Logarithmic change of throughput under one limit from which on the server counts as slower or faster.
SLOWER, FASTER = -0.2, 0.05
FIRST_DOWN = 8.0  # seconds after the first answer; before, time is used to find a larger limit
RETRY_UP = 2.0  # seconds between upward experiments without success
# Seconds between downward experiments without success; longer, because these reduce throughput.
RETRY_DOWN, MAX_RETRY_DOWN = 5.0, 120.0

OUTAGE_BACKOFF = 60.0


@dataclass(slots=True)
class ThroughputSample:
    """Sums over answers, for throughput by Little's law: requests in flight divided by their duration."""

    count: float = 0
    in_flight: float = 0.0
    seconds: float = 0.0
    tokens: float = 0.0
    seconds_squared: float = 0.0
    tokens_squared: float = 0.0
    product: float = 0.0

    def add(self, seconds: float, tokens: float, in_flight: float) -> None:
        self.count += 1
        self.in_flight += in_flight
        self.seconds += seconds
        self.tokens += tokens
        self.seconds_squared += seconds * seconds
        self.tokens_squared += tokens * tokens
        self.product += seconds * tokens

    def merge(self, newer: ThroughputSample, weight: float) -> ThroughputSample:
        return ThroughputSample(
            *(weight * mine + theirs for mine, theirs in zip(self._sums(), newer._sums(), strict=True))
        )

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
        """Mean duration of answers of this length, by linear regression, and its standard error."""
        mean, length = self.mean_seconds, self.mean_tokens
        variance = max(0.0, self.seconds_squared / self.count - mean * mean)
        length_variance = max(0.0, self.tokens_squared / self.count - length * length)
        covariance = self.product / self.count - mean * length
        slope = max(0.0, covariance / length_variance) if length_variance > 1e-9 else 0.0
        expected = mean + slope * (tokens - length)
        if expected < mean / 4:
            slope, expected = 0.0, mean
        residual = max(0.0, variance - slope * slope * length_variance)
        return expected, sqrt(residual / max(1.0, self.count - 2))


def compare_throughput(before: ThroughputSample, after: ThroughputSample) -> tuple[float, float]:
    """Logarithm of the ratio of throughputs at equal answer lengths, and its standard error."""
    length = before.mean_tokens
    (old, old_error), (new, new_error) = before.seconds_for(length), after.seconds_for(length)
    if old <= 0 or new <= 0:
        return 0.0, inf
    rates = (before.in_flight / before.count / old, after.in_flight / after.count / new)
    return log(rates[1] / rates[0]), sqrt((old_error / old) ** 2 + (new_error / new) ** 2)


@dataclass(frozen=True, slots=True)
class Experiment:
    limit: int
    queued: float | None = None  # the server's queue, if it is the reason for the experiment
    confirming: bool = False  # whether the limit was good in an earlier experiment


@dataclass(slots=True)
class AdaptiveLimit:
    """LimitController that searches between 1 and ``maximum``."""

    maximum: int
    start: int = INITIAL_LIMIT
    cuts: int = 0
    level: int = 0
    limit: int = field(init=False)  # the best known limit; differs from ``permits`` during an experiment
    _experiment: Experiment | None = None
    _baseline: ThroughputSample | None = None  # throughput under ``limit``
    _current: ThroughputSample = field(default_factory=ThroughputSample)
    _current_since: float = 0.0
    _queue: QueueSamples = field(default_factory=QueueSamples)
    _baseline_queue: QueueSamples = field(default_factory=QueueSamples)  # under ``limit``
    _tolerated_queue: float = 1.0  # some servers always queue a few requests between batches
    _ceiling: Ceiling | None = None
    _step: float = DOUBLE
    _next_up: float = 0.0
    _next_down: float | None = None
    _down_interval: float = 0.0
    _ramping: bool = True  # until a larger limit brings no gain
    _timeouts: TimeoutCount = field(default_factory=TimeoutCount)
    _most_answered: int = 0  # as in Ceiling.is_backing_off
    _candidate: int | None = None  # a smaller limit that was as good as ``limit`` once
    _answered_limit: int = 0  # limit at the last answer
    _answered_ceiling: Ceiling | None = None  # ceiling at the last answer
    _outage_limit: int = 0  # number of permits at the last outage

    def __post_init__(self) -> None:
        self.limit = self._answered_limit = min(self.start, self.maximum)

    @property
    def permits(self) -> int:
        return self.limit if self._experiment is None else self._experiment.limit

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None:
        self._most_answered = max(self._most_answered, permit.in_use)
        if permit.cuts == self.cuts:
            self._timeouts.outcomes += 1
            self._answered_limit, self._answered_ceiling = self.limit, self._ceiling
        if self._next_down is None:
            self._next_down = now + FIRST_DOWN
        if permit.level != self.level or permit.was_delayed or permit.in_use < SATURATION * self.permits:
            return
        if not self._current.count:
            self._current_since = now
        self._current.add(now - permit.since, tokens, permit.in_use)
        if now < self._current_since + MIN_SECONDS:
            return
        if self._experiment is not None and self._baseline is not None:
            self._evaluate(self._experiment, self._baseline, now)
        elif self._current.count < max(MIN_BASELINE_ANSWERS, self.limit):
            return
        elif self._baseline is None:
            self._baseline, self._current = self._current, ThroughputSample()
            self._start_next_experiment(now)
        else:
            self._update_baseline(self._baseline, now)

    def _evaluate(self, experiment: Experiment, baseline: ThroughputSample, now: float) -> None:
        count = self._current.count
        if count < max(MIN_ANSWERS, experiment.limit):
            return
        gain, error = compare_throughput(baseline, self._current)
        proportional = log(experiment.limit / self.limit)
        surplus = gain - MIN_GAIN * proportional
        if self._queue.absorbs(experiment.limit - self.limit, self._baseline_queue):
            # A larger limit is kept unless throughput falls: the server itself reports that nothing waits.
            surplus = gain + SIGNIFICANCE * error
        elif abs(surplus) < SIGNIFICANCE * error and count < MIN_ANSWERS + 2 * max(experiment.limit, baseline.count):
            return
        if surplus < 0 < surplus + UNCERTAIN * error and proportional > 0 and self._ramping:
            # The larger limit may still be better, and another experiment costs little.
            self._ramping = False
            self._reject(experiment, now)
            self._step, self._next_up = experiment.limit / self.limit, now
        elif surplus < 0 or (proportional < 0 and error > abs(proportional) / 2):
            self._reject(experiment, now)
        elif proportional < 0 and experiment.queued is None and not experiment.confirming:
            # The server may have become faster, so both limits are measured again.
            self._candidate, self._experiment = experiment.limit, None
            self._reset_samples()
        else:
            self._accept(experiment, now, step=DOUBLE if gain > HIGH_GAIN * proportional else self._step**2)

    def _accept(self, experiment: Experiment, now: float, *, step: float) -> None:
        if experiment.limit > self.limit:
            self._step = min(DOUBLE, step)
            self._next_up = now
        else:
            self._next_down = now
        self._down_interval, self._baseline_queue = 0.0, self._queue
        self.limit, self._baseline, self._experiment = experiment.limit, self._current, None
        if self._ceiling is not None and self.limit >= self._ceiling.limit:
            self._ceiling = None
        self._reset_samples()
        self._start_next_experiment(now)

    def _reject(self, experiment: Experiment, now: float) -> None:
        pace = self._baseline.mean_seconds if self._baseline is not None else 0.0
        if experiment.limit > self.limit:
            self._next_up = now + max(RETRY_UP, 2 * pace)
            self._step = STEP_UP if self._step == DOUBLE else DOUBLE
        else:
            self._down_interval = min(MAX_RETRY_DOWN, max(RETRY_DOWN, 10 * pace, 2 * self._down_interval))
            self._next_down = now + self._down_interval
            if experiment.queued is not None:
                self._tolerated_queue = max(self._tolerated_queue, 1.5 * experiment.queued)
        self._experiment = None
        self._reset_samples()

    def _update_baseline(self, baseline: ThroughputSample, now: float) -> None:
        current, self._current = self._current, ThroughputSample()
        change, error = compare_throughput(baseline, current)
        slower = change < SLOWER and change + SIGNIFICANCE * error < SLOWER / 2
        faster = change > FASTER and change - SIGNIFICANCE * error > FASTER / 2
        if slower or faster:
            self._baseline, self._tolerated_queue = current, 1.0
        else:
            self._baseline = baseline.merge(current, weight=DECAY)
        if faster:
            self._step, self._next_up = DOUBLE, now
        if slower and self._start_experiment(round(self.limit * max(MAX_REDUCTION, exp(change)))):
            return
        self._start_next_experiment(now)

    def _start_next_experiment(self, now: float) -> None:
        if (candidate := self._candidate) is not None:
            self._candidate = None
            if candidate < self.limit and self._start_experiment(candidate, confirming=True):
                return
        if now >= self._next_up and not self._queue.full and self._start_experiment(self._next_larger_limit(now)):
            return
        # After a recent refusal the server's capacity is known, so no downward search is needed.
        if now >= (self._next_down or 0.0) and not (self._ceiling and self._ceiling.is_recent(now)):
            self._start_experiment(min(self.limit - 1, round(self.limit * STEP_DOWN)))

    def _next_larger_limit(self, now: float) -> int:
        larger = max(self.limit + 1, round(self.limit * self._step))
        if self._ceiling is not None:
            larger = self._ceiling.cap(larger, self.limit, now, self._timeouts.outcomes, self._most_answered)
        return min(self.maximum, larger)

    def _start_experiment(self, limit: int, queued: float | None = None, *, confirming: bool = False) -> bool:
        if self._baseline is None or limit == self.limit or not 1 <= limit <= self.maximum:
            return False
        self._experiment = Experiment(limit, queued, confirming)
        self._reset_samples()
        return True

    def _reset_samples(self) -> None:
        self.level += 1
        self._current, self._queue = ThroughputSample(), QueueSamples(rejections=self._queue.rejections)

    @property
    def fallback(self) -> int | None:
        return self.limit if self.permits > self.limit else None

    def record_saturation(self, limit: int, refused: int, now: float) -> None:
        self._cut(limit, refused, now, BACKOFF)

    def record_timeout(self, permit: Permit, now: float) -> None:
        if permit.cuts == self.cuts:
            self._timeouts.outcomes += 1
            self._timeouts.timeouts += 1
            if self._timeouts.is_significant:
                self._cut(int(self.permits * TIMEOUT_CUT), self.permits, now, BACKOFF)

    def record_outage(self, now: float) -> None:
        permits = self.permits
        # Refusals just before an outage are unrelated to capacity, so the limit of the last answer counts.
        self._cut(self.limit, permits, now, OUTAGE_BACKOFF)
        if permits == 1 or not is_about(permits, self._outage_limit):
            # One outage does not show that load is the reason, and neither do timeouts just before it. A second one
            # under the same limit does.
            self._ceiling = self._answered_ceiling
        self._outage_limit = permits
        self._answered_limit = self.limit = max(1, self._answered_limit // 2)
        self._baseline, self._step, self._next_up = None, DOUBLE, now

    def _cut(self, limit: int, refused: int, now: float, backoff: float) -> None:
        """Lowers the limit, or ends an upward experiment."""
        self.cuts += 1
        self._ceiling = (self._ceiling or Ceiling(0, 0.0, 0.0)).raise_backoff(refused, now, backoff)
        if refused <= self.limit or limit < self.limit:
            self.limit, self._baseline = max(1, min(limit, self.limit)), None
        self._experiment, self._step, self._timeouts = None, STEP_UP, TimeoutCount()
        self._next_up, self._next_down = now + 1.0, max(self._next_down or 0.0, now + RETRY_DOWN)
        self._reset_samples()

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None:
        if in_use < SATURATION * self.permits or metrics.is_shared(in_use):
            return
        metrics = metrics.of(in_use)
        if self._starts_easily(metrics):
            self.limit = min(2 * self.limit, self.maximum)
            self._reset_samples()
            return
        self._queue.add(metrics)
        if self._experiment is None:
            self._baseline_queue = self._queue
        if (queued := self._queue.mean) is None:
            return
        surplus = round(queued - max(self._tolerated_queue, 0.1 * self.permits))
        if self._experiment is None:
            if surplus > 0:
                self._start_experiment(max(1, self.limit - surplus), queued)
            return
        experiment = self._experiment
        added = experiment.limit - self.limit
        if added > 0 and queued - (self._baseline_queue.mean or 0.0) > added / 2:
            # Most of the added requests only wait at the server; only the others are kept.
            self._reject(experiment, now)
            if (useful := experiment.limit - max(0, surplus)) > self.limit:
                self.limit, self._baseline = useful, None

    def _starts_easily(self, metrics: ServerMetrics) -> bool:
        """Whether twice the limit is safe at the start of a run. Images in preprocessing are in no metric."""
        is_new = self._ramping and self._baseline is None and self._experiment is None and self._ceiling is None
        is_idle = metrics.waiting <= EMPTY_QUEUE and metrics.kv_usage < EASY_KV_CACHE
        may_grow = self.limit < self.maximum and 2 * self.limit <= EASY_LIMIT
        return is_new and may_grow and is_idle and metrics.running > self.limit / 2

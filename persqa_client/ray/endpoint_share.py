"""Divides the limits of one endpoint among the workers that send requests to it. Decides without effects.

The reports of all workers feed one concurrency limit, so that ``--concurrency auto`` measures their total load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from persqa_client.config import Limits
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.controllers import FixedLimit, LimitController, Permit
from persqa_client.limits.rate_limit import TOKEN_BURST
from persqa_client.ray.shared_limit import SPARE, EndpointReport, Events, Grant

# Seconds after its last report for which a worker keeps what it was granted. A lost worker sends nothing more.
LEASE = 10.0
# Seconds for which the others are held while one sends trials; its next report comes before.
HOLD = 1.5
# Seconds of the request rate that may be granted at once, and between the reports of a worker.
BURST, INTERVAL = 1.0, 0.5
# Seconds between the server's figures that are used; each worker asks for them.
METRICS_INTERVAL = 0.4
# Seconds for which a division holds, and between searches for lost workers: with many workers and endpoints, each
# report must cost the same however many there are.
DIVISION_INTERVAL, LOST_INTERVAL = 0.2, 1.0


@dataclass(slots=True)
class Holding:
    """Permits of a worker: those of the last grant and, until its next report, those that it had before."""

    granted: int = 0
    held: int = 0
    wanted: int = 1
    seen: float = 0.0
    wishes: tuple[bool, bool] = (False, False)
    awaits_trial: bool = False
    paused_until: float = 0.0


@dataclass(slots=True)
class Bucket:
    """An amount that grows with a rate per second, up to a burst."""

    rate: float
    burst: float
    is_whole: bool
    level: float = 1.0
    at: float | None = None

    def take(self, wish: float, wishers: int, now: float) -> float:
        """Grants a worker a part of its wish: at most its share of what grows between its reports, so that the first
        worker leaves something for the others. A whole request is always a share.
        """
        if self.at is not None:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        share = 1.1 * self.rate * INTERVAL / max(1, wishers)
        if self.is_whole:
            amount = float(int(min(wish, self.level, max(1.0, share))))
        else:
            amount = max(0.0, min(wish, self.level, share))
        self.level -= amount
        return amount


def make_buckets(limits: Limits) -> tuple[Bucket | None, Bucket | None]:
    """Buckets for requests, and for tokens."""
    rates = [rate for rate in (limits.rps, None if limits.rpm is None else limits.rpm / 60) if rate is not None]
    requests = Bucket(min(rates), max(1.0, BURST * min(rates)), is_whole=True) if rates else None
    if limits.tpm is None:
        return requests, None
    burst = limits.tpm / 60 * TOKEN_BURST
    return requests, Bucket(limits.tpm / 60, burst, is_whole=False, level=burst)


@dataclass(slots=True)
class EndpointShare:
    limits: Limits
    controller: LimitController = field(init=False)
    holdings: dict[str, Holding] = field(default_factory=dict)
    _requests: Bucket | None = field(init=False)
    _tokens: Bucket | None = field(init=False)
    _metrics_at: float = float("-inf")
    # Sums over the holdings: what is held, and how many wish for requests and for tokens.
    _held: int = 0
    _wishers: list[int] = field(default_factory=lambda: [0, 0])
    # Workers that send trials or were asked to wait.
    _paused: set[str] = field(default_factory=set)
    _targets: dict[str, int] = field(default_factory=dict)
    _divided: tuple[float, int] = (float("-inf"), 0)
    _searched_at: float = float("-inf")

    def __post_init__(self) -> None:
        cap = self.limits.concurrency_cap
        self.controller = AdaptiveLimit(cap) if self.limits.concurrency == "auto" else FixedLimit(cap)
        self._requests, self._tokens = make_buckets(self.limits)

    def take_report(self, worker: str, report: EndpointReport, now: float) -> Grant:
        self._forget_lost(now)
        holding = self.holdings.get(worker)
        if holding is None:
            holding = self.holdings[worker] = Holding()
            self._divided = (float("-inf"), 0)
        self._note(worker, holding, report, now)
        self._record(holding, report.events, report.in_use, now)
        # The worker's present requests were sent under the last grant at most, so what it had before is free.
        self._hold(holding, max(holding.granted, report.in_use))
        before, permits = holding.held, self._choose_permits(worker, now)
        holding.granted = permits
        self._hold(holding, max(before, permits))
        fallback = self.controller.fallback
        share = permits / max(1, self.controller.permits)
        return Grant(
            permits,
            self.controller.level,
            self.controller.cuts,
            None if fallback is None else max(1, round(fallback * share)),
            0.0 if self._requests is None else self._requests.take(report.requests, self._wishers[0], now),
            0.0 if self._tokens is None else self._tokens.take(report.tokens, self._wishers[1], now),
            self._find_pause(worker, now),
        )

    def remove(self, worker: str) -> None:
        holding = self.holdings.pop(worker, None)
        if holding is None:
            return
        self._held -= holding.held
        self._count_wishes(holding, (False, False))
        self._paused.discard(worker)
        self._divided = (float("-inf"), 0)

    def _note(self, worker: str, holding: Holding, report: EndpointReport, now: float) -> None:
        holding.seen, holding.wanted = now, max(1, report.wanted)
        self._count_wishes(holding, (report.requests > 0, report.tokens > 0))
        holding.awaits_trial, holding.paused_until = report.awaits_trial, now + report.paused
        if report.awaits_trial or report.paused > 0:
            self._paused.add(worker)
        else:
            self._paused.discard(worker)

    def _count_wishes(self, holding: Holding, wishes: tuple[bool, bool]) -> None:
        for kind in (0, 1):
            self._wishers[kind] += wishes[kind] - holding.wishes[kind]
        holding.wishes = wishes

    def _hold(self, holding: Holding, held: int) -> None:
        self._held += held - holding.held
        holding.held = held

    def _forget_lost(self, now: float) -> None:
        if now < self._searched_at + LOST_INTERVAL:
            return
        self._searched_at = now
        for worker in [name for name, each in self.holdings.items() if now - each.seen > LEASE]:
            self.remove(worker)

    def _choose_permits(self, worker: str, now: float) -> int:
        permits = self.controller.permits
        if now >= self._divided[0] + DIVISION_INTERVAL or permits != self._divided[1]:
            self._divided = now, permits
            self._targets = divide_permits(permits, {name: each.wanted for name, each in self.holdings.items()})
        held = self.holdings[worker].held
        # What it has already may stay, also while the others still have too much.
        return max(0, min(self._targets[worker], max(held, permits - (self._held - held))))

    def _record(self, holding: Holding, events: Events, in_use: int, now: float) -> None:
        """Records the events as if this process had sent the requests of all workers."""
        controller = self.controller
        for answer in sorted(events.answers, key=lambda each: -each.ended_ago):
            ended = now - answer.ended_ago
            permit = Permit(
                answer.cuts,
                answer.level,
                in_use=round(min(1.0, answer.load) * controller.permits),
                since=ended - answer.seconds,
                was_delayed=answer.was_delayed,
            )
            controller.record_answer(permit, answer.tokens, ended)
        for cuts in events.timeouts:
            controller.record_timeout(Permit(cuts), now)
        for saturation in events.saturations:
            # The worker's requests are a sample of all.
            limit, refused = (max(1, round(each * controller.permits)) for each in saturation)
            controller.record_saturation(min(limit, controller.permits), min(refused, controller.permits), now)
        if events.outages:
            controller.record_outage(now)
        if events.metrics is not None and now >= self._metrics_at + METRICS_INTERVAL:
            self._metrics_at = now
            total = in_use + self._held - holding.held
            controller.record_metrics(events.metrics, min(total, controller.permits), now)

    def _find_pause(self, worker: str, now: float) -> float:
        """Seconds for which the worker sends nothing: while another one sends trials or was asked to wait."""
        if not self._paused or self.holdings[worker].awaits_trial:
            return 0.0
        others = [self.holdings[name] for name in self._paused if name != worker]
        trial = HOLD if any(each.awaits_trial for each in others) else 0.0
        return max([trial, *(each.paused_until - now for each in others)])


def divide_permits(total: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Equal parts, and what some do not need goes to the others. What is left over without a whole part goes to the
    first by name, and to those without a request last: they would keep it for ever.

    >>> divide_permits(10, {"a": 2, "b": 9, "c": 9}), divide_permits(1, {"a": SPARE, "b": 9})
    ({'a': 2, 'b': 4, 'c': 4}, {'a': 0, 'b': 1})
    """
    given = dict.fromkeys(wanted, 0)
    left, open_names = total, sorted(wanted, key=lambda name: (wanted[name], name))
    while open_names:
        part = left // len(open_names)
        name = open_names[0]
        if wanted[name] > part:
            break
        given[name] = wanted[name]
        left -= wanted[name]
        del open_names[0]
    open_names.sort(key=lambda name: (wanted[name] <= SPARE, name))
    for place, name in enumerate(open_names):
        given[name] = left // len(open_names) + (place < left % len(open_names))
    return given

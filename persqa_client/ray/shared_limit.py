"""The part of an endpoint's limits that a worker has: it reports what happens under them, and gets grants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from persqa_client.config import Limits
from persqa_client.endpoints.session import Session
from persqa_client.limits.controllers import Permit
from persqa_client.limits.server_metrics import ServerMetrics
from persqa_client.ray.granted_throttle import GrantedThrottle
from persqa_client.task_groups import loop_time

# Permits that a worker wants beyond those for its requests, for the next one.
SPARE = 1


class AnswerSample(NamedTuple):
    """An answered request, by what a limit learns from it. Times in seconds; ``ended_ago`` before the report."""

    seconds: float
    ended_ago: float
    tokens: int
    # Permits in use when it was sent, as a share of those that the worker had.
    load: float
    level: int
    cuts: int
    was_delayed: bool


class Saturation(NamedTuple):
    """The server refused under one limit, and no longer does under a lower one: shares of the worker's permits."""

    limit: float
    refused: float


@dataclass(slots=True)
class Events:
    """Events of a worker at an endpoint since its last report."""

    answers: list[AnswerSample] = field(default_factory=list)
    # Number of reductions of the limit when each timed out request was sent.
    timeouts: list[int] = field(default_factory=list)
    outages: int = 0
    saturations: list[Saturation] = field(default_factory=list)
    metrics: ServerMetrics | None = None


class EndpointReport(NamedTuple):
    events: Events
    in_use: int
    # Permits for its requests, and ``SPARE``.
    wanted: int
    # Requests and tokens that it needs until the next report.
    requests: float = 0.0
    tokens: float = 0.0
    # Seconds for which the server has asked this worker to send nothing.
    paused: float = 0.0
    # Whether it sends single trials, because the endpoint refuses the account.
    awaits_trial: bool = False


class Grant(NamedTuple):
    """``level``, ``cuts`` and ``fallback`` are those of the limit for all workers, as in ``LimitController``."""

    permits: int
    level: int = 0
    cuts: int = 0
    fallback: int | None = None
    requests: float = 0.0
    tokens: float = 0.0
    # Seconds for which nothing is to be sent.
    pause: float = 0.0


NO_GRANT = Grant(0)


class SharedLimit:
    """A ``LimitController`` that leaves the decisions to the coordinator."""

    def __init__(self) -> None:
        self.grant = NO_GRANT
        self._events = Events()

    @property
    def permits(self) -> int:
        return self.grant.permits

    @property
    def cuts(self) -> int:
        return self.grant.cuts

    @property
    def level(self) -> int:
        return self.grant.level

    @property
    def fallback(self) -> int | None:
        return self.grant.fallback

    def take_events(self, now: float) -> Events:
        events, self._events = self._events, Events()
        # Until now, they have the time of their end in place of how long ago that was.
        events.answers = [each._replace(ended_ago=now - each.ended_ago) for each in events.answers]
        return events

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None:
        load = permit.in_use / max(1, self.permits)
        sample = AnswerSample(now - permit.since, now, tokens, load, permit.level, permit.cuts, permit.was_delayed)
        self._events.answers.append(sample)

    def record_saturation(self, limit: int, refused: int, now: float) -> None:
        own = max(1, self.permits)
        self._events.saturations.append(Saturation(limit / own, refused / own))

    def record_timeout(self, permit: Permit, now: float) -> None:
        self._events.timeouts.append(permit.cuts)

    def record_outage(self, now: float) -> None:
        self._events.outages += 1

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None:
        self._events.metrics = metrics


class SharedSession:
    """Gives a session the limits that the coordinator grants."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self._session = session
        self._limit = SharedLimit()
        rate = describe_request_rate(limits)
        self._requests = None if rate is None else GrantedThrottle(rate, counts_tokens=False)
        self._tokens = None
        if limits.tpm is not None:
            self._tokens = GrantedThrottle(f"{limits.tpm:,} tokens per minute", counts_tokens=True)
        session.concurrency_limit.use_controller(self._limit)
        session.rate_limit.use_throttles([each for each in (self._requests, self._tokens) if each is not None])
        # Until when the coordinator holds the endpoint; another pause is this worker's own.
        self._held_until = 0.0

    def report(self) -> EndpointReport:
        limit, now = self._session.concurrency_limit, loop_time()
        paused = limit.seconds_paused
        is_own = now + paused > self._held_until + 0.05
        return EndpointReport(
            self._limit.take_events(now),
            in_use=limit.in_use,
            wanted=limit.in_use + limit.waiting + SPARE,
            requests=0.0 if self._requests is None else self._requests.take_wish(),
            tokens=0.0 if self._tokens is None else self._tokens.take_wish(),
            paused=paused if is_own else 0.0,
            awaits_trial=self._session.outage.awaits_trial,
        )

    def take(self, grant: Grant) -> None:
        self._limit.grant = grant
        if self._requests is not None:
            self._requests.grant(grant.requests)
        if self._tokens is not None:
            self._tokens.grant(grant.tokens)
        limit = self._session.concurrency_limit
        if grant.pause > 0:
            limit.pause(grant.pause)
            self._held_until = loop_time() + grant.pause
        limit.wake_waiters()


def describe_request_rate(limits: Limits) -> str | None:
    """The lower one of the two rates, in words; None without a limit."""
    rates = [] if limits.rps is None else [(limits.rps, f"{limits.rps:g} requests per second")]
    rates += [] if limits.rpm is None else [(limits.rpm / 60, f"{limits.rpm:g} requests per minute")]
    return min(rates)[1] if rates else None

"""Whether and when a failed attempt is repeated: a policy for tenacity, driven by ErrorDecisions."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception

from persqa_client.client.dialect import Dialect
from persqa_client.errors import AttemptError
from persqa_client.types import ErrorDecision, RetryAction

Result = TypeVar("Result")

# After an outage the gate has already waited; a changed body needs no wait.
RETRIED_AT_ONCE = frozenset({RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT, RetryAction.RESEND})
RETRIED = RETRIED_AT_ONCE | {RetryAction.WAIT, RetryAction.RETRY}


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from ``initial`` to ``maximum`` seconds."""

    initial: float = 0.5
    maximum: float = 30.0

    def max_wait(self, earlier_waits: int) -> float:
        return min(self.maximum, self.initial * 2.0 ** min(earlier_waits, 20))


DEFAULT_BACKOFF = Backoff()


@dataclass(slots=True)
class RequestState:
    """The history of one request. ``spent`` counts the attempts that cost one, ``sent`` all of them."""

    sent: int = 0
    spent: int = 0
    waits: int = 0
    first_pressure: float | None = None
    lost: ErrorDecision | None = None
    """The latest failure by which the server may have gone away while it had this request; None after an outage."""
    unheard: int = 0
    """Of the attempts spent, the last ones, between which the server answered nobody."""
    heard: int = -1
    """Answers of the server, to anybody, before ``lost``."""
    outages: int = 0
    """Outages of the server that are accounted for."""
    deaths: int = 0
    """Outages that began with this request in flight, another request having been answered since the one before."""
    heard_at_death: int = -1
    chance: int = 0
    """Deaths that make no suspect: where there are several servers, one of them proves little."""
    brought: int = 0
    """Of the attempts spent, those that were spent at other servers before it came here."""
    tokens: int = 0
    """What it is thought to take of a limit on tokens."""
    dialect: Dialect = field(default_factory=Dialect)
    """The one that the latest attempt spoke."""
    known_uuids: frozenset[str] = frozenset()
    """The pictures that the latest attempt named instead of carrying them."""

    def lose(self, verdict: ErrorDecision, answers: int) -> None:
        """Notes a failure by which the server may have gone; ``answers`` is how many it has given so far."""
        if answers > self.heard:
            self.unheard = 0
        self.unheard += verdict.action is RetryAction.RETRY
        self.lost, self.heard = verdict, answers

    def suspect(self, outages: int) -> bool:
        """Whether an outage, of ``outages`` so far, began with this request in flight."""
        return self.deaths > self.chance or (self.lost is not None and outages > self.outages)

    def outlive(self, outages: int, answers: int) -> None:
        """After an outage: what failed by it costs nothing, and its beginning may be this request's doing.

        ``outages`` counts all so far, ``answers`` those of the server before the latest.
        """
        if outages == self.outages:
            return
        self.outages = outages
        if self.lost is not None and self.heard == answers:
            self.spent -= self.unheard
            self.deaths += answers > self.heard_at_death
            self.heard_at_death = answers
        self.lost, self.unheard = None, 0

    def go_on_from(self, other: RequestState) -> None:
        """Takes over what a request has gone through at another server; what it knows of its own stays."""
        self.sent, self.spent, self.waits, self.deaths = other.sent, other.spent, other.waits, other.deaths
        self.brought = other.spent


def is_retryable(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.decision.action in RETRIED


def seconds_to_wait(error: BaseException | None, earlier_waits: int, rng: random.Random, backoff: Backoff) -> float:
    """The server's Retry-After plus a little jitter; without one, exponential backoff with full jitter."""
    if not isinstance(error, AttemptError) or error.decision.action in RETRIED_AT_ONCE:
        return 0.0
    if error.decision.retry_after is not None:
        return error.decision.retry_after + rng.uniform(0, backoff.initial)
    return rng.uniform(0, backoff.max_wait(earlier_waits))


def make_retry_policy(
    *,
    is_exhausted: Callable[[], bool],
    next_wait: Callable[[BaseException | None], float],
    sleep: Callable[[float], Awaitable[None]],
) -> AsyncRetrying:
    """``next_wait`` returns the seconds to sleep after an error, before the next attempt."""
    return AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        stop=lambda call: is_exhausted(),
        wait=lambda call: next_wait(call.outcome.exception() if call.outcome else None),
        sleep=sleep,
        reraise=True,
    )


async def run_with_retries(
    attempt: Callable[[], Awaitable[Result]], make_policy: Callable[[], AsyncRetrying]
) -> Result:
    """Makes one attempt and, if it fails, more by the policy. Raises the error of the last one."""
    # Most requests succeed at once, and tenacity takes a tenth of the CPU time of an attempt. So it comes in only after
    # a failure, which stands for its own first attempt.
    try:
        return await attempt()
    except AttemptError as error:
        failures = [error]

    async def next_attempt() -> Result:
        if failures:
            raise failures.pop()
        return await attempt()

    return await make_policy()(next_attempt)

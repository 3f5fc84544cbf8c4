"""Again, and when: tenacity's policy over the verdicts of client/classify.py. Pure, but for the sleep it is given."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from persqa_client.client.dialect import Dialect
from persqa_client.errors import AttemptError
from persqa_client.types import ErrorDecision, RetryAction


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from ``initial`` to ``maximum`` seconds."""

    initial: float = 0.5
    maximum: float = 30.0

    def max_wait(self, waits: int) -> float:
        """The most that is waited after ``waits`` earlier waits."""
        return min(self.maximum, self.initial * 2.0 ** min(waits, 20))


DEFAULT_BACKOFF = Backoff()
Result = TypeVar("Result")

AT_ONCE = frozenset({RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT, RetryAction.RESEND})
WORTH_AGAIN = AT_ONCE | {RetryAction.WAIT, RetryAction.RETRY}


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


def is_worth_again(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.decision.action in WORTH_AGAIN


def seconds_to_wait(error: BaseException | None, waits: int, rng: random.Random, backoff: Backoff) -> float:
    """Retry-After where it was told (plus a little, so that not all come back at once), else exponential back-off with
    full jitter. After an outage or where the body changes nothing is waited: the gate, or the new body, is the remedy.

    ``waits`` counts the request's earlier ones.
    """
    if not isinstance(error, AttemptError) or error.decision.action in AT_ONCE:
        return 0.0
    if error.decision.retry_after is not None:
        return error.decision.retry_after + rng.uniform(0, backoff.initial)
    return rng.uniform(0, backoff.max_wait(waits))


def make_retry_policy(
    trial: RequestState,
    *,
    max_attempts: int,
    sleep: Callable[[float], Awaitable[None]],
    rng: random.Random,
    backoff: Backoff,
) -> AsyncRetrying:
    """Repeats until an answer, a verdict that forbids it, or ``max_attempts`` attempts that cost one."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        seconds = seconds_to_wait(error, trial.waits, rng, backoff)
        trial.waits += 1
        return seconds

    return AsyncRetrying(
        retry=retry_if_exception(is_worth_again),
        stop=lambda state: trial.spent >= max_attempts,
        wait=wait,
        sleep=sleep,
        reraise=True,
    )


async def run_with_retries(attempt: Callable[[], Awaitable[Result]], again: Callable[[], AsyncRetrying]) -> Result:
    """One attempt, and where it failed, more by the policy that ``again`` makes. Raises what the last one raised.

    Most requests are answered at once, and tenacity's own work for an attempt is a tenth of all that one costs. So it
    comes in with the first failure, which stands for its own first attempt.
    """
    try:
        return await attempt()
    except AttemptError as error:
        failures = [error]

    async def next_attempt() -> Result:
        if failures:
            raise failures.pop()
        return await attempt()

    return await again()(next_attempt)

"""Again, and when: tenacity's policy over the verdicts of chat/verdicts.py. Pure, but for the sleep it is given."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from persqa_client.chat.dialects import Dialect
from persqa_client.errors import AttemptError
from persqa_client.types import Act

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


@dataclass(slots=True)
class Trial:
    """The history of one request. ``spent`` counts the attempts that cost one, ``sent`` all of them."""

    sent: int = 0
    spent: int = 0
    waits: int = 0
    first_pressure: float | None = None
    dialect: Dialect = field(default_factory=Dialect)
    """The dialect that ``body`` is rendered in."""
    body: bytes | None = None


def is_worth_again(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.verdict.act in {Act.WAIT, Act.RETRY, Act.AWAY, Act.ADAPT}


def seconds_to_wait(error: BaseException | None, waits: int, rng: random.Random) -> float:
    """Retry-After where it was told (plus a little, so that not all come back at once), else exponential back-off with
    full jitter. After an outage or a change of dialect nothing is waited: the gate, or the new body, is the remedy."""
    if not isinstance(error, AttemptError) or error.verdict.act in {Act.AWAY, Act.ADAPT}:
        return 0.0
    if error.verdict.retry_after is not None:
        return error.verdict.retry_after + rng.uniform(0, FIRST_WAIT)
    return rng.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(waits, 10)))


def policy(
    trial: Trial, *, max_attempts: int, sleep: Callable[[float], Awaitable[None]], rng: random.Random
) -> AsyncRetrying:
    """Repeats until an answer, a verdict that forbids it, or ``max_attempts`` attempts that cost one."""

    def wait(state: RetryCallState) -> float:
        trial.waits += 1
        return seconds_to_wait(state.outcome.exception() if state.outcome else None, trial.waits, rng)

    return AsyncRetrying(
        retry=retry_if_exception(is_worth_again),
        stop=lambda state: trial.spent >= max_attempts,
        wait=wait,
        sleep=sleep,
        reraise=True,
    )

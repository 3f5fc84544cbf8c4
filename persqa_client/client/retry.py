"""Again, and when: tenacity's policy over the verdicts of client/classify.py. Pure, but for the sleep it is given."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception

from persqa_client.errors import AttemptError
from persqa_client.types import RetryAction


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
    *,
    is_exhausted: Callable[[], bool],
    next_wait: Callable[[BaseException | None], float],
    sleep: Callable[[float], Awaitable[None]],
) -> AsyncRetrying:
    """Repeats until an answer, an error that forbids it, or ``is_exhausted``.

    ``next_wait`` is called with the error of each attempt and returns the seconds to wait before the next one.
    """
    return AsyncRetrying(
        retry=retry_if_exception(is_worth_again),
        stop=lambda call: is_exhausted(),
        wait=lambda call: next_wait(call.outcome.exception() if call.outcome else None),
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

"""Times of retries: Retry-After, backoff, and the policy for tenacity."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception

from persqa_client.errors import AttemptError
from persqa_client.types import RetryAction

Result = TypeVar("Result")

# After an outage the gate has already waited; a changed body can be sent immediately.
RETRIED_AT_ONCE = frozenset({RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT, RetryAction.RESEND})
RETRIED = RETRIED_AT_ONCE | {RetryAction.WAIT, RetryAction.RETRY}


@dataclass(frozen=True, slots=True)
class Backoff:
    initial: float = 0.5
    maximum: float = 30.0

    def max_wait(self, earlier_waits: int) -> float:
        return min(self.maximum, self.initial * 2.0 ** min(earlier_waits, 20))


DEFAULT_BACKOFF = Backoff()


def is_retryable(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.decision.action in RETRIED


def seconds_to_wait(error: BaseException | None, earlier_waits: int, rng: random.Random, backoff: Backoff) -> float:
    """Retry-After plus a little jitter, or exponential backoff with full jitter."""
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
    # tenacity takes a tenth of an attempt's CPU time, and most requests succeed immediately. So it is used only after a
    # failure, which then counts as its first attempt.
    try:
        return await attempt()
    except AttemptError as error:
        failures = [error]

    async def next_attempt() -> Result:
        if failures:
            raise failures.pop()
        return await attempt()

    return await make_policy()(next_attempt)


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); None without them.

    A date is compared with the server's own clock (the ``Date`` header) if present.
    """
    if (milliseconds := _parse_float(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _parse_float(value)) is not None:
        return max(0.0, seconds)
    until, sent = _parse_date(value), _parse_date(headers.get("date", ""))
    return None if until is None else max(0.0, until - (now if sent is None else sent))


def _parse_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _parse_float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and number == number and number < 1e9 else None

"""Request rates: the user's limits, and account limits from response headers."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from fractions import Fraction
from typing import Literal, Protocol

from aiolimiter import AsyncLimiter
from asyncio_throttle.throttler import Throttler

from persqa_client.config import Limits
from persqa_client.errors import Interrupted
from persqa_client.images.tokens import ImageTokenCounter, estimate_image_tokens
from persqa_client.limits.concurrency import ConcurrencyLimit, WaitQueue
from persqa_client.task_groups import loop_time
from persqa_client.types import Request, Usage

CHARACTERS_PER_TOKEN = 3  # estimate for a prompt; too low for English, about right for Chinese
PERIOD = 0.05  # seconds; a burst has at most the requests of one period
TOKEN_BURST = 5.0  # seconds' worth of tokens; a minute's worth would double the tokens of the first minute
ANSWERS_WITHOUT_HEADERS = 20  # rate limit headers are ignored after this many answers without them

DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")
DURATION_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
MAX_DURATION = 1e6  # seconds; larger numbers are Unix timestamps


class RateLimiter:
    """Paces requests to one endpoint, by the user's limits and by response headers."""

    def __init__(
        self,
        limits: Limits,
        concurrency_limit: ConcurrencyLimit,
        picture_tokens: ImageTokenCounter = estimate_image_tokens,
        shared: SharedThrottles | None = None,
    ) -> None:
        """``shared``: in place of throttles of this process alone."""
        self._limits = limits
        self._concurrency_limit = concurrency_limit
        self.picture_tokens = picture_tokens
        self._throttles = make_throttles(limits.rps, limits.rpm, limits.tpm) if shared is None else shared.throttles
        self._shared = shared
        # When the requests that wait for a throttle began to, in order, and the throttle.
        self._waiting: dict[object, tuple[float, Throttle]] = {}
        self._answers = 0
        self._tokens = 0
        self.expects_headers = True  # until many answers had none

    def use_throttles(self, throttles: Sequence[Throttle]) -> None:
        """Replaces the throttles for the user's limits, before the first request."""
        self._throttles = list(throttles)

    def start(self) -> None:
        """Call it before a request. Raises the error that has ended the sharing of the limits."""
        if self._shared is not None:
            self._shared.start()

    def estimate_tokens(self, request: Request, max_tokens: int) -> int:
        """0 without a token limit."""
        return 0 if self._limits.tpm is None else estimate_tokens(request, max_tokens, self.picture_tokens)

    async def acquire(self, tokens: int, *, retry: bool) -> None:
        began, key = loop_time(), object()
        try:
            for throttle in self._throttles:
                self._waiting[key] = began, throttle
                await throttle.acquire(tokens, retry=retry)
        finally:
            self._waiting.pop(key, None)

    @property
    def seconds_waited(self) -> float:
        """By the request that waits longest."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else loop_time() - first[0]

    def describe_wait(self) -> str:
        """The limit that the longest waiting request waits for; empty if none waits."""
        first = next(iter(self._waiting.values()), None)
        return "" if first is None else first[1].name

    def refund(self, tokens: int) -> None:
        self._correct(-tokens)

    def record_usage(self, usage: Usage, estimated: int) -> None:
        taken = usage.prompt + usage.completion
        self._answers += 1
        self._tokens += taken
        if estimated and usage.prompt:
            self._correct(taken - estimated)

    def _correct(self, tokens: int) -> None:
        for throttle in self._throttles:
            throttle.correct(tokens)

    def observe_headers(self, headers: Mapping[str, str]) -> None:
        """Pauses all requests if ``x-ratelimit-…`` leaves too little for an average one."""
        if not self.expects_headers:
            return
        if "x-ratelimit-remaining-requests" not in headers and "x-ratelimit-remaining-tokens" not in headers:
            self.expects_headers = self._answers < ANSWERS_WITHOUT_HEADERS
            return
        mean = self._tokens // max(1, self._answers)
        if seconds := seconds_until_available(headers, time.time(), max(1, mean)):
            self._concurrency_limit.pause(min(seconds, self._limits.max_outage))

    def close(self) -> None:
        for throttle in self._throttles:
            throttle.close()

    async def aclose(self) -> None:
        if self._shared is not None:
            await self._shared.aclose()


def estimate_tokens(
    request: Request, max_tokens: int, picture_tokens: ImageTokenCounter = estimate_image_tokens
) -> int:
    """Prompt plus longest possible answer, as counted by providers."""
    text = len(request.system) + len(request.prompt) + sum(len(turn.text) for turn in request.turns)
    pictures = sum(picture_tokens(picture) for picture in request.pictures)
    return text // CHARACTERS_PER_TOKEN + pictures + (request.max_tokens or max_tokens)


class Throttle(Protocol):
    # The limit in words, such as "3 requests per minute".
    name: str

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None: ...

    def correct(self, tokens: int) -> None: ...

    def close(self) -> None: ...


class SharedThrottles(Protocol):
    """Limits that several processes share."""

    @property
    def throttles(self) -> Sequence[Throttle]: ...

    def start(self) -> None: ...

    async def aclose(self) -> None: ...


class RequestThrottle:
    """At most ``rps`` requests per second, evenly spread."""

    def __init__(self, rps: float, name: str = "") -> None:
        self.name = name or f"{rps:g} requests per second"
        limit, period = split_rate(rps)
        self._throttler = Throttler(rate_limit=limit, period=period, retry_interval=min(0.01, period / 4))
        # asyncio-throttle polls, so a lock lets only one of many waiters use it.
        self._lock = PriorityLock()

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None:
        async with self._lock.hold(retry=retry):
            await self._throttler.acquire()  # type: ignore[no-untyped-call]

    def correct(self, tokens: int) -> None:
        pass

    def close(self) -> None:
        self._lock.close()


class TokenThrottle:
    """At most ``tpm`` tokens per minute: estimates, corrected by usage."""

    def __init__(self, tpm: int) -> None:
        self.name = f"{tpm:,} tokens per minute"
        self._burst = max(1.0, tpm * TOKEN_BURST / 60)
        self._limiter = AsyncLimiter(self._burst, TOKEN_BURST)
        self._lock = PriorityLock()
        self._correction = 0.0

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None:
        async with self._lock.hold(retry=retry):
            due = tokens + self._correction
            self._correction = min(0, due)
            # A request may exceed the burst.
            while due > 0:
                part = min(self._burst, due)
                await self._limiter.acquire(part)
                due -= part

    def correct(self, tokens: int) -> None:
        self._correction += tokens

    def close(self) -> None:
        self._lock.close()


class PriorityLock:
    """A lock that retries get first. After ``close``, holders and waiters get Interrupted."""

    def __init__(self) -> None:
        self._locked = False
        self._queue = WaitQueue()
        self._closed = False
        self._timeouts: set[asyncio.Timeout] = set()

    def __len__(self) -> int:
        """Number of waiting requests."""
        return len(self._queue)

    @asynccontextmanager
    async def hold(self, *, retry: bool) -> AsyncIterator[None]:
        if self._closed:
            raise Interrupted
        timeout = asyncio.timeout(None)
        self._timeouts.add(timeout)
        try:
            async with timeout:
                if self._locked:
                    await self._queue.wait(1, retry=retry, on_cancel=lambda _: self._release())
                self._locked = True
                try:
                    yield
                finally:
                    self._release()
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._timeouts.discard(timeout)

    def _release(self) -> None:
        self._locked = False
        if self._queue.first() is not None:
            self._locked = True
            self._queue.wake_first(1)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            now = asyncio.get_running_loop().time()
            for timeout in self._timeouts:
                timeout.reschedule(now)


def make_throttles(rps: float | None, rpm: float | None = None, tpm: int | None = None) -> list[Throttle]:
    rate = choose_rate(rps, rpm)
    throttles: list[Throttle] = [] if rate is None else [RequestThrottle(*rate)]
    if tpm is not None:
        throttles.append(TokenThrottle(tpm))
    return throttles


def choose_rate(rps: float | None, rpm: float | None) -> tuple[float, str] | None:
    """The lower rate in requests per second, and its limit in words. None without a limit."""
    # Requests per minute are also spread evenly, because providers often count shorter periods.
    rates: list[tuple[float, str]] = [] if rps is None else [(rps, f"{rps:g} requests per second")]
    rates += [] if rpm is None else [(rpm / 60, f"{rpm:g} requests per minute")]
    return min(rates, default=None)


def split_rate(rps: float) -> tuple[int, float]:
    """The rate as (requests, seconds) with few requests, which may be sent in a burst.

    >>> split_rate(0.5), split_rate(8), split_rate(250)
    ((1, 2.0), (1, 0.125), (13, 0.052))
    """
    requests = max(1, math.ceil(rps * PERIOD))
    return requests, float(Fraction(requests) / Fraction(rps))


def seconds_until_available(headers: Mapping[str, str], now: float, tokens: int = 1) -> float:
    """Seconds until the account can take another request with these tokens. ``now`` is Unix time."""
    return max(
        _seconds_until_available(headers, "requests", 1, now), _seconds_until_available(headers, "tokens", tokens, now)
    )


def _seconds_until_available(
    headers: Mapping[str, str], kind: Literal["requests", "tokens"], needed: int, now: float
) -> float:
    remaining = _parse_number(headers.get(f"x-ratelimit-remaining-{kind}"))
    limit = _parse_number(headers.get(f"x-ratelimit-limit-{kind}"))
    # Some gateways give a limit of 0 where there is none.
    if remaining is None or remaining >= needed or limit == 0:
        return 0.0
    reset = parse_reset(headers.get(f"x-ratelimit-reset-{kind}"), now)
    if reset is None:
        return 0.0
    # Capacity returns gradually; the reset is when all of it is available.
    share = 1.0 if remaining <= 0 or limit is None or limit <= needed else (needed - remaining) / (limit - remaining)
    return share * reset


def parse_reset(value: str | None, now: float) -> float | None:
    """Seconds until a reset: ``6ms``, ``1s``, ``1m30s``, ``20`` (seconds), a Unix or an ISO timestamp.

    >>> parse_reset("1m30s", 0.0), parse_reset("6ms", 0.0)
    (90.0, 0.006)
    """
    value = (value or "").strip()
    if not value:
        return None
    if (seconds := _parse_number(value)) is not None:
        return max(0.0, seconds if seconds < MAX_DURATION else seconds - now)
    if (found := DURATION.match(value)) is not None:
        return sum(unit * float(part) for unit, part in zip(DURATION_UNITS, found.groups(), strict=True) if part)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now) if moment.tzinfo else None


def _parse_number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e12 else None

"""How many requests a second and how many tokens a minute: throttles behind a waiting line. Waits, nothing else."""

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
from persqa_client.types import Request, Usage

# A waiting line: one at a time, what is tried again before what is new. Waits, nothing else.


class Line:
    """Lets one after the other in. Once closed, all who wait or are in get Interrupted."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting = WaitQueue()
        self._closed = False
        self._patience: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def turn(self, *, retry: bool) -> AsyncIterator[None]:
        if self._closed:
            raise Interrupted
        patience = asyncio.timeout(None)
        self._patience.add(patience)
        try:
            async with patience, self._alone(retry=retry):
                yield
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._patience.discard(patience)

    @asynccontextmanager
    async def _alone(self, *, retry: bool) -> AsyncIterator[None]:
        if self._taken:
            await self._waiting.wait(1, retry=retry, give_back=lambda _: self._pass_on())
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._taken = False
        if self._waiting.first() is not None:
            self._taken = True
            self._waiting.call(1)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for patience in self._patience:
            patience.reschedule(now)


# What an account has left, by the x-ratelimit headers of an answer, and what a request will take of it. Pure.

Kind = Literal["requests", "tokens"]

CHARACTERS_PER_TOKEN = 3
"""Of a prompt's text; on the safe side for English, about right for Chinese."""

DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")
UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
LONGEST = 1e6
"""Seconds; a larger number is a moment in time, counted from 1970."""


def weight_of(request: Request, max_tokens: int, picture_tokens: ImageTokenCounter = estimate_image_tokens) -> int:
    """Tokens that a request may take, its answer at its longest: that is what an account is charged for at first."""
    text = len(request.system) + len(request.prompt) + sum(len(turn.text) for turn in request.turns)
    pictures = sum(picture_tokens(picture) for picture in request.pictures)
    return text // CHARACTERS_PER_TOKEN + pictures + (request.max_tokens or max_tokens)


def seconds_to_hold(headers: Mapping[str, str], now: float, tokens: int = 1) -> float:
    """How long to send nothing: until there is room for one request more, of so many tokens. ``now`` is Unix time."""
    return max(_hold(headers, "requests", 1, now), _hold(headers, "tokens", tokens, now))


def _hold(headers: Mapping[str, str], kind: Kind, need: int, now: float) -> float:
    remaining = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
    if remaining is None or remaining >= need:
        return 0.0
    reset = read_reset(headers.get(f"x-ratelimit-reset-{kind}"), now)
    if reset is None:
        return 0.0
    limit = _number(headers.get(f"x-ratelimit-limit-{kind}"))
    # What is left comes back bit by bit; the reset is when all of it is there again.
    share = 1.0 if remaining <= 0 or limit is None or limit <= need else (need - remaining) / (limit - remaining)
    return share * reset


def read_reset(value: str | None, now: float) -> float | None:
    """Seconds until a limit is whole retry: ``6ms``, ``1s``, ``1m30s``, ``20`` seconds, a moment in ISO or Unix time.

    >>> read_reset("1m30s", 0.0), read_reset("6ms", 0.0)
    (90.0, 0.006)
    """
    value = (value or "").strip()
    if not value:
        return None
    if (seconds := _number(value)) is not None:
        return max(0.0, seconds if seconds < LONGEST else seconds - now)
    if (found := DURATION.match(value)) is not None:
        return sum(unit * float(part) for unit, part in zip(UNITS, found.groups(), strict=True) if part)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now) if moment.tzinfo else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e12 else None


BURST = 5.0
"""Seconds' worth of tokens that may go at once; not a minute's, or the first minute would take two."""


class Throttle(Protocol):
    async def acquire(self, *, retry: bool = False, tokens: int = 0) -> None:
        """Returns when a request of so many tokens may go; what is tried ``again`` goes before what is new.

        Raises Interrupted once closed.
        """
        ...

    def correct(self, tokens: int) -> None:
        """A request took so many tokens more than was thought, or fewer where negative."""
        ...

    def close(self) -> None:
        """Lets nothing more through; who waits gets Interrupted."""
        ...


class Unlimited:
    async def acquire(self, *, retry: bool = False, tokens: int = 0) -> None:
        """Lets everything through."""

    def correct(self, tokens: int) -> None:
        """Nothing is counted."""

    def close(self) -> None:
        """Nobody waits."""


class PerSecond:
    """At most ``rps`` requests a second, evenly: no burst at the start."""

    def __init__(self, rps: float) -> None:
        limit, period = whole_rate(rps)
        self._throttler = Throttler(rate_limit=limit, period=period, retry_interval=min(0.01, period / 4))
        # The throttler polls: with one waiter at a time, hundreds of them cost no more than one.
        self._line = Line()

    async def acquire(self, *, retry: bool = False, tokens: int = 0) -> None:
        async with self._line.turn(retry=retry):
            await self._throttler.acquire()  # type: ignore[no-untyped-call]

    def correct(self, tokens: int) -> None:
        """Requests are counted, not tokens."""

    def close(self) -> None:
        self._line.close()


class TokensPerMinute:
    """At most ``tpm`` tokens a minute, by what requests are thought to take and, afterwards, by what they took."""

    def __init__(self, tpm: int) -> None:
        self._most = max(1.0, tpm * BURST / 60)
        self._limiter = AsyncLimiter(self._most, BURST)
        self._line = Line()
        self._owed = 0.0

    async def acquire(self, *, retry: bool = False, tokens: int = 0) -> None:
        async with self._line.turn(retry=retry):
            due = tokens + self._owed
            self._owed = min(0, due)
            # A request may be larger than what may go at once: then it waits for its parts.
            while due > 0:
                part = min(self._most, due)
                await self._limiter.acquire(part)
                due -= part

    def correct(self, tokens: int) -> None:
        self._owed += tokens

    def close(self) -> None:
        self._line.close()


class Throttles:
    """Several throttles, one after the other."""

    def __init__(self, throttles: Sequence[Throttle]) -> None:
        self._throttles = throttles

    async def acquire(self, *, retry: bool = False, tokens: int = 0) -> None:
        for throttle in self._throttles:
            await throttle.acquire(retry=retry, tokens=tokens)

    def correct(self, tokens: int) -> None:
        for throttle in self._throttles:
            throttle.correct(tokens)

    def close(self) -> None:
        for throttle in self._throttles:
            throttle.close()


def whole_rate(rps: float) -> tuple[int, float]:
    """(requests, seconds) of the same rate with few requests per period, because a whole period's worth may go at once.

    >>> whole_rate(0.5), whole_rate(8), whole_rate(250)
    ((1, 2.0), (1, 0.125), (13, 0.052))
    """
    requests = max(1, math.ceil(rps * 0.05))
    return requests, float(Fraction(requests) / Fraction(rps))


def throttle_for(rps: float | None, rpm: float | None = None, tpm: int | None = None) -> Throttle:
    """Requests a minute go evenly as well: an account's limits are often counted over shorter times too."""
    rates = [rate for rate in (rps, None if rpm is None else rpm / 60) if rate is not None]
    throttles: list[Throttle] = [PerSecond(min(rates))] if rates else []
    if tpm is not None:
        throttles.append(TokensPerMinute(tpm))
    if len(throttles) > 1:
        return Throttles(throttles)
    return throttles[0] if throttles else Unlimited()


# What an account may take: throttled before sending, corrected by what was taken, held when nothing is left. Waits.

ANSWERS_WITHOUT_HEADERS = 20
"""Answers without a word on the account's limits, after which none is looked for."""


class RateLimiter:
    """The limits on requests and tokens that a person names, and those that answers tell of."""

    def __init__(
        self, limits: Limits, admission: ConcurrencyLimit, picture_tokens: ImageTokenCounter = estimate_image_tokens
    ) -> None:
        self._limits = limits
        self._admission = admission
        self.picture_tokens = picture_tokens
        self._throttle = throttle_for(limits.rps, limits.rpm, limits.tpm)
        self._answers = 0
        self._tokens = 0
        self.expects_headers = True
        """Whether answers may still be expected to tell of limits."""

    def estimate_tokens(self, request: Request, max_tokens: int) -> int:
        """Tokens that the request may take; 0 where nobody counts them."""
        return 0 if self._limits.tpm is None else weight_of(request, max_tokens, self.picture_tokens)

    async def acquire(self, tokens: int, *, retry: bool) -> None:
        """Returns when it may be sent. Raises Interrupted once closed."""
        await self._throttle.acquire(retry=retry, tokens=tokens)

    def refund(self, tokens: int) -> None:
        """It was not sent after all."""
        self._throttle.correct(-tokens)

    def record_usage(self, usage: Usage, tokens: int) -> None:
        """What an answer took, of which ``tokens`` had been counted before."""
        taken = usage.prompt + usage.completion
        self._answers += 1
        self._tokens += taken
        if tokens and usage.prompt:
            self._throttle.correct(taken - tokens)

    def observe_headers(self, headers: Mapping[str, str]) -> None:
        """Holds all sending where the limits in an answer's headers leave no room for one request more."""
        if not self.expects_headers:
            return
        if "x-ratelimit-remaining-requests" not in headers and "x-ratelimit-remaining-tokens" not in headers:
            self.expects_headers = self._answers < ANSWERS_WITHOUT_HEADERS
            return
        mean = self._tokens // max(1, self._answers)
        if seconds := seconds_to_hold(headers, time.time(), max(1, mean)):
            self._admission.pause(min(seconds, self._limits.max_outage))

    def close(self) -> None:
        """Permits nothing more."""
        self._throttle.close()

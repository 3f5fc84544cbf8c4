"""How many requests a second and how many tokens a minute: throttles behind a waiting line. Waits, nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from aiolimiter import AsyncLimiter
from asyncio_throttle.throttler import Throttler

from persqa_client.limits.lines import Line

BURST = 5.0
"""Seconds' worth of tokens that may go at once; not a minute's, or the first minute would take two."""


class Throttle(Protocol):
    async def acquire(self, *, again: bool = False, tokens: int = 0) -> None:
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
    async def acquire(self, *, again: bool = False, tokens: int = 0) -> None:
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

    async def acquire(self, *, again: bool = False, tokens: int = 0) -> None:
        async with self._line.turn(again=again):
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

    async def acquire(self, *, again: bool = False, tokens: int = 0) -> None:
        async with self._line.turn(again=again):
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

    async def acquire(self, *, again: bool = False, tokens: int = 0) -> None:
        for throttle in self._throttles:
            await throttle.acquire(again=again, tokens=tokens)

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

"""How many requests a second: asyncio-throttle behind a lock. Waits, nothing else."""

from __future__ import annotations

import asyncio
import math
from fractions import Fraction
from typing import Protocol

from asyncio_throttle.throttler import Throttler

from persqa_client.errors import Interrupted


class Throttle(Protocol):
    async def acquire(self) -> None:
        """Returns when a request may go. Raises Interrupted once closed."""
        ...

    def close(self) -> None:
        """Lets nothing more through; who waits gets Interrupted."""
        ...


class Unlimited:
    async def acquire(self) -> None:
        """Lets everything through."""

    def close(self) -> None:
        """Nobody waits."""


class PerSecond:
    """At most ``rps`` requests a second, evenly: no burst at the start."""

    def __init__(self, rps: float) -> None:
        limit, period = whole_rate(rps)
        self._throttler = Throttler(rate_limit=limit, period=period, retry_interval=min(0.01, period / 4))
        # The throttler polls: with one waiter at a time, hundreds of them cost no more than one.
        self._lock = asyncio.Lock()
        self._closed = False
        self._patience: set[asyncio.Timeout] = set()

    async def acquire(self) -> None:
        if self._closed:
            raise Interrupted
        patience = asyncio.timeout(None)
        self._patience.add(patience)
        try:
            async with patience, self._lock:
                await self._throttler.acquire()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._patience.discard(patience)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for patience in self._patience:
            patience.reschedule(now)


def whole_rate(rps: float) -> tuple[int, float]:
    """(requests, seconds) of the same rate with few requests per period, because a whole period's worth may go at once.

    >>> whole_rate(0.5), whole_rate(8), whole_rate(250)
    ((1, 2.0), (1, 0.125), (13, 0.052))
    """
    requests = max(1, math.ceil(rps * 0.05))
    return requests, float(Fraction(requests) / Fraction(rps))


def throttle_for(rps: float | None) -> Throttle:
    return Unlimited() if rps is None else PerSecond(rps)

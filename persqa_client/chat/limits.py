"""How many requests a second: asyncio-throttle behind a waiting line. Waits, nothing else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Protocol

from asyncio_throttle.throttler import Throttler

from persqa_client.errors import Interrupted


class Throttle(Protocol):
    async def acquire(self, *, again: bool = False) -> None:
        """Returns when a request may go; what is tried ``again`` goes before what is new.

        Raises Interrupted once closed.
        """
        ...

    def close(self) -> None:
        """Lets nothing more through; who waits gets Interrupted."""
        ...


class Unlimited:
    async def acquire(self, *, again: bool = False) -> None:
        """Lets everything through."""

    def close(self) -> None:
        """Nobody waits."""


class PerSecond:
    """At most ``rps`` requests a second, evenly: no burst at the start."""

    def __init__(self, rps: float) -> None:
        limit, period = whole_rate(rps)
        self._throttler = Throttler(rate_limit=limit, period=period, retry_interval=min(0.01, period / 4))
        # The throttler polls: with one waiter at a time, hundreds of them cost no more than one.
        self._polling = False
        self._line: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._closed = False
        self._patience: set[asyncio.Timeout] = set()

    async def acquire(self, *, again: bool = False) -> None:
        if self._closed:
            raise Interrupted
        patience = asyncio.timeout(None)
        self._patience.add(patience)
        try:
            async with patience, self._turn(again=again):
                await self._throttler.acquire()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._patience.discard(patience)

    @asynccontextmanager
    async def _turn(self, *, again: bool) -> AsyncIterator[None]:
        if self._polling:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._line, (0 if again else 1, next(self._order), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        self._polling = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._polling = False
        while self._line and not self._polling:
            *_, turn = heapq.heappop(self._line)
            if not turn.done():
                self._polling = True
                turn.set_result(None)

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

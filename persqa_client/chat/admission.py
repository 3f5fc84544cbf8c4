"""How many attempts are under way at once: slots that shrink under pressure and grow back. Waits, nothing else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from persqa_client.errors import Interrupted, PersQAError, RunStopped

SHRINK = 0.75
"""A refused request takes a quarter of the slots away; one burst of refusals does so once."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot while it is held: the limit's age at that time tells late refusals of one burst apart from new ones."""

    cuts: int


class Admission:
    """Slots for attempts, at most ``most`` of them; what waits to be tried again goes before what is new."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.in_use = 0
        self.refused = 0
        self._cuts = 0
        self._held_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def slot(self, *, again: bool) -> AsyncIterator[Lease]:
        """Holds one slot. Raises Interrupted once the run is being stopped.

        A RunStopped from within goes to all who wait as well: they would only meet the same refusal.
        """
        await self._acquire(again=again)
        try:
            yield Lease(self._cuts)
        except RunStopped as stop:
            self._dismiss(stop)
            raise
        finally:
            self.in_use -= 1
            self._grant()

    async def _acquire(self, *, again: bool) -> None:
        if self._closing.is_set():
            raise Interrupted
        if not self._waiting and self._free():
            self.in_use += 1
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (0 if again else 1, next(self._order), future))
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            # The slot may have been granted in the very step in which the waiter was cancelled.
            if future.done() and not future.cancelled() and future.exception() is None:
                self.in_use -= 1
                self._grant()
            raise

    def _free(self) -> bool:
        return self.in_use < max(1, int(self.limit)) and monotonic() >= self._held_until

    def _grant(self) -> None:
        while self._waiting and self._free():
            *_, future = heapq.heappop(self._waiting)
            if not future.done():
                self.in_use += 1
                future.set_result(None)

    def succeeded(self) -> None:
        """Grows the limit by one for each limit's worth of answers."""
        if self.limit < self.most:
            self.limit = min(self.most, self.limit + 1 / max(1.0, self.limit))
            self._grant()

    def pressed(self, lease: Lease, retry_after: float | None) -> None:
        """Shrinks the limit, once for a burst, and holds everything for as long as the server asks."""
        self.refused += 1
        if lease.cuts == self._cuts:
            self._cuts += 1
            self.limit = max(1.0, self.limit * SHRINK)
        if retry_after:
            self._hold(monotonic() + retry_after)

    def _hold(self, until: float) -> None:
        if until <= self._held_until:
            return
        self._held_until = until
        if self._alarm is not None:
            self._alarm.cancel()
        # A little late rather than early: the loop's clock may fire just before the time is up.
        self._alarm = asyncio.get_running_loop().call_later(until - monotonic() + 0.001, self._grant)

    async def pause(self, seconds: float) -> None:
        """Sleeps outside any slot. Raises Interrupted once the run is being stopped."""
        if seconds > 0 and not self._closing.is_set():
            try:
                await asyncio.wait_for(self._closing.wait(), seconds)
            except TimeoutError:
                return
        if self._closing.is_set():
            raise Interrupted

    @property
    def closing(self) -> bool:
        """Whether the run is being stopped."""
        return self._closing.is_set()

    def close(self) -> None:
        """Gives no more slots: waiting and sleeping attempts end with Interrupted, those under way go on."""
        self._closing.set()
        if self._alarm is not None:
            self._alarm.cancel()
        self._dismiss(Interrupted())

    def _dismiss(self, error: PersQAError) -> None:
        for *_, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

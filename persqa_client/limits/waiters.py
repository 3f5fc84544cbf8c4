"""Those who wait for one thing: in order, but what is tried again before what is new. Waits, nothing else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from persqa_client.errors import PersQAError


class Waiters:
    """Whoever has the thing looks who is first, and how much he needs, and calls him in."""

    def __init__(self) -> None:
        self._line: list[tuple[int, int, int, asyncio.Future[int]]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(not future.done() for *_, future in self._line)

    async def wait(self, need: int, *, again: bool, give_back: Callable[[int], None]) -> int:
        """What ``call`` gives. Goes to ``give_back`` where the waiter was cancelled in the very step of the call."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (0 if again else 1, next(self._order), need, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back(future.result())
            raise

    def first(self) -> int | None:
        """What the first one needs; None where nobody waits."""
        while self._line and self._line[0][-1].done():
            heapq.heappop(self._line)
        return self._line[0][2] if self._line else None

    def call(self, what: int) -> None:
        """Gives it to the first one."""
        heapq.heappop(self._line)[-1].set_result(what)

    def dismiss(self, error: PersQAError) -> None:
        """Ends the waiting of all."""
        for *_, future in self._line:
            if not future.done():
                future.set_exception(error)
        self._line.clear()

    def dismiss_last(self, error: PersQAError) -> None:
        """Ends the waiting of the one that would wait longest."""
        if self.first() is not None:
            *_, last = max(entry for entry in self._line if not entry[-1].done())
            last.set_exception(error)

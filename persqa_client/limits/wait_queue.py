"""A queue of tasks that wait for a limited resource."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from persqa_client.errors import PersQAError


class WaitQueue:
    """Waiters for an amount of a resource: retries first, otherwise in order of arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, asyncio.Future[int]]] = []
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return sum(not future.done() for *_, future in self._heap)

    async def wait(self, amount: int, *, retry: bool, on_cancel: Callable[[int], None]) -> int:
        """Returns the value given to ``wake_first``; passes it to ``on_cancel`` if cancelled after being woken."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (0 if retry else 1, next(self._arrivals), amount, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                on_cancel(future.result())
            raise

    def first(self) -> int | None:
        """The amount that the first waiter needs, if any."""
        while self._heap and self._heap[0][-1].done():
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def wake_first(self, value: int) -> None:
        heapq.heappop(self._heap)[-1].set_result(value)

    def reject(self, error: PersQAError) -> None:
        for *_, future in self._heap:
            if not future.done():
                future.set_exception(error)
        self._heap.clear()

    def reject_last(self, error: PersQAError) -> None:
        if self.first() is not None:
            *_, last = max(entry for entry in self._heap if not entry[-1].done())
            last.set_exception(error)

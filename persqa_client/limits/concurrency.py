"""Concurrency limit: permits in order of arrival, retries first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from persqa_client.errors import Interrupted, PersQAError, RunStopped
from persqa_client.limits.server_metrics import ServerMetrics
from persqa_client.task_groups import loop_time


class WaitQueue:
    """Queue for amounts of a resource: retries first, then in order of arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, asyncio.Future[int]]] = []
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return sum(not future.done() for *_, future in self._heap)

    async def wait(self, amount: int, *, retry: bool, on_cancel: Callable[[int], None]) -> int:
        """Returns the value of ``wake_first``; passes it to ``on_cancel`` if cancelled after being woken."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (0 if retry else 1, next(self._arrivals), amount, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                on_cancel(future.result())
            raise

    def first(self) -> int | None:
        while self._heap and self._heap[0][-1].done():
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def wake_first(self, value: int) -> None:
        heapq.heappop(self._heap)[-1].set_result(value)

    def reject(self, error: PersQAError) -> None:
        for *_, future in self._heap:
            if not future.done():
                future.set_exception(error.fresh())
        self._heap.clear()

    def reject_last(self, error: PersQAError) -> None:
        if self.first() is not None:
            *_, last = max(entry for entry in self._heap if not entry[-1].done())
            last.set_exception(error.fresh())


# vLLM's encoder cache holds about one batch of tokens (`compute_mm_encoder_budget`). If too many other images arrive
# between the questions about an image, it is encoded again. Half a batch (8,192 tokens by default on an H100) leaves
# room for images in use.
IMAGE_TOKEN_LIMIT = 4096

REFUSAL_FACTOR = 0.75  # for a fixed limit, after a refusal
REGROWTH = 0.05  # share of a fixed limit regained for as many answers as there are permits
# Minimum number and share of timeouts that lower the limit; fewer may be chance.
MIN_TIMEOUTS, MIN_TIMEOUT_SHARE = 2, 0.05


class ImageTokenLimit:
    """Limits the tokens of images being uploaded."""

    def __init__(self, limit: int = IMAGE_TOKEN_LIMIT) -> None:
        self._limit = limit
        self.in_use = 0
        self.waiting = WaitQueue()

    async def acquire(self, tokens: int, *, retry: bool) -> None:
        if self.waiting.first() is None and self._fits(tokens):
            self.in_use += tokens
        else:
            await self.waiting.wait(tokens, retry=retry, on_cancel=self.release)

    def release(self, tokens: int) -> None:
        self.in_use -= tokens
        while (needed := self.waiting.first()) is not None and self._fits(needed):
            self.in_use += needed
            self.waiting.wake_first(needed)

    def _fits(self, tokens: int) -> bool:
        return not self.in_use or self.in_use + tokens <= self._limit


@dataclass(slots=True)
class Permit:
    """Permission for one request in flight, with the state of the limit when it was given."""

    # Number of reductions and changes so far: outcomes of older requests are ignored.
    cuts: int = 0
    level: int = 0
    in_use: int = 0  # permits in use, including this one
    since: float = 0.0
    was_delayed: bool = False  # by an outage, so its duration is not the server's speed


class LimitController(Protocol):
    """Decides the number of permits. ``now`` is monotonic, in seconds."""

    @property
    def permits(self) -> int: ...

    @property
    def cuts(self) -> int: ...
    @property
    def level(self) -> int: ...
    def record_answer(self, permit: Permit, tokens: int, now: float) -> None: ...

    def record_refusal(self, permit: Permit, now: float) -> None:
        """The server was too busy. A burst of refusals counts once."""
        ...

    def record_timeout(self, permit: Permit, now: float) -> None: ...

    def record_outage(self, now: float) -> None: ...

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None: ...


@dataclass(slots=True)
class TimeoutCount:
    timeouts: int = 0
    outcomes: int = 0

    @property
    def is_significant(self) -> bool:
        return self.timeouts >= MIN_TIMEOUTS and self.timeouts >= MIN_TIMEOUT_SHARE * self.outcomes


@dataclass(slots=True)
class FixedLimit:
    """The user's number, lowered by refusals, timeouts and outages, and raised by answers."""

    maximum: int
    cuts: int = 0
    level: int = 0  # not counted: only AdaptiveLimit uses it
    limit: float = field(init=False)
    _timeouts: TimeoutCount = field(default_factory=TimeoutCount)

    def __post_init__(self) -> None:
        self.limit = float(self.maximum)

    @property
    def permits(self) -> int:
        return max(1, int(self.limit))

    def record_answer(self, permit: Permit, tokens: int, now: float) -> None:
        self._timeouts.outcomes += 1
        if permit.cuts == self.cuts:
            self.limit = min(self.maximum, self.limit + max(1 / self.limit, REGROWTH))

    def record_refusal(self, permit: Permit, now: float) -> None:
        self._timeouts.outcomes += 1
        if permit.cuts == self.cuts:
            self._cut()

    def record_timeout(self, permit: Permit, now: float) -> None:
        self._timeouts.outcomes += 1
        if permit.cuts == self.cuts:
            self._timeouts.timeouts += 1
            if self._timeouts.is_significant:
                self._cut()

    def record_outage(self, now: float) -> None:
        self._cut()

    def record_metrics(self, metrics: ServerMetrics, in_use: int, now: float) -> None:
        """Ignored: the limit is the user's choice."""

    def _cut(self) -> None:
        self.cuts += 1
        self.limit = max(1.0, self.limit * REFUSAL_FACTOR)
        self._timeouts = TimeoutCount()


class ConcurrencyLimit:
    """Limits concurrent requests to one endpoint."""

    def __init__(self, maximum: int, controller: LimitController | None = None) -> None:
        self.maximum = maximum
        self.controller = controller or FixedLimit(maximum)
        self.in_use = 0
        self.refusals = 0
        self.image_limit = ImageTokenLimit()  # acquired before a permit, so that a waiting image holds none
        self._paused_until = 0.0
        self._resume: asyncio.TimerHandle | None = None
        self._queue = WaitQueue()
        self._closing = asyncio.Event()
        self._ceiling = maximum

    @property
    def permits(self) -> int:
        return min(self.controller.permits, self._ceiling)

    def cap(self, maximum: int) -> None:
        """At most this number of permits from now on, whatever the controller decides."""
        self._ceiling = max(1, min(self._ceiling, maximum))

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self.image_limit.waiting)

    @property
    def paused(self) -> bool:
        return loop_time() < self._paused_until

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @asynccontextmanager
    async def permit(self, *, retry: bool) -> AsyncIterator[Permit]:
        """Holds one permit. Raises Interrupted once the limit is closed.

        A RunStopped raised inside is also raised in all waiting requests.
        """
        if self._closing.is_set():
            raise Interrupted
        if self._queue.first() is None and self._has_free_permit():
            self.in_use += 1
            in_use = self.in_use
        else:
            in_use = await self._queue.wait(1, retry=retry, on_cancel=lambda _: self.release())
        try:
            yield Permit(self.controller.cuts, self.controller.level, in_use, loop_time())
        except RunStopped as error:
            self.reject_waiting(error)
            raise
        finally:
            self.release()

    def release(self) -> None:
        self.in_use -= 1
        self._wake_waiters()

    def _has_free_permit(self) -> bool:
        return self.in_use < self.permits and loop_time() >= self._paused_until

    def _wake_waiters(self) -> None:
        while self._queue.first() is not None and self._has_free_permit():
            self.in_use += 1
            self._queue.wake_first(self.in_use)

    def record_answer(self, permit: Permit, tokens: int) -> None:
        self.controller.record_answer(permit, tokens, loop_time())
        self._wake_waiters()

    def record_refusal(self, permit: Permit, retry_after: float | None) -> None:
        self.refusals += 1
        self.controller.record_refusal(permit, loop_time())
        if retry_after:
            self.pause(retry_after)

    def record_timeout(self, permit: Permit) -> None:
        self.controller.record_timeout(permit, loop_time())

    def record_outage(self) -> None:
        self.controller.record_outage(loop_time())

    def record_metrics(self, metrics: ServerMetrics) -> None:
        self.controller.record_metrics(metrics, self.in_use, loop_time())
        self._wake_waiters()

    def pause(self, seconds: float) -> None:
        until = loop_time() + seconds
        if until <= self._paused_until:
            return
        self._paused_until = until
        if self._resume is not None:
            self._resume.cancel()
        # Timers may fire slightly early, before the pause is over.
        self._resume = asyncio.get_running_loop().call_later(seconds + 0.001, self._wake_waiters)

    async def sleep(self, seconds: float) -> None:
        if seconds > 0 and not self._closing.is_set():
            try:
                await asyncio.wait_for(self._closing.wait(), seconds)
            except TimeoutError:
                return
        if self._closing.is_set():
            raise Interrupted

    def close(self) -> None:
        """Raises Interrupted in waiting requests; those in flight continue."""
        self._closing.set()
        if self._resume is not None:
            self._resume.cancel()
        self.reject_waiting(Interrupted())

    def reject_waiting(self, error: PersQAError) -> None:
        self.image_limit.waiting.reject(error)
        self._queue.reject(error)

    def reject_last_waiting(self, error: PersQAError) -> None:
        (self.image_limit.waiting or self._queue).reject_last(error)

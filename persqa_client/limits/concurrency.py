"""Concurrency limit: permits in order of arrival, retries first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from math import inf

from persqa_client.errors import Interrupted, PersQAError, RunStopped
from persqa_client.limits.admission import Admission
from persqa_client.limits.controllers import FixedLimit, LimitController, Permit
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
# Seconds after which what a server reported of its queue is out of date.
METRICS_AGE = 5.0


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


class ConcurrencyLimit:
    """Limits concurrent requests to one endpoint."""

    def __init__(self, maximum: int, controller: LimitController | None = None) -> None:
        self.maximum = maximum
        self.admission = Admission(controller or FixedLimit(maximum))
        self.image_limit = ImageTokenLimit()  # acquired before a permit, so that a waiting image holds none
        self._alarm: asyncio.TimerHandle | None = None
        self._queue = WaitQueue()
        self._closing = asyncio.Event()
        self._metrics: tuple[ServerMetrics, float] | None = None  # latest ones, and their time

    @property
    def controller(self) -> LimitController:
        return self.admission.controller

    def use_controller(self, controller: LimitController) -> None:
        """Replaces the controller, before the first request."""
        self.admission.controller = self.admission.monitor.controller = controller

    @property
    def in_use(self) -> int:
        return self.admission.in_use

    @property
    def permits(self) -> int:
        return self.admission.permits

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self.image_limit.waiting)

    @property
    def backing_off(self) -> int:
        """Requests that hold no permit, and wait until they are sent again."""
        return self.admission.backing_off

    @property
    def paused(self) -> bool:
        return self.seconds_paused > 0

    @property
    def seconds_paused(self) -> float:
        """Seconds in which nothing will be sent."""
        return self.admission.seconds_paused(loop_time())

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def describe(self) -> str | None:
        """Why no connection can be opened, or how many requests were refused recently, if many, and why."""
        return self.admission.shortage.message or self.admission.report.describe(loop_time())

    def describe_total(self) -> str | None:
        """How many requests were refused in all, if many, and why the latest one was."""
        return self.admission.report.describe_total()

    def permit(self, *, retry: bool, alone: bool = False) -> HeldPermit:
        """Holds one permit, or with ``alone`` the only one. Raises Interrupted once the limit is closed.

        A RunStopped raised inside is also raised in all waiting requests.
        """
        return HeldPermit(self, retry=retry, alone=alone)

    async def acquire(self, *, retry: bool, alone: bool) -> Permit:
        """Use ``permit``, which also releases it."""
        if self._closing.is_set():
            raise Interrupted
        self.admission.alone += alone
        try:
            now = loop_time()
            seconds = self.admission.seconds_to_wait(now)
            if self._queue.first() is None and seconds <= 0:
                return self.admission.start(self.admission.take(now), now)
            self._set_alarm(seconds)
            in_use = await self._queue.wait(1, retry=retry or alone, on_cancel=lambda _: self._release())
            return self.admission.start(in_use, loop_time())
        except BaseException:
            self._end_alone(alone=alone)
            raise

    def release(self, permit: Permit, *, alone: bool) -> None:
        self._release(permit)
        self._end_alone(alone=alone)

    def _end_alone(self, *, alone: bool) -> None:
        if alone:
            self.admission.alone -= 1
            self.wake_waiters()

    def _release(self, permit: Permit | None = None) -> None:
        self.admission.release(permit)
        self.wake_waiters()

    def wake_waiters(self) -> None:
        while self._queue.first() is not None:
            now = loop_time()
            seconds = self.admission.seconds_to_wait(now)
            if seconds > 0:
                self._set_alarm(seconds)
                return
            self._queue.wake_first(self.admission.take(now))

    def _set_alarm(self, seconds: float) -> None:
        """Wakes waiting requests when a pause is over. A timer may fire before its time; then another one is set."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if seconds < inf and not self._closing.is_set():
            self._alarm = asyncio.get_running_loop().call_later(seconds, self.wake_waiters)

    def record_answer(self, permit: Permit, tokens: int) -> None:
        self.admission.record_answer(permit, tokens, loop_time())
        self.wake_waiters()

    def record_refusal(self, permit: Permit, retry_after: float | None, message: str = "") -> None:
        self.admission.record_refusal(permit, retry_after, message, loop_time())

    def record_shortage(self, permit: Permit, message: str) -> float:
        """Records a request without a file handle for its connection. Returns the seconds since handles ran out."""
        return self.admission.record_shortage(permit, message, loop_time())

    def record_timeout(self, permit: Permit) -> None:
        self.admission.record_timeout(permit, loop_time())

    def record_outage(self) -> None:
        self.admission.record_outage(loop_time())

    @property
    def server_metrics(self) -> ServerMetrics | None:
        """The metrics that the server reported last; None if it reports nothing, or nothing recently."""
        if self._metrics is None or loop_time() - self._metrics[1] > METRICS_AGE:
            return None
        return self._metrics[0]

    def record_metrics(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics, loop_time()
        self.admission.record_metrics(metrics, loop_time())
        self.wake_waiters()

    def pause(self, seconds: float) -> None:
        now = loop_time()
        self.admission.pause(seconds, now)
        self._set_alarm(self.admission.seconds_to_wait(now))

    @contextmanager
    def waiting_without_permit(self) -> Iterator[None]:
        """Counts a request that waits for something else, so that other requests are prepared for the permits."""
        self.admission.backing_off += 1
        try:
            yield
        finally:
            self.admission.backing_off -= 1

    async def sleep(self, seconds: float) -> None:
        try:
            with self.waiting_without_permit():
                if seconds > 0 and not self._closing.is_set():
                    await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
        if self._closing.is_set():
            raise Interrupted

    def close(self) -> None:
        """Raises Interrupted in waiting requests; those in flight continue."""
        self._closing.set()
        self._set_alarm(inf)
        self.reject_waiting(Interrupted())

    def reject_waiting(self, error: PersQAError) -> None:
        self.image_limit.waiting.reject(error)
        self._queue.reject(error)

    def reject_last_waiting(self, error: PersQAError) -> None:
        (self.image_limit.waiting or self._queue).reject_last(error)


class HeldPermit(AbstractAsyncContextManager[Permit]):
    """A permit while the context is open. A class costs less than a generator."""

    __slots__ = ("_alone", "_limit", "_permit", "_retry")

    def __init__(self, limit: ConcurrencyLimit, *, retry: bool, alone: bool) -> None:
        self._limit, self._retry, self._alone = limit, retry, alone

    async def __aenter__(self) -> Permit:
        self._permit = await self._limit.acquire(retry=self._retry, alone=self._alone)
        return self._permit

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RunStopped):
            self._limit.reject_waiting(error)
        self._limit.release(self._permit, alone=self._alone)

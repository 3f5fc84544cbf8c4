"""Who is under way: slots, as many as a controller allows, given in order. Waits, nothing else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from persqa_client.errors import Interrupted, PersQAError, RunStopped
from persqa_client.images.tokens import ImageTokenCounter
from persqa_client.limits.server_metrics import ServerMetrics
from persqa_client.types import EncodedImage

# Those who wait for one thing: in order, but what is tried again before what is new. Waits, nothing else.


class WaitQueue:
    """Whoever has the thing looks who is first, and how much he needs, and calls him in."""

    def __init__(self) -> None:
        self._line: list[tuple[int, int, int, asyncio.Future[int]]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(not future.done() for *_, future in self._line)

    async def wait(self, need: int, *, retry: bool, give_back: Callable[[int], None]) -> int:
        """What ``call`` gives. Goes to ``give_back`` where the waiter was cancelled in the very step of the call."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (0 if retry else 1, next(self._order), need, future))
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

    def reject_waiting(self, error: PersQAError) -> None:
        """Ends the waiting of all."""
        for *_, future in self._line:
            if not future.done():
                future.set_exception(error)
        self._line.clear()

    def reject_last_waiting(self, error: PersQAError) -> None:
        """Ends the waiting of the one that would wait longest."""
        if self.first() is not None:
            *_, last = max(entry for entry in self._line if not entry[-1].done())
            last.set_exception(error)


# How many new pictures are on their way to a server at once. Waits, nothing else.
#
# vLLM keeps what its vision encoder made of a picture in a cache of few: of as many tokens as a batch may have, or
# as the
# largest picture that the model allows (its ``compute_mm_encoder_budget``). A question whose picture's last tokens
# are in
# no full block of the prefix cache needs it, which is nearly every one; so where more pictures come between a first
# question and those after it, the server encodes that picture again.

ROOM = 4096
"""Tokens: half of a batch of 8,192, vLLM's default on an H100, as pictures before these are still being asked about."""


class ImageTokenLimit:
    """Room for pictures on their way, in tokens; given in order, but first to what is tried again."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.in_use = 0
        """Tokens of what is on its way."""
        self.waiting = WaitQueue()

    async def enter(self, tokens: int, *, retry: bool) -> None:
        """Takes so much room, once it is there; more than there is, only when nothing else is on its way."""
        if self.waiting.first() is None and self._fits(tokens):
            self.in_use += tokens
        else:
            await self.waiting.wait(tokens, retry=retry, give_back=self.leave)

    def leave(self, tokens: int) -> None:
        """Gives the room back."""
        self.in_use -= tokens
        while (need := self.waiting.first()) is not None and self._fits(need):
            self.in_use += need
            self.waiting.call(need)

    def _fits(self, tokens: int) -> bool:
        return not self.in_use or self.in_use + tokens <= self._room


def count_tokens_by_uuid(pictures: Sequence[EncodedImage], tokens: ImageTokenCounter | None) -> dict[str, int]:
    """What each picture that a server is to keep takes of the room, by its uuid; nothing where ``tokens`` is None."""
    return {
        picture.uuid: tokens(picture) if tokens is not None else 0 for picture in pictures if picture.uuid is not None
    }


# What decides how many requests are under way at once: its face, and the plain one that keeps to a number. Pure.

SHRINK = 0.75
"""A refused request takes a quarter of the slots away; one burst of refusals does so once."""
REGROW = 0.05
"""Each limit's worth of answers gives so much of it back, or one."""
STRIKES, STRIKE_SHARE = 2, 0.05
"""So many time-outs, and so large a share of all ends, are more than chance."""


@dataclass(slots=True)
class Permit:
    """A slot while it is held: what was true when it was given."""

    cuts: int = 0
    """How often the limit had been cut: late refusals of one burst tell themselves apart from new ones."""
    level: int = 0
    """How often the limit had been changed."""
    in_use: int = 0
    """Slots in use, this one included."""
    since: float = 0.0
    was_delayed: bool = False
    """Whether it waited for something that says nothing about the server's pace."""


class Controller(Protocol):
    """Decides on the number of slots. ``now`` is in seconds, of any clock that only goes forward."""

    @property
    def permits(self) -> int:
        """As many as may be in use now, at least 1."""
        ...

    @property
    def cuts(self) -> int: ...
    @property
    def level(self) -> int: ...
    def record_answer(self, lease: Permit, tokens: int, now: float) -> None:
        """An answer came; ``tokens`` is its length."""
        ...

    def record_refusal(self, lease: Permit, now: float) -> None:
        """The server turned a request away. One burst cuts once."""
        ...

    def record_timeout(self, lease: Permit, now: float) -> None:
        """A request got no answer in its time; several are a sign of a server that has too much to do."""
        ...

    def record_outage(self, now: float) -> None:
        """The server went away with all that was in flight, and may have done so because it was too much."""
        ...

    def record_metrics(self, gauges: ServerMetrics, in_use: int, now: float) -> None:
        """The server told of itself."""
        ...


@dataclass(slots=True)
class Strikes:
    """Time-outs among the ends of requests since the limit was cut last."""

    timeouts: int = 0
    ends: int = 0

    @property
    def out(self) -> bool:
        return self.timeouts >= STRIKES and self.timeouts >= STRIKE_SHARE * self.ends


@dataclass(slots=True)
class Fixed:
    """A number that a person chose: fewer after refusals, and back to it with the answers that follow."""

    maximum: int
    cuts: int = 0
    limit: float = field(init=False)
    _strikes: Strikes = field(default_factory=Strikes)

    def __post_init__(self) -> None:
        self.limit = float(self.maximum)

    @property
    def permits(self) -> int:
        return max(1, int(self.limit))

    @property
    def level(self) -> int:
        return self.cuts

    def record_answer(self, lease: Permit, tokens: int, now: float) -> None:
        """What was sent before a cut says nothing of the time after it."""
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self.limit = min(self.maximum, self.limit + max(1 / self.limit, REGROW))

    def record_refusal(self, lease: Permit, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._cut()

    def record_timeout(self, lease: Permit, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._strikes.timeouts += 1
            if self._strikes.out:
                self._cut()

    def record_outage(self, now: float) -> None:
        self._cut()

    def record_metrics(self, gauges: ServerMetrics, in_use: int, now: float) -> None:
        """Nothing: the number was chosen."""

    def _cut(self) -> None:
        self.cuts += 1
        self.limit = max(1.0, self.limit * SHRINK)
        self._strikes = Strikes()


class ConcurrencyLimit:
    """Slots for attempts, ``maximum`` of them or what the controller makes of it; what waits to be tried again goes
    before what is new."""

    def __init__(self, most: int, controller: Controller | None = None) -> None:
        self.maximum = most
        self.controller = controller or Fixed(most)
        self.in_use = 0
        self.refusals = 0
        self._held_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._waiting = WaitQueue()
        self.image_limit = ImageTokenLimit()
        """Where those with new pictures wait before they wait for a slot."""
        self._closing = asyncio.Event()

    @property
    def permits(self) -> int:
        """How many there are at the moment."""
        return self.controller.permits

    def permit(self, *, retry: bool) -> Held:
        """Holds one slot. Raises Interrupted once the run is being stopped.

        A RunStopped from within goes to all who wait as well: they would only meet the same refusal.
        """
        return Held(self, retry)

    def release(self) -> None:
        """Gives a slot back."""
        self.in_use -= 1
        self._grant()

    async def acquire(self, *, retry: bool) -> int:
        """Takes a slot, in its turn; how many are in use with it."""
        if self._closing.is_set():
            raise Interrupted
        if self._waiting.first() is None and self._free():
            self.in_use += 1
            return self.in_use
        return await self._waiting.wait(1, retry=retry, give_back=lambda _: self.release())

    def _free(self) -> bool:
        return self.in_use < self.controller.permits and monotonic() >= self._held_until

    def _grant(self) -> None:
        while self._waiting.first() is not None and self._free():
            self.in_use += 1
            self._waiting.call(self.in_use)

    def record_answer(self, lease: Permit, tokens: int) -> None:
        """An answer of so many tokens came."""
        self.controller.record_answer(lease, tokens, monotonic())
        self._grant()

    def record_refusal(self, lease: Permit, retry_after: float | None) -> None:
        """The server turned a request away; everything is held for as long as it asks."""
        self.refusals += 1
        self.controller.record_refusal(lease, monotonic())
        if retry_after:
            self.pause(retry_after)

    def record_timeout(self, lease: Permit) -> None:
        """A request got no answer in its time."""
        self.controller.record_timeout(lease, monotonic())

    def record_outage(self) -> None:
        """The server went away."""
        self.controller.record_outage(monotonic())

    def record_metrics(self, gauges: ServerMetrics) -> None:
        """The server told of itself."""
        self.controller.record_metrics(gauges, self.in_use, monotonic())
        self._grant()

    def pause(self, seconds: float) -> None:
        """Gives no slot for so long."""
        self._hold(monotonic() + seconds)

    def _hold(self, until: float) -> None:
        if until <= self._held_until:
            return
        self._held_until = until
        if self._alarm is not None:
            self._alarm.cancel()
        # A little late rather than early: the loop's clock may fire just before the time is up.
        self._alarm = asyncio.get_running_loop().call_later(until - monotonic() + 0.001, self._grant)

    async def sleep(self, seconds: float) -> None:
        """Sleeps outside any slot. Raises Interrupted once the run is being stopped."""
        if seconds > 0 and not self._closing.is_set():
            try:
                await asyncio.wait_for(self._closing.wait(), seconds)
            except TimeoutError:
                return
        if self._closing.is_set():
            raise Interrupted

    @property
    def paused(self) -> bool:
        """Whether no slot is given for a time, as the server asked."""
        return monotonic() < self._held_until

    @property
    def closed(self) -> bool:
        """Whether the run is being stopped."""
        return self._closing.is_set()

    def close(self) -> None:
        """Gives no more slots: waiting and sleeping attempts end with Interrupted, those under way go on."""
        self._closing.set()
        if self._alarm is not None:
            self._alarm.cancel()
        self.reject_waiting(Interrupted())

    @property
    def waiting(self) -> int:
        """How many wait for a slot, or for the room before it."""
        return len(self._waiting) + len(self.image_limit.waiting)

    def reject_last_waiting(self, error: PersQAError) -> None:
        """Ends the waiting of the one that would wait longest."""
        (self.image_limit.waiting or self._waiting).reject_last_waiting(error)

    def reject_waiting(self, error: PersQAError) -> None:
        """Ends the waiting of all who wait for a slot."""
        self.image_limit.waiting.reject_waiting(error)
        self._waiting.reject_waiting(error)


class Held(AbstractAsyncContextManager[Permit]):
    """A slot from when it is given to when it is given back."""

    __slots__ = ("_admission", "_retry")

    def __init__(self, admission: ConcurrencyLimit, retry: bool) -> None:
        self._admission = admission
        self._retry = retry

    async def __aenter__(self) -> Permit:
        in_use = await self._admission.acquire(retry=self._retry)
        controller = self._admission.controller
        return Permit(controller.cuts, controller.level, in_use, monotonic())

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RunStopped):
            self._admission.reject_waiting(error)
        self._admission.release()

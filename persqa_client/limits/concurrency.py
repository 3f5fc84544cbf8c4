"""Who is under way: slots, as many as a controller allows, given in order. Waits, nothing else."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from time import monotonic

from persqa_client.errors import Interrupted, PersQAError, RunStopped
from persqa_client.limits.control import Controller, Fixed, Lease
from persqa_client.limits.landing import Landing
from persqa_client.limits.server_metrics import Gauges
from persqa_client.limits.waiters import Waiters


class Admission:
    """Slots for attempts, ``most`` of them or what the controller makes of it; what waits to be tried again goes
    before what is new."""

    def __init__(self, most: int, controller: Controller | None = None) -> None:
        self.most = most
        self.controller = controller or Fixed(most)
        self.in_use = 0
        self.refused = 0
        self._held_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._waiting = Waiters()
        self.landing = Landing()
        """Where those with new pictures wait before they wait for a slot."""
        self._closing = asyncio.Event()

    @property
    def slots(self) -> int:
        """How many there are at the moment."""
        return self.controller.slots

    def slot(self, *, again: bool) -> Held:
        """Holds one slot. Raises Interrupted once the run is being stopped.

        A RunStopped from within goes to all who wait as well: they would only meet the same refusal.
        """
        return Held(self, again)

    def release(self) -> None:
        """Gives a slot back."""
        self.in_use -= 1
        self._grant()

    async def acquire(self, *, again: bool) -> int:
        """Takes a slot, in its turn; how many are in use with it."""
        if self._closing.is_set():
            raise Interrupted
        if self._waiting.first() is None and self._free():
            self.in_use += 1
            return self.in_use
        return await self._waiting.wait(1, again=again, give_back=lambda _: self.release())

    def _free(self) -> bool:
        return self.in_use < self.controller.slots and monotonic() >= self._held_until

    def _grant(self) -> None:
        while self._waiting.first() is not None and self._free():
            self.in_use += 1
            self._waiting.call(self.in_use)

    def answered(self, lease: Lease, tokens: int) -> None:
        """An answer of so many tokens came."""
        self.controller.answered(lease, tokens, monotonic())
        self._grant()

    def pressed(self, lease: Lease, retry_after: float | None) -> None:
        """The server turned a request away; everything is held for as long as it asks."""
        self.refused += 1
        self.controller.refused(lease, monotonic())
        if retry_after:
            self.hold(retry_after)

    def timed_out(self, lease: Lease) -> None:
        """A request got no answer in its time."""
        self.controller.timed_out(lease, monotonic())

    def away(self) -> None:
        """The server went away."""
        self.controller.away(monotonic())

    def looked(self, gauges: Gauges) -> None:
        """The server told of itself."""
        self.controller.looked(gauges, self.in_use, monotonic())
        self._grant()

    def hold(self, seconds: float) -> None:
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
    def held(self) -> bool:
        """Whether no slot is given for a time, as the server asked."""
        return monotonic() < self._held_until

    @property
    def closing(self) -> bool:
        """Whether the run is being stopped."""
        return self._closing.is_set()

    def close(self) -> None:
        """Gives no more slots: waiting and sleeping attempts end with Interrupted, those under way go on."""
        self._closing.set()
        if self._alarm is not None:
            self._alarm.cancel()
        self.dismiss(Interrupted())

    @property
    def waiting(self) -> int:
        """How many wait for a slot, or for the room before it."""
        return len(self._waiting) + len(self.landing.waiting)

    def dismiss_last(self, error: PersQAError) -> None:
        """Ends the waiting of the one that would wait longest."""
        (self.landing.waiting or self._waiting).dismiss_last(error)

    def dismiss(self, error: PersQAError) -> None:
        """Ends the waiting of all who wait for a slot."""
        self.landing.waiting.dismiss(error)
        self._waiting.dismiss(error)


class Held(AbstractAsyncContextManager[Lease]):
    """A slot from when it is given to when it is given back."""

    __slots__ = ("_admission", "_again")

    def __init__(self, admission: Admission, again: bool) -> None:
        self._admission = admission
        self._again = again

    async def __aenter__(self) -> Lease:
        in_use = await self._admission.acquire(again=self._again)
        controller = self._admission.controller
        return Lease(controller.cuts, controller.level, in_use, monotonic())

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RunStopped):
            self._admission.dismiss(error)
        self._admission.release()

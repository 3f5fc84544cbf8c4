"""The server is away: nothing is sent until it is back, though not for ever. Waits, and asks by a given function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NoReturn

from persqa_client.client.retry import Backoff
from persqa_client.errors import Interrupted, RunStopped, ServerFailed
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.task_groups import wait_first

# A server that this program has started itself: when it is gone, nobody starts it again. Asks by a given function.

Gone = Callable[[], RunStopped | None]
"""Why a server is gone for good; None while it is there."""

LOOK_EVERY = 0.1
SEEN_BY_THEN = 5.0
"""Seconds: a server stops listening when it begins to end, and is gone only when it has ended."""


async def end_of(gone: Gone) -> NoReturn:
    """Raises the reason as soon as the server is known to be gone."""
    while True:
        if (stop := gone()) is not None:
            raise stop
        await asyncio.sleep(LOOK_EVERY)


async def explained(stop: RunStopped, gone: Gone | None, alive: Callable[[], Awaitable[bool]]) -> RunStopped:
    """A refusal, or the server's own end in its place, where that is what brought it about."""
    if gone is None or isinstance(stop, ServerFailed) or await alive():
        return stop
    try:
        async with asyncio.timeout(SEEN_BY_THEN):
            await end_of(gone)
    except TimeoutError:
        return stop
    except RunStopped as end:
        return end


PROBES = Backoff(initial=0.5, maximum=10.0)
"""Between probes: no longer than this, so that a restarted server is found soon."""

PATIENCE = 5.0
"""Seconds of nothing but refusals and broken connections after which the server counts as away."""


class OutageGate:
    """A gate before every attempt. Trouble begins with the first refusal after an answer and ends with an answer.

    ``gone`` says why a server of one's own is gone for good: nobody waits for that.
    """

    def __init__(
        self,
        alive: Callable[[], Awaitable[bool]],
        admission: ConcurrencyLimit,
        *,
        max_outage: float,
        probes: Backoff = PROBES,
        patience: float = PATIENCE,
        gone: Gone | None = None,
    ) -> None:
        self._alive = alive
        self._gone = gone
        self._admission = admission
        self._max_outage = max_outage
        self._probes = probes
        self._patience = patience
        self.tries = 0
        """Probes since the last answer; the waits between them grow with it."""
        self.answers = 0
        """Answers so far: what failed before and after one of them was not one outage."""
        self.count = 0
        """How often the gate has been shut."""
        self.answers_before = 0
        """Answers until it was shut last."""
        self._since: float | None = None
        self._prober: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._stop: RunStopped | None = None
        self.reason: str | None = None
        """Why nothing is sent at the moment, for the person who looks on; None when the way is free."""
        self.shut = asyncio.Event()
        """Set while the gate is shut."""
        self.on_shut: Callable[[], None] = lambda: None
        self.relieved: Callable[[], bool] = lambda: False
        """Whether another server answers meanwhile, so that this one may stay away for longer."""

    async def passed(self) -> None:
        """Returns when sending is allowed. Raises RunStopped after ``max_outage`` seconds without an answer, and at
        once where the server is gone for good."""
        while self._prober is not None:
            await asyncio.shield(self._prober)
        if self._stop is not None:
            raise self._stop

    def trouble(self, reason: str) -> None:
        """Counts the time without an answer. Raises RunStopped when it was too long, or the server is gone for good."""
        if self._gone is not None and (end := self._gone()) is not None:
            self._stop = end
            raise end
        now = monotonic()
        if self._since is None:
            self._since = now
        if now - self._since > self._max_outage and not self.relieved():
            raise RunStopped(
                "server_away",
                f"No answer for {now - self._since:.0f} s (--max-outage {self._max_outage:g}): {reason} "
                "Nothing is lost; give the same command again when the server is back.",
            )

    def reset(self) -> None:
        """All who asked have been told that the server is away: who asks from now on finds out for himself."""
        if self.end is None:
            self._stop = self._since = None

    @property
    def lost(self) -> bool:
        """Whether there was no answer for longer than a run waits."""
        return self._since is not None and monotonic() - self._since > self._max_outage

    @property
    def end(self) -> ServerFailed | None:
        """Why the server is gone for good, once that was found out."""
        return self._stop if isinstance(self._stop, ServerFailed) else None

    @property
    def closed(self) -> bool:
        """Whether nothing may be sent at the moment."""
        return self._prober is not None or self._stop is not None

    @property
    def quiet(self) -> bool:
        """Whether the last thing heard of the server was an answer."""
        return self._since is None

    def over(self) -> None:
        """An answer has come."""
        self.answers += 1
        self._since = None
        self._stop = None
        self.tries = 0

    def pressed(self, reason: str) -> None:
        """The server turned a request away, or the way to it broke.

        Nothing but that for a while is as good as away: the gate is closed.
        A server may call itself well and still turn everything away; then the gate opens for one try after ever longer
        waits. Raises RunStopped as ``trouble`` does.
        """
        self.trouble(reason)
        if self._lasting:
            self.begin(reason)

    @property
    def _lasting(self) -> bool:
        return self._since is not None and monotonic() - self._since >= self._patience

    async def explains(self, reason: str) -> bool:
        """Whether a row failed only because the server is away: the gate is shut, or a probe in vain shuts it.

        Asked where failures came too quickly for patience to run out. Raises as ``begin`` does.
        """
        async with self._asking:
            if not self.closed and (self._lasting or not await self._alive()):
                self.begin(reason)
        return self.closed

    def begin(self, reason: str) -> None:
        """Closes the gate until a probe finds the server alive.

        Raises RunStopped as ``trouble`` does, and Interrupted where the run is being stopped: nobody waits any more.
        """
        if self._admission.closed:
            raise Interrupted
        self.trouble(reason)
        if self._prober is None:
            self.count += 1
            self._admission.record_outage()
            self.answers_before = self.answers
            self.reason = reason
            self._prober = asyncio.create_task(self._probe(reason))
            self._prober.add_done_callback(self._ended)
            self.shut.set()
            self.on_shut()

    def _ended(self, prober: asyncio.Task[None]) -> None:
        # With nobody at the gate, the next one to pass must hear of the stop.
        error = None if prober.cancelled() else prober.exception()
        if isinstance(error, RunStopped):
            self._stop = error

    async def _probe(self, reason: str) -> None:
        try:
            while True:
                await self._rest(self._probes.max_wait(self.tries))
                self.tries += 1
                if await self._alive():
                    return
                self.trouble(reason)
        finally:
            self._prober = None
            self.reason = None
            self.shut.clear()

    async def _rest(self, seconds: float) -> None:
        """The wait before a probe; over at once where the server is gone for good, which it raises."""
        if self._gone is None:
            await self._admission.sleep(seconds)
        else:
            await wait_first(end_of(self._gone), self._admission.sleep(seconds))

    async def aclose(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            await asyncio.gather(prober, return_exceptions=True)

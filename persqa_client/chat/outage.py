"""The server is away: nothing is sent until it is back, though not for ever. Waits, and asks by a given function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from persqa_client.chat.admission import Admission
from persqa_client.chat.retries import Backoff
from persqa_client.errors import RunStopped

PROBES = Backoff(first=0.5, longest=10.0)
"""Between probes: no longer than this, so that a restarted server is found soon."""

PATIENCE = 5.0
"""Seconds of nothing but refusals after which the server counts as away."""


class Outage:
    """A gate before every attempt. Trouble begins with the first refusal after an answer and ends with an answer."""

    def __init__(
        self,
        alive: Callable[[], Awaitable[bool]],
        admission: Admission,
        *,
        max_outage: float,
        probes: Backoff = PROBES,
        patience: float = PATIENCE,
    ) -> None:
        self._alive = alive
        self._admission = admission
        self._max_outage = max_outage
        self._probes = probes
        self._patience = patience
        self.tries = 0
        """Probes since the last answer; the waits between them grow with it."""
        self._since: float | None = None
        self._prober: asyncio.Task[None] | None = None
        self.reason: str | None = None
        """Why nothing is sent at the moment, for the person who looks on; None when the way is free."""

    async def passed(self) -> None:
        """Returns when sending is allowed. Raises RunStopped after ``max_outage`` seconds without an answer."""
        while self._prober is not None:
            await asyncio.shield(self._prober)

    def trouble(self, reason: str) -> None:
        """Counts the time without an answer. Raises RunStopped when it was too long."""
        now = monotonic()
        if self._since is None:
            self._since = now
        if now - self._since > self._max_outage:
            raise RunStopped(
                "server_away",
                f"No answer for {now - self._since:.0f} s (--max-outage {self._max_outage:g}): {reason} "
                "Nothing is lost; give the same command again when the server is back.",
            )

    @property
    def closed(self) -> bool:
        """Whether nothing may be sent at the moment."""
        return self._prober is not None

    @property
    def quiet(self) -> bool:
        """Whether the last thing heard of the server was an answer."""
        return self._since is None

    def over(self) -> None:
        """An answer has come."""
        self._since = None
        self.tries = 0

    def pressed(self, reason: str) -> None:
        """The server turned a request away. Nothing but that for a while is as good as away: the gate is closed.

        A server may call itself well and still turn everything away; then the gate opens for one try after ever longer
        waits. Raises RunStopped as ``trouble`` does.
        """
        self.trouble(reason)
        if self._since is not None and monotonic() - self._since >= self._patience:
            self.begin(reason)

    def begin(self, reason: str) -> None:
        """Closes the gate until a probe finds the server alive. Raises RunStopped as ``trouble`` does."""
        self.trouble(reason)
        if self._prober is None:
            self.reason = reason
            self._prober = asyncio.create_task(self._probe(reason))

    async def _probe(self, reason: str) -> None:
        try:
            while True:
                await self._admission.pause(self._probes.ceiling(self.tries))
                self.tries += 1
                if await self._alive():
                    return
                self.trouble(reason)
        finally:
            self._prober = None
            self.reason = None

    async def aclose(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            await asyncio.gather(prober, return_exceptions=True)

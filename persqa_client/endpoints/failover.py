"""Where another endpoint can go on: a request that failed here is handed over instead of waiting. Waits, and decides.

A session that stands alone has none of this.
"""

from __future__ import annotations

from collections.abc import Callable

from persqa_client.client.retry import Backoff, RequestState
from persqa_client.endpoints.outage import OutageGate
from persqa_client.errors import FailedOver
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.task_groups import wait_first
from persqa_client.types import ErrorDecision, RetryAction

Relief = Callable[[], bool]
"""Whether another endpoint can go on with a request that failed here."""


class Standby:
    """One session's part in several that stand in for one another; ``joined`` says whether it has one."""

    def __init__(self, admission: ConcurrencyLimit, outage: OutageGate, backoff: Backoff) -> None:
        self._admission = admission
        self._outage = outage
        self._backoff = backoff
        self._relief: Relief | None = None
        self._turned_away = 0
        """Requests in a row that were turned away though they were the only one."""

    @property
    def joined(self) -> bool:
        return self._relief is not None

    def join(self, relief: Relief, lasting: Callable[[], bool]) -> None:
        """From now on requests are given back (Away) when the gate shuts, and when they failed here and there is
        ``relief``. While ``lasting``, the server may stay away for ever."""
        self._relief = relief
        self._outage.relieved = lasting
        self._outage.on_shut = lambda: self._admission.reject_waiting(FailedOver())

    async def before(self, trial: RequestState) -> None:
        """Ahead of an attempt. Raises Away where another endpoint is to go on with the request.

        A broken connection may be the first sign of a server that is gone: it is asked, so that nobody pays for that.
        """
        if self._relief is None:
            return
        failed = trial.spent > trial.brought
        if failed and trial.lost is not None:
            await self._outage.explains(trial.lost.message)
        if self._outage.closed or (failed and self._relief()):
            raise FailedOver

    def at_the_gate(self) -> None:
        """Raises Away where the gate is shut: nobody waits there whom another endpoint could serve."""
        if self._relief is not None and self._outage.closed:
            raise FailedOver

    def after(self, verdict: ErrorDecision) -> None:
        """Behind an attempt that failed. Raises Away where the server turned it away and another takes it."""
        if verdict.action is RetryAction.WAIT and self._relief is not None and self._relief():
            self._leave_alone()
            raise FailedOver

    def answered(self) -> None:
        self._turned_away = 0

    def _leave_alone(self) -> None:
        """A server that turns away the only request that it has is sent none for a while, each time a longer one."""
        if self._admission.in_use == 1:
            self._admission.pause(self._backoff.max_wait(self._turned_away))
            self._admission.reject_waiting(FailedOver())
            self._turned_away += 1

    async def rest(self, seconds: float) -> None:
        """The wait before another attempt; over at once where the gate shuts and another endpoint can go on."""
        if self._relief is None:
            await self._admission.sleep(seconds)
        else:
            await wait_first(self._admission.sleep(seconds), self._outage.shut.wait())

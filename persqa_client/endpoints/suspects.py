"""Requests that may have crashed the endpoint, because they were in flight when an outage began.

They are sent again one at a time at first. A request that crashes the endpoint repeatedly fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from persqa_client.endpoints.breaker import Breaker
from persqa_client.endpoints.outage import OutageGate
from persqa_client.endpoints.request_state import RequestState
from persqa_client.errors import FailedOver, Interrupted, RowError
from persqa_client.limits.concurrency import ConcurrencyLimit, WaitQueue
from persqa_client.types import ErrorDecision, RetryAction

UNCONFIRMED = ErrorDecision(RetryAction.RETRY, "connection_lost", "The server has answered no request since an outage.")
# Server crashes with the same row in flight after which that row fails; fewer may be chance.
MIN_CRASHES = 3


class SuspectLimit:
    """Limits concurrent requests that may have crashed the server, so that one of them rarely affects the others.

    The limit is one at first and after each outage, and rises by one with each answer. It is one while there are
    requests that must be alone.
    """

    def __init__(self, concurrency_limit: ConcurrencyLimit) -> None:
        self._concurrency_limit = concurrency_limit
        self._limit = 1
        self._alone = 0  # requests that must be alone, waiting ones included
        self._outages = 0
        self._in_use = 0
        self._queue = WaitQueue()
        self._closed = False

    @asynccontextmanager
    async def turn(self, *, alone: bool = False) -> AsyncIterator[None]:
        """Raises Interrupted once the limit is closed."""
        if self._closed:
            raise Interrupted
        self._alone += alone
        try:
            if self._has_room():
                self._in_use += 1
            else:
                with self._concurrency_limit.waiting_without_permit():
                    await self._queue.wait(1, retry=False, on_cancel=lambda _: self._release())
            try:
                yield
            finally:
                self._release()
        finally:
            self._alone -= alone
            self._wake()

    def _has_room(self) -> bool:
        return self._in_use < (1 if self._alone else self._limit)

    def record_answer(self) -> None:
        self._limit += 1
        self._wake()

    def record_outages(self, outages: int) -> None:
        if outages != self._outages:
            self._outages, self._limit = outages, 1

    def close(self) -> None:
        self._closed = True
        self._queue.reject(Interrupted())

    def _release(self) -> None:
        self._in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._has_room() and self._queue.first() is not None:
            self._in_use += 1
            self._queue.wake_first(1)


class CrashSuspects:
    """The requests that may crash one endpoint."""

    def __init__(
        self, outage: OutageGate, breaker: Breaker, concurrency_limit: ConcurrencyLimit, max_attempts: int
    ) -> None:
        self._outage = outage
        self._breaker = breaker
        self._max_attempts = max_attempts
        self._limit = SuspectLimit(concurrency_limit)

    def includes(self, state: RequestState) -> bool:
        return state.sent > 0 and state.is_suspect(self._outage.outages)

    @staticmethod
    def must_be_alone(state: RequestState) -> bool:
        """Whether a suspect is sent with nothing else in flight."""
        return state.crashes >= MIN_CRASHES - 1

    def turn(self, *, alone: bool) -> AbstractAsyncContextManager[None]:
        """Raises Interrupted after ``close``."""
        return self._limit.turn(alone=alone)

    def record_answer(self) -> None:
        """Call when a suspect was answered."""
        self._limit.record_answer()

    def record_outages(self, state: RequestState) -> None:
        """Raises RowError if the request seems to crash the server."""
        if self._outage.outages == state.recorded_outages:
            return
        failure = state.latest_failure
        state.record_outages(self._outage.history)
        self._limit.record_outages(self._outage.outages)
        # When several suspects are in flight, one of them may be harmless.
        is_guilty = state.was_alone and state.crashes >= max(MIN_CRASHES, self._max_attempts)
        if failure is not None and is_guilty:
            raise RowError(
                "engine_dead",
                f"The server became unavailable {state.crashes} times with this row in flight, and answered other rows "
                f"in between: {failure.message} Check whether the row's image or question crashes the server.",
                raw=failure.raw,
                attempts=state.crashes,
            )

    async def confirm_recovery(self, state: RequestState) -> None:
        """Sends a trial before a request that may crash the endpoint, unless it has answered others since.

        A crash counts only if there was an answer in between. Otherwise the request could crash the endpoint for ever.
        """
        self.record_outages(state)
        if state.outages_hit > 1 and state.answers_at_failure == self._outage.answers and not self._outage.closed:
            self._breaker.start_trials(UNCONFIRMED, state.failover)
            if state.failover is not None:
                raise FailedOver
            await self._outage.wait_until_open()

    def close(self) -> None:
        """Interrupts waiting suspects."""
        self._limit.close()

"""A rate limit whose amounts are granted from outside, a share of the rate of all workers."""

from __future__ import annotations

from persqa_client.errors import Interrupted
from persqa_client.limits.concurrency import WaitQueue


class GrantedThrottle:
    """A ``Throttle``. Requests wait until enough was granted for them: a request each, or its tokens."""

    def __init__(self, name: str, *, counts_tokens: bool) -> None:
        self.name = name
        self._counts_tokens = counts_tokens
        self._balance = 0.0
        self._queue = WaitQueue()
        self._waiting = 0.0
        # Since the last wish.
        self._used = 0.0
        self._is_closed = False

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None:
        if self._is_closed:
            raise Interrupted
        amount = tokens if self._counts_tokens else 1
        if self._queue.first() is None and self._balance >= amount:
            self._take(amount)
            return
        self._waiting += amount
        try:
            await self._queue.wait(amount, retry=retry, on_cancel=self.correct_amount)
        finally:
            self._waiting -= amount

    def correct(self, tokens: int) -> None:
        """``tokens`` more than were acquired; a negative number for less."""
        if self._counts_tokens:
            self._balance -= tokens

    def correct_amount(self, amount: int) -> None:
        self.grant(amount)

    def grant(self, amount: float) -> None:
        self._balance += amount
        while (needed := self._queue.first()) is not None and self._balance >= needed:
            self._take(needed)
            self._queue.wake_first(needed)

    def _take(self, amount: float) -> None:
        self._balance -= amount
        self._used += amount

    def take_wish(self) -> float:
        """The amount needed until the next grant: for the waiting requests, and as much as was used since the last
        grant.
        """
        used, self._used = self._used, 0.0
        return max(0.0, self._waiting + used - self._balance)

    def close(self) -> None:
        self._is_closed = True
        self._queue.reject(Interrupted())

"""The limits of one endpoint, which this process shares with others through a folder.

Permits are divided among the processes that can use them. Of a rate, a process reserves what it needs for a moment, so
that a few file operations a second are enough, however high the rate is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from persqa_client.config import Limits
from persqa_client.errors import PersQAError, StorageError
from persqa_client.limits.account import Account, ProcessNeeds
from persqa_client.limits.account_folder import AccountFolder, AccountMember
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.rate_limit import TOKEN_BURST, PriorityLock, Throttle, choose_rate
from persqa_client.limits.shares import describe_rates
from persqa_client.task_groups import loop_time

# Seconds between two reports of what this process needs.
REPORT_INTERVAL = 0.5
# Seconds of a rate that are reserved at once. A single request may take longer.
RESERVATION = 0.25
# Seconds for which an error of the file system is waited out. What was granted before still holds.
PATIENCE, RETRY_INTERVAL = 60.0, 1.0

# Takes the name of a rate, the seconds of it to reserve, and the seconds that may be used at once. Returns when they
# begin, on the clock of the event loop.
Reserve = Callable[[str, float, float], Awaitable[float]]


class SharedLimits:
    """Call ``start`` before each request. Until the first report, there is no permit."""

    def __init__(self, folder: AccountFolder, base_url: str, limits: Limits, permits: ConcurrencyLimit) -> None:
        self._folder = folder.path
        self._member = AccountMember(folder.of_endpoint(base_url), describe_rates(limits))
        self._permits = permits
        self._total = limits.concurrency_cap
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._error: PersQAError | None = None
        permits.admission.share = 0
        self.throttles: list[Throttle] = []
        if (rate := choose_rate(limits.rps, limits.rpm)) is not None:
            self.throttles.append(SharedRequestThrottle(*rate, self.reserve))
        if limits.tpm is not None:
            self.throttles.append(SharedTokenThrottle(limits.tpm, self.reserve))

    def start(self) -> None:
        """Raises the error that has ended the sharing."""
        if self._error is not None:
            raise self._error.fresh()
        if self._task is None:
            self._task = asyncio.create_task(self._report_periodically())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            async with self._one_at_a_time:
                await asyncio.to_thread(self._member.leave)

    async def reserve(self, rate_name: str, seconds: float, burst: float) -> float:
        return await self._update(lambda account, now: account.reserve(rate_name, seconds, now, burst))

    async def _report_periodically(self) -> None:
        try:
            while True:
                await self._update(lambda account, now: now)
                await asyncio.sleep(REPORT_INTERVAL)
        except Exception as error:
            # Without the reports, requests would wait for ever: for an error of any kind.
            reason = f"the limits can't be shared through {self._folder} ({error!r})"
            self._error = error if isinstance(error, PersQAError) else StorageError(reason)
            self._permits.reject_waiting(self._error)

    async def _update(self, change: Callable[[Account, float], float]) -> float:
        """A caller that is cancelled does not take a report from the others that is under way."""
        update = asyncio.ensure_future(self._exchange_patiently(change))
        update.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(update)

    async def _exchange_patiently(self, change: Callable[[Account, float], float]) -> float:
        began = loop_time()
        async with self._one_at_a_time:
            while True:
                try:
                    return await self._exchange(change)
                except StorageError:
                    if loop_time() - began > PATIENCE or self._permits.closed:
                        raise
                await asyncio.sleep(RETRY_INTERVAL)

    async def _exchange(self, change: Callable[[Account, float], float]) -> float:
        """Reports what this process needs, learns what it may use, and returns the time that ``change`` returns."""
        limit, clock_difference = self._permits, time.monotonic() - loop_time()
        is_hungry = limit.waiting > 0 or limit.in_use >= limit.permits
        needs = ProcessNeeds(
            held=max(limit.in_use, int(limit.admission.share)),
            wanted=self._total if is_hungry else limit.in_use + 1,
        )
        paused_until = limit.admission.paused_until + clock_difference
        granted, paused_until, moment = await asyncio.to_thread(
            self._member.update, partial(self._take_part, needs, paused_until, change)
        )
        limit.admission.share = granted
        seconds_paused = paused_until - clock_difference - loop_time()
        if seconds_paused > 0:
            limit.pause(seconds_paused)
        limit.wake_waiters()
        return moment - clock_difference

    def _take_part(
        self,
        needs: ProcessNeeds,
        paused_until: float,
        change: Callable[[Account, float], float],
        account: Account,
        now: float,
    ) -> tuple[int, float, float]:
        needs.seen = now
        granted = account.share_permits(self._member.name, needs, self._total)
        account.paused_until = max(account.paused_until, paused_until)
        return granted, account.paused_until, change(account, now)


def share_limits(base_url: str, limits: Limits, permits: ConcurrencyLimit) -> SharedLimits | None:
    """None if they are those of this process alone."""
    if limits.share_limits is None:
        return None
    return SharedLimits(AccountFolder(limits.share_limits), base_url, limits, permits)


class SharedRequestThrottle:
    """Requests per second of all processes together, evenly spread. Requests that were reserved and not sent lapse."""

    def __init__(self, rps: float, name: str, reserve: Reserve) -> None:
        self.name = name
        self._rps = rps
        self._reserve = reserve
        self._lock = PriorityLock()
        self._most = max(1, int(rps * RESERVATION))
        # Requests of the last reservation; how many of them are left, and how many have lapsed.
        self._count = self._left = self._lapsed = 0
        # When the next one may be sent.
        self._next_at = 0.0

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None:
        async with self._lock.hold(retry=retry):
            self._let_lapse()
            if not self._left:
                await self._reserve_more()
            self._left -= 1
            self._next_at, due = self._next_at + 1 / self._rps, self._next_at
            await asyncio.sleep(max(0.0, due - loop_time()))

    def _let_lapse(self) -> None:
        while self._left and self._next_at < loop_time() - RESERVATION:
            self._left -= 1
            self._lapsed += 1
            self._next_at += 1 / self._rps

    async def _reserve_more(self) -> None:
        """Reserves as many as were sent of the last reservation, or twice as many if none expired."""
        expected = self._count - self._lapsed if self._lapsed else 2 * self._count
        self._count, self._lapsed = min(self._most, max(1 + len(self._lock), expected)), 0
        self._next_at = await self._reserve("requests", self._count / self._rps, 0.0)
        self._left = self._count

    def correct(self, tokens: int) -> None:
        pass

    def close(self) -> None:
        self._lock.close()


class SharedTokenThrottle:
    """Tokens per minute of all processes together: estimates, corrected by usage."""

    def __init__(self, tpm: int, reserve: Reserve) -> None:
        self.name = f"{tpm:,} tokens per minute"
        self._rate = tpm / 60
        self._reserve = reserve
        self._lock = PriorityLock()
        # Tokens that are reserved and not used; negative after requests that used more than estimated.
        self._left = 0.0

    async def acquire(self, tokens: int = 0, *, retry: bool = False) -> None:
        async with self._lock.hold(retry=retry):
            if (missing := tokens - self._left) > 0:
                amount = max(missing, self._rate * RESERVATION)
                seconds = amount / self._rate
                begin = await self._reserve("tokens", seconds, TOKEN_BURST)
                self._left += amount
                await asyncio.sleep(max(0.0, begin + seconds - loop_time()))
            self._left -= tokens

    def correct(self, tokens: int) -> None:
        self._left -= tokens

    def close(self) -> None:
        self._lock.close()

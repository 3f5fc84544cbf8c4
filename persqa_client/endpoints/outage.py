"""The outage gate: holds requests while the server is unavailable, and probes it until it recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import NoReturn

from persqa_client.client.error_body import mask_variable_text
from persqa_client.client.retry import Backoff
from persqa_client.endpoints.request_state import Failover, History
from persqa_client.errors import FailedOver, Interrupted, RunStopped, ServerFailed
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.task_groups import loop_time, wait_first
from persqa_client.types import ErrorDecision, RetryAction

# Seconds between probes. The maximum is short, so that a recovered server is noticed soon.
PROBE_BACKOFF = Backoff(initial=0.5, maximum=10.0)
# Seconds with only refusals and lost connections after which the server counts as unavailable.
PATIENCE = 5.0

EXIT_POLL_INTERVAL = 0.1
# Seconds to wait for the exit of a server that has stopped listening.
EXIT_TIMEOUT = 5.0

ExitCheck = Callable[[], RunStopped | None]  # returns why a server started by this program has exited, or None
# Returns why the gate stays closed, or None to open it.
RecoveryCheck = Callable[[], Awaitable[ErrorDecision | None]]

# Actions for replies of a server that is available.
ANSWERS = frozenset({RetryAction.FAIL, RetryAction.STOP, RetryAction.WAIT})
# Seconds of failed health checks after which they are ignored and a trial is sent: if the server was healthy before,
# and if it was not.
MAX_UNHEALTHY, MAX_NEVER_HEALTHY = 60.0, 5.0


class Liveness:
    """Whether the server reports itself healthy.

    Some gateways answer GET /health with 5xx whatever the state of the server.
    """

    def __init__(self, check: Callable[[], Awaitable[bool]]) -> None:
        self._check = check
        self.was_alive = False
        self._failed_since: float | None = None

    async def __call__(self) -> bool:
        is_alive = await self._check()
        self.was_alive = self.was_alive or is_alive
        if is_alive:
            self._failed_since = None
        elif self._failed_since is None:
            self._failed_since = loop_time()
        return is_alive

    @property
    def is_evidence(self) -> bool:
        """Whether a failed check shows that the server is unavailable."""
        seconds = 0.0 if self._failed_since is None else loop_time() - self._failed_since
        return seconds < (MAX_UNHEALTHY if self.was_alive else MAX_NEVER_HEALTHY)


class OutageGate:
    """Holds the requests to an endpoint while it is unavailable, or while a trial is pending.

    Trials and health checks bypass the gate. Trouble is the time from the first refusal or lost connection until the
    next answer; after ``max_outage`` seconds of trouble the run stops.

    ``reject_held`` passes an error to the requests whose failures are held: the one that ends an outage (RunStopped,
    Interrupted or a bug), or FailedOver if they can continue at other endpoints. ``unhealthy_check`` is the recovery
    check for a server that is not alive.
    """

    def __init__(
        self,
        is_alive: Callable[[], Awaitable[bool]],
        concurrency_limit: ConcurrencyLimit,
        *,
        max_outage: float,
        probe_backoff: Backoff = PROBE_BACKOFF,
        patience: float = PATIENCE,
        exit_error: ExitCheck | None = None,
        reject_held: Callable[[BaseException], None] = lambda error: None,
        unhealthy_check: RecoveryCheck | None = None,
    ) -> None:
        self._is_alive = is_alive
        self._exit_error = exit_error
        self._reject_held = reject_held
        self._unhealthy_check = unhealthy_check
        self.on_open: Callable[[], None] = lambda: None
        self._concurrency_limit = concurrency_limit
        self._max_outage = max_outage
        self._probe_backoff = probe_backoff
        self._patience = patience
        self.history = History()
        self.times_unavailable = 0  # closings in which a check found the server unavailable
        self._is_counted = False
        self.probes = 0  # number of probes since the last answer; waits grow with it
        self.reason: str | None = None  # why the gate is closed
        self.refusal: str | None = None  # why the endpoint refuses everything, while other endpoints replace it
        self.awaits_trial = False  # whether the answer to a trial opens the gate
        self._trouble_since: float | None = None
        self._was_idle = False  # whether no request was left at some time since the latest failure
        self._prober: asyncio.Task[None] | None = None
        self._liveness_check = asyncio.Lock()
        self._stop: RunStopped | None = None
        self._closed_event = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._prober is not None or self._stop is not None

    @property
    def outages(self) -> int:
        return len(self.history.outages)

    @property
    def answers(self) -> int:
        return self.history.answers

    @property
    def healthy(self) -> bool:
        return self._trouble_since is None

    @property
    def out_of_patience(self) -> bool:
        """Whether the next refusal closes the gate."""
        return self._trouble_seconds >= self._patience

    @property
    def overdue(self) -> bool:
        return self._trouble_seconds > self._max_outage

    @property
    def _trouble_seconds(self) -> float:
        return -inf if self._trouble_since is None or self._was_idle else loop_time() - self._trouble_since

    @property
    def seconds_unavailable(self) -> float:
        """Seconds since the first failure after the latest answer."""
        return max(0.0, self._trouble_seconds)

    @property
    def stop(self) -> RunStopped | None:
        return self._stop

    @property
    def server_exit(self) -> ServerFailed | None:
        return self._stop if isinstance(self._stop, ServerFailed) else None

    async def wait_until_open(self) -> None:
        """Raises RunStopped after ``max_outage``, or if the server has exited."""
        while (prober := self._prober) is not None:
            await asyncio.wait([prober])
            if (error := find_error(prober)) is not None and not isinstance(error, RunStopped):
                raise error
        if self._stop is not None:
            raise self._stop.fresh()

    async def wait_until_closed(self) -> None:
        await self._closed_event.wait()

    def record_answer(self, number: int = 0) -> None:
        """Ends the trouble. A rejected row counts as an answer.

        ``number``: number of the request, or of the latest one that was sent before a trial.
        """
        self.history.record_answer(number)
        self._trouble_since = self._stop = None
        self.probes = 0

    def record_idle(self) -> None:
        """Call when no request is left at the endpoint: its trouble may then end unnoticed."""
        self._was_idle = not self.closed

    def record_refusal(self, reason: str, failover: Failover | None = None) -> None:
        """Closes the gate after ``patience`` seconds without an answer. Raises like ``close``.

        If the server then reports itself healthy, the gate reopens, each time after a longer wait.
        """
        self._record_trouble(reason, failover)
        if self.out_of_patience:
            self.close(reason, failover, is_certain=False)

    async def check(self, reason: str, failover: Failover | None = None) -> bool:
        """Closes the gate if the server is not alive; returns whether it is closed. Raises like ``close``."""
        async with self._liveness_check:
            if not self.closed and (self.out_of_patience or not await self._is_alive()):
                self.close(reason, failover, is_certain=not self.out_of_patience)
        return self.closed

    def close(
        self,
        reason: str,
        failover: Failover | None = None,
        *,
        recovery_check: RecoveryCheck | None = None,
        is_outage: bool = True,
        is_certain: bool = True,
    ) -> None:
        """Closes the gate until the server is alive, or until ``recovery_check`` returns None.

        ``is_outage``: whether requests in flight were lost. If False, they count as lost if the first check fails.
        ``is_certain``: whether the server counts as unavailable before the first check.
        With ``failover``, requests that wait for a permit go to other endpoints.

        Raises RunStopped after ``max_outage`` or if the server has exited, Interrupted if the run is stopped.
        """
        if self._concurrency_limit.closed:
            raise Interrupted
        self._record_trouble(reason, failover)
        if self._prober is not None:
            return
        self.reason, self.awaits_trial = reason, recovery_check is not None
        self._is_counted = is_certain and recovery_check is None
        self.times_unavailable += self._is_counted
        if is_outage:
            self.history.outages.append(self.history.mark()._replace(was_confirmed=recovery_check is None))
        if recovery_check is None:
            self._concurrency_limit.record_outage()
        self._prober = asyncio.create_task(self._probe(failover, recovery_check, is_outage=is_outage))
        self._prober.add_done_callback(self._on_end)
        self._closed_event.set()
        if failover is not None:
            self._concurrency_limit.reject_waiting(FailedOver())

    def _on_end(self, prober: asyncio.Task[None]) -> None:
        if (error := find_error(prober)) is not None:
            self._reject_held(error)
        elif not self.closed and not prober.cancelled():
            self.on_open()

    def reset(self) -> None:
        """Opens the gate after a stop, unless the server has exited."""
        if self.server_exit is None:
            self._stop = self._trouble_since = None

    async def aclose(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            await asyncio.gather(prober, return_exceptions=True)

    def _record_trouble(self, reason: str, failover: Failover | None) -> None:
        if self._exit_error is not None and (stop := self._exit_error()) is not None:
            self._stop = stop
            raise stop
        now = loop_time()
        if self._trouble_since is None or self._was_idle:
            self._trouble_since, self._was_idle = now, False
        if self.overdue and not (failover is not None and failover.can_outlast_outage):
            raise RunStopped(
                "server_away",
                f"No answer for {now - self._trouble_since:.0f} s (--max-outage {self._max_outage:g}): {reason}",
            )

    async def _probe(self, failover: Failover | None, recovery_check: RecoveryCheck | None, *, is_outage: bool) -> None:
        begin = self.history.mark()
        try:
            # A recovery check sends a request, so its result shows at once whether there is an outage.
            if recovery_check is not None:
                if await self._has_recovered(recovery_check, failover):
                    return
                if is_outage:
                    self.history.outages[-1] = self.history.outages[-1]._replace(was_confirmed=True)
                else:
                    self.history.outages.append(begin)
                self._concurrency_limit.record_outage()
            repeat = False
            while True:
                await self._sleep(self._probe_backoff.max_wait(0 if repeat else self.probes))
                self.probes += not repeat
                before = mask_variable_text(self.reason or "")
                if await self._has_recovered(recovery_check or self._check_liveness, failover):
                    return
                # A failure of another kind may be random at an available endpoint. Every second wait has full length.
                repeat = not repeat and mask_variable_text(self.reason or "") != before
        except RunStopped as stop:
            # Set before the prober is cleared; otherwise a request that arrives in between would be sent.
            self._stop = stop
            raise
        finally:
            self._prober = None
            self.reason, self.refusal, self.awaits_trial = None, None, False
            self._closed_event.clear()

    async def _has_recovered(self, check: RecoveryCheck, failover: Failover | None) -> bool:
        error = await check()
        if error is None:
            return True
        if error.action not in ANSWERS and not self._is_counted:
            self._is_counted = True
            self.times_unavailable += 1
        self.reason = error.message
        self._record_trouble(error.message, failover)
        if failover is not None and failover.can_outlast_outage:
            self._reject_held(FailedOver())
        return False

    async def _check_liveness(self) -> ErrorDecision | None:
        if await self._is_alive():
            return None
        if self._unhealthy_check is not None:
            return await self._unhealthy_check()
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "unhealthy", self.reason or "")

    async def _sleep(self, seconds: float) -> None:
        if self._exit_error is None:
            await self._concurrency_limit.sleep(seconds)
        else:
            await wait_first(wait_for_exit(self._exit_error), self._concurrency_limit.sleep(seconds))


def find_error(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


async def wait_for_exit(exit_error: ExitCheck) -> NoReturn:
    while True:
        if (stop := exit_error()) is not None:
            raise stop
        await asyncio.sleep(EXIT_POLL_INTERVAL)


async def explain_stop(
    stop: RunStopped, exit_error: ExitCheck | None, is_alive: Callable[[], Awaitable[bool]]
) -> RunStopped:
    """The server's exit error if that caused the stop, else the stop."""
    if exit_error is None or isinstance(stop, ServerFailed) or await is_alive():
        return stop
    try:
        async with asyncio.timeout(EXIT_TIMEOUT):
            await wait_for_exit(exit_error)
    except TimeoutError:
        return stop
    except RunStopped as exit_stop:
        return exit_stop

"""After a failed attempt, updates the request and the limits, the outage gate and the breaker of its endpoint."""

from __future__ import annotations

from dataclasses import replace

from persqa_client.client.classify import UNREACHABLE_CODES
from persqa_client.client.transport import Client
from persqa_client.client.transport_errors import NO_FILES
from persqa_client.config import Limits
from persqa_client.endpoints.breaker import LONG_WAIT, Breaker
from persqa_client.endpoints.outage import OutageGate
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.request_state import Failover, RequestState
from persqa_client.errors import FailedOver, RowError, RunStopped
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.controllers import Permit
from persqa_client.task_groups import loop_time
from persqa_client.types import ErrorDecision, RetryAction

REFUSED_ALONE = ErrorDecision(RetryAction.WAIT, "busy", "The server refuses a request with no other in flight.")
# Refusals of a row because of load after which that row fails; fewer may be chance.
MIN_LOAD_REFUSALS = 10
# Number of ``in_vain`` refusals after which a trial is sent even if other requests wait.
MIN_IN_VAIN = 3


class FailureHandler:
    """Handles the failures of requests to one endpoint.

    ``is_row`` is False for a probe. Its rejection shows what the endpoint supports, and does not count against it.
    """

    def __init__(
        self,
        outage: OutageGate,
        breaker: Breaker,
        concurrency_limit: ConcurrencyLimit,
        limits: Limits,
        client: Client,
    ) -> None:
        self._outage = outage
        self._breaker = breaker
        self._concurrency_limit = concurrency_limit
        self._limits = limits
        self._client = client
        # Number of answers and number of requests sent, at the first failure since the latest answer.
        self._first_failure = (-1, 0)

    def react(
        self,
        decision: ErrorDecision,
        permit: Permit,
        state: RequestState,
        *,
        is_row: bool,
        is_verification: bool = False,
    ) -> None:
        """Records a failed attempt in the request's history, the limits, the outage gate and the breaker. Never waits.

        Raises RunStopped if the run cannot continue, RowError (``busy``) if the endpoint refuses this row alone, and
        FailedOver if the request was refused because of load and another endpoint is healthy. Raises like
        ``OutageGate.close`` if the failure closes the gate.
        """
        is_row = is_row and not is_verification
        match decision.action:
            case RetryAction.RETRY:
                self._record_failure(decision, state)
                if decision.code == "timeout":
                    self._concurrency_limit.record_timeout(permit)
                if decision.code in UNREACHABLE_CODES:
                    self._outage.record_refusal(decision.message, state.failover)
                if is_row:
                    self._breaker.record_failure(decision, state)
            case RetryAction.WAIT if decision.code == NO_FILES:
                # The limit is that of this process, not of the server.
                self._react_to_shortage(decision, permit)
            case RetryAction.WAIT:
                self._react_to_load(decision, permit, state)
            case RetryAction.AWAIT_RECOVERY:
                if decision.code == "engine_dead":
                    self._record_failure(decision, state)
                self._outage.close(decision.message, state.failover)
            case RetryAction.STOP:
                self._react_to_refusal(decision, state, is_verification=is_verification)
            case RetryAction.FAIL:
                self._outage.record_answer(state.latest_number)
                if is_row:
                    self._breaker.record_failure(decision, state)
            case RetryAction.RESEND:
                self._outage.record_answer(state.latest_number)

    def _react_to_refusal(self, decision: ErrorDecision, state: RequestState, *, is_verification: bool) -> None:
        is_long_wait = decision.code == LONG_WAIT
        if not (self._client.context.has_answered or decision.grace or is_long_wait):
            raise RunStopped(decision.code, decision.message)
        if is_verification:
            state.attempts.add(self._outage.history, state.latest_number)
            return
        if not is_long_wait:
            # Given back if the endpoint refuses the trial as well.
            state.attempts.add(self._outage.history, state.latest_number)
        self._breaker.record_failure(decision, state)
        if is_long_wait:
            self._count_load_refusal(decision, state)
            if state.failover is not None and state.failover.is_ready:
                raise FailedOver

    def _record_failure(self, decision: ErrorDecision, state: RequestState) -> None:
        answers, sent = self._first_failure
        if answers != self._outage.answers:
            answers, sent = self._first_failure = self._outage.answers, self._outage.history.sent
        # Requests sent after the first failure since the latest answer did not cause it.
        state.record_failure(decision, self._outage.history, was_in_flight=state.latest_number <= sent)

    def _react_to_shortage(self, decision: ErrorDecision, permit: Permit) -> None:
        seconds = self._concurrency_limit.record_shortage(permit, decision.message)
        if seconds > self._limits.max_outage:
            raise RunStopped(
                "server_away",
                f"No connection could be opened for {seconds:.0f} s (--max-outage {self._limits.max_outage:g}): "
                f"{decision.message}",
            )

    def _react_to_load(self, decision: ErrorDecision, permit: Permit, state: RequestState) -> None:
        retry_after, refusals = decision.retry_after, state.load_refusals
        self._concurrency_limit.record_refusal(permit, retry_after, decision.message)
        self._count_load_refusal(decision, state)
        is_alone = refusals.in_vain >= MIN_IN_VAIN and self._outage.out_of_patience and retry_after is None
        if is_alone or self._outage.seconds_unavailable > self._limits.max_outage / 2:
            # A trial shows whether others are answered. If it is answered, this is not an outage.
            self._breaker.start_trials(REFUSED_ALONE, state.failover)
        else:
            self._outage.record_refusal(decision.message, state.failover)
        if state.failover is not None and state.failover.is_ready:
            if self._concurrency_limit.paused:
                self._concurrency_limit.reject_waiting(FailedOver())
            raise FailedOver

    def _count_load_refusal(self, decision: ErrorDecision, state: RequestState) -> None:
        refusals, outage = state.load_refusals, self._outage
        refusals.add(loop_time(), decision.retry_after, answers=outage.answers, outages=outage.outages)
        is_long = refusals.seconds > self._limits.max_outage and refusals.count >= MIN_LOAD_REFUSALS
        if is_long and refusals.others_answered:
            raise RowError(
                "busy",
                f"Refused {refusals.count} times in {refusals.seconds:.0f} s while other requests were answered: "
                f"{decision.message}",
                raw=decision.raw,
                attempts=state.attempts_used,
            )

    def needs_trial(self, state: RequestState) -> bool:
        """Whether a request is repeatedly refused because of load, although nothing else is in flight.

        Only a trial shows whether the endpoint refuses this row alone or every request.
        """
        refusals, limit = state.load_refusals, self._concurrency_limit
        if not refusals.count or refusals.had_trial or self._outage.closed or not self._outage.out_of_patience:
            return False
        # Other waiting requests show this too, unless they are refused as often.
        return limit.in_use <= 1 and (not limit.waiting or refusals.in_vain >= MIN_IN_VAIN)

    def send_trial_first(self, state: RequestState) -> None:
        """Closes the gate until the endpoint has answered a trial. Raises like ``OutageGate.close``."""
        state.load_refusals.had_trial = True
        self._breaker.start_trials(REFUSED_ALONE, state.failover)

    async def _is_unavailable(self, decision: ErrorDecision, state: RequestState) -> bool:
        if decision.code not in UNREACHABLE_CODES:
            return False
        enough = state.attempts.unanswered(self._outage.history) >= min(2, self._limits.max_attempts)
        return enough and await self._outage.check(decision.message, state.failover)

    async def fail_over_if_needed(self, state: RequestState, failover: Failover) -> None:
        failure = state.latest_failure
        if state.has_failed_here and failure is not None and failure.code in UNREACHABLE_CODES:
            # A lost connection may be the start of an outage. This does not count as an attempt.
            await self._outage.check(failure.message, failover)
        if self._outage.closed or (state.has_failed_here and failover.is_ready):
            raise FailedOver

    async def is_final(
        self, decision: ErrorDecision, state: RequestState, *, is_row: bool, is_verification: bool = False
    ) -> bool:
        """Whether a request has failed for good. False: it is to be sent again. Waits until the cause is known.

        Raises FailedOver if another endpoint has to confirm the refusal of a row, and like ``Breaker.wait_for_cause``
        and ``OutageGate.close``.
        """
        is_final = await self._has_own_cause(decision, state, is_row=is_row, is_verification=is_verification)
        if not is_final and decision.action is not RetryAction.STOP:
            # Recorded now: another request may be answered before the gate closes.
            state.attempts.give_back_unanswered(self._outage.history)
        return is_final

    async def _has_own_cause(
        self, decision: ErrorDecision, state: RequestState, *, is_row: bool, is_verification: bool
    ) -> bool:
        if await self._is_unavailable(decision, state):
            return False
        if is_verification:
            # The failure is not held until another row is answered: all rows in flight may wait for such requests.
            return decision.action is not RetryAction.STOP or state.attempts_used >= self._limits.max_attempts
        if not is_row and decision.action is not RetryAction.STOP:
            # The refusal of a probe shows what the endpoint supports.
            return True
        may_move = state.failover is not None and state.failover.is_ready and not state.refusals
        if decision.action is RetryAction.FAIL and may_move:
            # This endpoint may be the cause, so another one has to confirm the refusal.
            state.refusals += 1
            raise FailedOver
        is_own = await self._wait_for_cause(decision, state)
        if is_own and not is_row:
            raise RunStopped(decision.code, decision.message)
        return is_own

    async def wait_for_cause_of_answer(self, reply: Reply, state: RequestState) -> bool:
        """Whether the reply is the row's answer. Waits like ``is_final`` if the answer is incomplete.

        False: the endpoint is the cause, and the request is to be sent again. Raises like ``Breaker.wait_for_cause``.
        """
        if reply.unusable is None:
            return True
        self._breaker.record_failure(reply.unusable, state)
        return await self._wait_for_cause(reply.unusable, state)

    async def _wait_for_cause(self, decision: ErrorDecision, state: RequestState) -> bool:
        if decision.action is RetryAction.STOP:
            # A gateway may use several accounts and only one be refused, so this is like a transient error.
            retried = state.attempts_used >= self._limits.max_attempts
        else:
            retried = state.held_failures > 0
        is_own = await self._breaker.wait_for_cause(decision, state.failover, retried=retried)
        state.held_failures += not is_own
        return is_own


def refuse_long_wait(decision: ErrorDecision, max_outage: float) -> ErrorDecision:
    """A wait that is too long is a refusal by the endpoint. It counts only if no other request is answered.

    A gateway with several accounts asks for such a wait at random while one of them is used up for a day or a week.
    """
    if decision.action is not RetryAction.WAIT or (decision.retry_after or 0.0) <= max_outage:
        return decision
    asked = f"The server asks to wait {decision.retry_after:.0f} s, more than --max-outage {max_outage:g}"
    message = f"{asked}: {decision.message}"
    return replace(decision, action=RetryAction.STOP, code=LONG_WAIT, message=message, retry_after=None)


def make_row_error(decision: ErrorDecision, state: RequestState) -> RowError:
    if decision.action is RetryAction.STOP:
        times = f"The server refused this row {state.attempts_used} times, and answered others in between"
        return RowError("rejected", f"{times}: {decision.message}", raw=decision.raw, attempts=state.attempts_used)
    attempts = state.attempts_used + (decision.action is RetryAction.FAIL)
    count = f" after {attempts} attempts" if decision.action is RetryAction.RETRY and attempts > 1 else ""
    message = f"{decision.message.rstrip('.')}{count}."
    return RowError(decision.code, message, raw=decision.raw, attempts=attempts)

"""Decides whether the row or the endpoint caused a failure. A failure of the endpoint costs no row an attempt.

If the endpoint may be the cause, the failure is held until the endpoint answers a request that was sent after the
failure arrived. After several failures of one kind in a row, or if no such answer can arrive, all other requests are
held and a trial request is sent, as in the half-open state of a circuit breaker: a request that the endpoint has
answered before, else a plain one.
"""

from __future__ import annotations

import asyncio
import io
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from PIL import Image

from persqa_client.client.error_body import mask_variable_text
from persqa_client.endpoints.outage import Liveness, OutageGate
from persqa_client.endpoints.request_state import Failover, RequestState
from persqa_client.errors import Interrupted, PersQAError, RunStopped
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.task_groups import loop_time
from persqa_client.types import Completion, EncodedImage, ErrorDecision, Request, RetryAction

# Refused trials in a row after which an endpoint counts as refusing every request. They take 3.5 s. A single refusal
# may be random: a truncated answer, or one bad replica.
MIN_REFUSED_TRIALS = 4
# The code of a wait that is longer than --max-outage. A gateway may ask for it at random, while one of its accounts is
# used up, and Azure asks for a day when a limit per minute is reached. So more trials are needed. They take 95 s.
LONG_WAIT, MIN_LONG_WAITS = "rate_limited", 14
# Requests that failed alike in a row, without an answer in between, after which a trial is sent. If fewer requests are
# in flight, that number of transient failures is enough, but at least MIN_STREAK.
MAX_STREAK, MIN_STREAK = 20, 3
UNHEALTHY = ErrorDecision(RetryAction.AWAIT_RECOVERY, "unhealthy", "The server does not report itself healthy.")
# Refusals: the server answers, and rejects the request. Others are transient.
REFUSALS = frozenset({RetryAction.FAIL, RetryAction.STOP})


class FailureKind(NamedTuple):
    code: str
    text: str
    is_refusal: bool


def failure_kind(decision: ErrorDecision) -> FailureKind:
    """Equal for failures that differ only in ids, numbers and URLs."""
    return FailureKind(decision.code, mask_variable_text(decision.raw or ""), decision.action in REFUSALS)


def find_unusable(completion: Completion) -> ErrorDecision | None:
    """Why a completion is incomplete, if the endpoint may be the cause: its token limit, filter or model."""
    reason = completion.finish_reason
    if completion.refusal is not None:
        return None
    if reason == "content_filter":
        return ErrorDecision(RetryAction.FAIL, "content_filter", "The server's content filter removed the answer.")
    if reason == "length":
        message = "The answer was cut off at the token limit: raise --max-tokens."
        return ErrorDecision(RetryAction.FAIL, "truncated", message, status=200)
    if not completion.text.strip():
        return ErrorDecision(RetryAction.FAIL, "empty", "The answer has no text.", status=200)
    return None


@cache
def plain_request() -> Request:
    """A request that any vision-language model can answer, for an endpoint that has answered no row yet."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 40)).save(file, "JPEG")
    return Request(
        "You are a helpful assistant.",
        (EncodedImage(file.getvalue(), "image/jpeg", 64, 64),),
        "Describe this picture in one sentence.",
        seed=1,
    )


@dataclass(slots=True, eq=False)
class HeldFailure:
    decision: ErrorDecision
    # Number of requests sent when it arrived.
    arrived: int
    # Whether the request has used its further attempts after answered trials.
    retried: bool
    # Whether it arrived as part of a streak.
    in_streak: bool
    # True if the failure is the row's own, False if the request is to be sent again.
    is_own: asyncio.Future[bool]


class Breaker:
    """Decides about the failures of one endpoint.

    ``send_ungated`` sends a request without a permit and without passing the outage gate. It obeys the rate limits, and
    returns None if the answer is usable.

    ``watch_interval``: seconds between checks whether an answer that decides the held failures can still arrive.
    """

    def __init__(
        self,
        outage: OutageGate,
        concurrency_limit: ConcurrencyLimit,
        is_alive: Liveness,
        send_ungated: Callable[[Request], Awaitable[ErrorDecision | None]],
        *,
        watch_interval: float,
    ) -> None:
        self.outage = outage
        self._concurrency_limit = concurrency_limit
        self._is_alive = is_alive
        self._send_ungated = send_ungated
        self._watch_interval = watch_interval
        self._history = outage.history
        self._in_flight: set[int] = set()
        # Requests that failed since the last good answer, with the number of requests sent when the failure arrived.
        self._streaks: defaultdict[FailureKind, dict[int, int]] = defaultdict(dict)
        self._held: list[HeldFailure] = []
        self._answered: Request | None = None
        self._watch_timer: asyncio.TimerHandle | None = None

    def start_request(self) -> int:
        """Returns the number of the request, to be passed to ``end_request`` and ``record_answer``."""
        self._history.sent += 1
        self._in_flight.add(self._history.sent)
        return self._history.sent

    def end_request(self, number: int) -> None:
        self._in_flight.discard(number)

    def record_answer(self, number: int, request: Request) -> None:
        """Decides the held failures when a usable answer arrives. The row is the cause of a failure that arrived before
        the answered request was sent.

        Rows of a streak are sent once more, because the endpoint may have recovered just before.
        """
        self._answered = request
        self._decide(number)

    def record_verdict(self, number: int) -> None:
        """Decides failures by the reply to a verification request. A trial does not repeat such a request."""
        self._decide(number)

    def _decide(self, number: int) -> None:
        if self._held:
            streaks = self._long_streaks()
            for held in self._held:
                if held.arrived < number and not held.is_own.done():
                    held.is_own.set_result(not self._gets_another_attempt(held, streaks))
            self._forget_decided()
        if self._streaks:
            self._end_streaks(number)

    def _end_streaks(self, number: int) -> None:
        """Refusals arrive fast, so answers to requests that were sent earlier do not end a streak of refusals."""
        for kind, streak in list(self._streaks.items()):
            left = {each: arrived for each, arrived in streak.items() if kind.is_refusal and arrived >= number}
            if left:
                self._streaks[kind] = left
            else:
                del self._streaks[kind]

    def _long_streaks(self) -> set[FailureKind]:
        return {kind for kind, requests in self._streaks.items() if len(requests) >= MIN_STREAK}

    @staticmethod
    def _gets_another_attempt(held: HeldFailure, streaks: set[FailureKind]) -> bool:
        """A refusal of the account, or the cause of a streak, may have ended just before."""
        is_doubtful = held.decision.action is RetryAction.STOP or held.in_streak
        return not held.retried and (is_doubtful or failure_kind(held.decision) in streaks)

    def record_failure(self, decision: ErrorDecision, state: RequestState) -> None:
        """Sends a trial after a streak. Raises like ``OutageGate.close``."""
        streak = self._streaks[failure_kind(decision)]
        streak[state.number] = self._history.sent
        enough = MAX_STREAK
        if decision.action is RetryAction.STOP and decision.code != LONG_WAIT:
            # Most of these concern the account. Gateways may return one at random, so a single refusal is only held.
            enough = MIN_STREAK
        elif decision.action is RetryAction.RETRY:
            # Rows that fail together when an engine dies are fewer than a streak.
            enough = min(MAX_STREAK, max(MIN_STREAK, len(self._in_flight)))
        if len(streak) >= enough:
            self._open(decision, state.failover, is_outage=decision.action is RetryAction.RETRY)

    async def wait_for_cause(self, decision: ErrorDecision, failover: Failover | None, *, retried: bool) -> bool:
        """Waits until the cause of a failure is known. True: the row; False: the request is to be sent again.

        The caller holds no permit. Raises RunStopped if the endpoint refuses everything, FailedOver if others do not,
        Interrupted if the run is stopped.
        """
        if self._concurrency_limit.closed:
            raise Interrupted
        in_streak = failure_kind(decision) in self._long_streaks()
        held = HeldFailure(decision, self._history.sent, retried, in_streak, asyncio.get_running_loop().create_future())
        self._held.append(held)
        try:
            self._watch(failover)
            with self._concurrency_limit.waiting_without_permit():
                return await held.is_own
        finally:
            held.is_own.cancel()
            self._forget_decided()

    def _watch(self, failover: Failover | None) -> None:
        if self._watch_timer is None:
            loop = asyncio.get_running_loop()
            self._watch_timer = loop.call_later(self._watch_interval, self._check_held, failover)

    def _check_held(self, failover: Failover | None) -> None:
        """Sends a trial if no answer can arrive that decides the oldest failure."""
        self._watch_timer = None
        if not self._held or self._concurrency_limit.closed:
            return
        if self.outage.stop is not None:
            self.reject_held(self.outage.stop)
            return
        oldest = self._held[0]
        answer_may_come = self._concurrency_limit.waiting or any(sent > oldest.arrived for sent in self._in_flight)
        if not answer_may_come and not self.outage.closed:
            try:
                self._open(oldest.decision, failover)
            except PersQAError as error:
                self.reject_held(error)
                return
        self._watch(failover)

    def start_trials(self, cause: ErrorDecision, failover: Failover | None) -> None:
        """Holds all requests until the endpoint answers a trial. Raises like ``OutageGate.close``."""
        self._open(cause, failover)

    def _open(self, decision: ErrorDecision, failover: Failover | None, *, is_outage: bool = False) -> None:
        check = TrialRequests(self, decision, failover).check
        self.outage.close(decision.message, failover, recovery_check=check, is_outage=is_outage)

    async def send_trial(self) -> tuple[int, ErrorDecision | None]:
        """Returns the number of the trial, and why there was no usable answer, or None."""
        number = self.start_request()
        try:
            return number, await self._send_trial()
        finally:
            self.end_request(number)

    async def _send_trial(self) -> ErrorDecision | None:
        if not await self._is_alive() and self._is_alive.was_alive and self._is_alive.is_evidence:
            return UNHEALTHY
        return await self._send_ungated(self._answered or plain_request())

    async def check_unhealthy(self) -> ErrorDecision | None:
        """The recovery check of an endpoint that does not report itself healthy."""
        if self._is_alive.is_evidence:
            return replace(UNHEALTHY, message=self.outage.reason or UNHEALTHY.message)
        error = await self._send_ungated(self._answered or plain_request())
        if error is not None and (self.has_answered or error.action is not RetryAction.FAIL):
            return error
        # The endpoint answers, even if only to reject a request that it may not support.
        self.decide_after_trial(self._history.sent + 1, at_first=False)
        return None

    @property
    def has_answered(self) -> bool:
        return self._answered is not None

    def decide_after_trial(self, number: int, *, at_first: bool) -> None:
        """Decides failures after trial ``number`` was answered. ``at_first``: whether the first trial was
        answered, so that there may have been no outage at all. Only then can the rows be the cause.

        Failures that arrived during the trial stay held, because the endpoint may have failed since.

        Rows of a streak get one more attempt, because the endpoint may have recovered just before the trial.
        """
        streaks = self._long_streaks()
        for held in self._held:
            if held.arrived < number and not held.is_own.done():
                held.is_own.set_result(at_first and not self._gets_another_attempt(held, streaks))
        self._end_streaks(number)
        self._forget_decided()

    def reject_held(self, error: BaseException) -> None:
        for held in self._held:
            if not held.is_own.done():
                held.is_own.set_exception(error.fresh() if isinstance(error, PersQAError) else error)
        self._forget_decided()

    def _forget_decided(self) -> None:
        self._held = [held for held in self._held if not held.is_own.done()]

    def close(self) -> None:
        """Interrupts waiting requests."""
        if self._watch_timer is not None:
            self._watch_timer.cancel()
            self._watch_timer = None
        self.reject_held(Interrupted())
        self._answered = None


class TrialRequests:
    """The trials of a held endpoint, one after the other until it answers one."""

    def __init__(self, breaker: Breaker, cause: ErrorDecision, failover: Failover | None) -> None:
        self._breaker = breaker
        self._cause = cause
        self._failover = failover
        self._began = loop_time()
        self._failures = 0
        self._refusals = 0  # number of consecutive refusals

    async def check(self) -> ErrorDecision | None:
        """Why the endpoint is still held, or None if it has answered. Raises RunStopped if it refuses everything."""
        number, error = await self._breaker.send_trial()
        if error is None:
            self._breaker.decide_after_trial(number, at_first=self._failures == 0)
            return None
        self._failures += 1
        self._refusals = self._refusals + 1 if self._is_refusal(error) else 0
        lasts = loop_time() - self._began >= max(self._cause.grace, error.grace)
        enough = MIN_LONG_WAITS if error.code == LONG_WAIT else MIN_REFUSED_TRIALS
        if self._refusals >= enough and lasts:
            stop = self._refusal(error)
            if self._failover is None or not self._failover.can_outlast_outage:
                self._breaker.reject_held(stop)
                raise stop
            self._breaker.outage.refusal = stop.message
        elif error.action not in REFUSALS:
            # The endpoint is unavailable instead of refusing, so the run waits for it.
            self._breaker.outage.refusal = None
        return error

    def _is_refusal(self, error: ErrorDecision) -> bool:
        return (self._cause.action in REFUSALS and error.action in REFUSALS) or self._is_useless(error)

    def _is_useless(self, error: ErrorDecision) -> bool:
        """Whether the endpoint returns only reasoning, or is not an API. A real API may return a page for a while."""
        return error.code == self._cause.code and (
            error.code == "only_reasoning" or (error.code == "not_an_api" and not self._breaker.has_answered)
        )

    def _refusal(self, error: ErrorDecision) -> RunStopped:
        tried = "a request that it had answered before" if self._breaker.has_answered else "a plain request"
        message = f"The endpoint refuses every request, including {tried}: {error.message} No row was marked as failed."
        return RunStopped(error.code, message)

"""Completes a request at one endpoint: limits, outage gate, attempt, decision, retry.

The permit is released while the request waits for a retry.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial

import httpx2
from tenacity import AsyncRetrying

from persqa_client.client.classify import NO_FILES, UNREACHABLE_CODES
from persqa_client.client.dialect import Dialect
from persqa_client.client.image_dialect import ImageDialect, ImageTrial
from persqa_client.client.image_uploads import ImageUpload, ImageUploads
from persqa_client.client.request import render_body
from persqa_client.client.retry import DEFAULT_BACKOFF, Backoff, make_retry_policy, run_with_retries, seconds_to_wait
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.breaker import Breaker, find_unusable
from persqa_client.endpoints.outage import PATIENCE, PROBE_BACKOFF, Liveness, OutageGate, explain_stop
from persqa_client.endpoints.profile import Reply, RequestProfile, TrafficCounts, has_no_room, make_reply
from persqa_client.endpoints.request_state import Failover, RequestState, SuspectLimit
from persqa_client.errors import AttemptError, FailedOver, RowError, RunStopped
from persqa_client.images.loader import ImageConverter
from persqa_client.images.tokens import ImageTokenCounter, estimate_image_tokens
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.controllers import Permit
from persqa_client.limits.rate_limit import RateLimiter
from persqa_client.limits.server_metrics import poll_metrics
from persqa_client.task_groups import loop_time, wait_first
from persqa_client.types import Completion, ErrorDecision, Request, RetryAction

UNCONFIRMED = ErrorDecision(RetryAction.RETRY, "connection_lost", "The server has answered nothing since an outage.")
# Server crashes with the same row in flight until that row fails; fewer may be chance.
MIN_CRASHES = 3


class Session(AbstractAsyncContextManager["Session"]):
    """Completes requests at one endpoint. Belongs to one event loop.

    ``patience``: seconds without an answer until the endpoint counts as unavailable.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        http_client: httpx2.AsyncClient | None = None,
        backoff: Backoff = DEFAULT_BACKOFF,
        probe_backoff: Backoff = PROBE_BACKOFF,
        patience: float = PATIENCE,
        image_tokens: ImageTokenCounter = estimate_image_tokens,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits = limits or Limits()
        sampling = sampling or Sampling()
        cap = limits.concurrency_cap
        self.concurrency_limit = ConcurrencyLimit(cap, AdaptiveLimit(cap) if limits.concurrency == "auto" else None)
        self.rate_limit = RateLimiter(limits, self.concurrency_limit, image_tokens)
        self.client = Client(
            endpoint,
            timeout=limits.timeout,
            connections=cap,
            fields=frozenset(sampling.extra_body),
            http_client=http_client,
            observe_headers=self.rate_limit.observe_headers,
        )
        is_alive = Liveness(self.client.alive)
        self.outage = OutageGate(
            is_alive,
            self.concurrency_limit,
            max_outage=limits.max_outage,
            probe_backoff=probe_backoff,
            patience=patience,
            exit_error=endpoint.exit_error,
            on_error=lambda error: self.breaker.reject_held(error),
        )
        self.breaker = Breaker(
            self.outage,
            self.concurrency_limit,
            is_alive,
            self._try_request,
            watch_interval=probe_backoff.initial / 2,
        )
        self.suspect_limit = SuspectLimit()
        self.profile = RequestProfile(sampling, ImageUploads(self.concurrency_limit.image_limit))
        self.image_dialect = ImageDialect(ImageConverter(sampling.extra_body))
        self.traffic = TrafficCounts()
        self.backoff = backoff
        self._image_tokens = image_tokens
        self.rng = random.Random()  # for the waits before retries
        self._first_failure = (-1, 0)  # since the latest answer: number of answers, and of requests sent, by then
        self._metrics_task: asyncio.Task[None] | None = None

    async def complete(
        self, request: Request, state: RequestState | None = None, *, profile: RequestProfile | None = None
    ) -> Reply:
        """Sends a request until it is answered; ``state`` is its history at this endpoint.

        Raises RowError if the row fails, RunStopped if every row would fail, Interrupted if the run is stopped, and,
        with ``state.failover``, FailedOver if another endpoint should continue.
        """
        if self._metrics_task is None and self.limits.concurrency == "auto":
            self._metrics_task = asyncio.create_task(self._poll_metrics())
        state = state or RequestState()
        profile = profile or self.profile
        trial = ImageTrial(self.image_dialect, request.pictures)
        attempt = self._prepare_attempt(request, state, profile, trial)
        while True:
            # Probes send their images as they are.
            if profile is self.profile and await trial.prepare():
                attempt = self._prepare_attempt(request, state, profile, trial)
            try:
                reply = await run_with_retries(attempt, partial(self._make_retry_policy, state))
            except FailedOver:
                self._settle_outages(state)
                raise
            except RunStopped as stop:
                raise await explain_stop(stop, self.endpoint.exit_error, self.client.alive) from None
            except AttemptError as error:
                # tenacity keeps the error, whose traceback keeps tenacity and the request's images alive: a reference
                # cycle.
                error.__traceback__ = None
                if await self._is_own_failure(error.decision, state, profile):
                    raise make_row_error(error.decision, state) from error
                # Recorded now: another request may be answered before the gate closes.
                state.attempts.give_back_unanswered(self.outage.history)
            else:
                if reply is not None and (profile is not self.profile or await self._is_own_answer(reply, state)):
                    return reply

    def _prepare_attempt(
        self, request: Request, state: RequestState, profile: RequestProfile, trial: ImageTrial
    ) -> Callable[[], Awaitable[Reply | None]]:
        if trial.images is not request.pictures:
            request = replace(request, pictures=trial.images)
        tokens = self.rate_limit.estimate_tokens(request, profile.sampling.max_tokens)
        tokens_by_uuid = {
            image.uuid: self._image_tokens(image) if profile.dialect.can_stream_uploads else 0
            for image in request.pictures
            if image.uuid is not None
        }
        upload = ImageUpload(profile.uploads, tokens_by_uuid)
        return partial(self._attempt, request, state, profile, trial, upload, tokens)

    async def _attempt(
        self,
        request: Request,
        state: RequestState,
        profile: RequestProfile,
        trial: ImageTrial,
        upload: ImageUpload,
        tokens: int,
    ) -> Reply | None:
        """None if the images are to be sent in another form."""
        refusal = trial.take_refusal()
        if refusal is not None and refusal.action is RetryAction.FAIL:
            self.breaker.record_failure(refusal, state)
            raise AttemptError(refusal)
        if state.failover is not None:
            await self._fail_over_if_needed(state, state.failover)
        was_sent = state.sent > 0
        suspect = was_sent and state.is_suspect(self.outage.outages)
        if suspect:
            # Lets other requests go first; otherwise none might ever be answered.
            await self.outage.wait_until_open()
            await self.concurrency_limit.sleep(self.backoff.max_wait(state.waits))
        retry = was_sent and not suspect
        alone = suspect and state.crashes >= MIN_CRASHES - 1
        async with (
            self.suspect_limit.turn(alone=alone) if suspect else nullcontext(),
            upload.attempt(retry=retry),
            self.concurrency_limit.permit(retry=retry or upload.has_waited) as permit,
        ):
            if suspect:
                await self._confirm_recovery(state)
            await self._pass_gate(permit, state, tokens, retry=retry)
            self._settle_outages(state)
            dialect = profile.dialect
            known = upload.known_uuids if dialect.sends_uuids else frozenset()
            stream = bool(upload.carried) and dialect.can_stream_uploads
            worded = replace(request, known_uuids=known, stream=stream) if known or stream else request
            if state.latest_failure is not None and state.latest_failure.code == "only_reasoning":
                worded = replace(worded, seed=(request.seed + state.attempts_used) % 2**31)
            worded, sampling = profile.give_room(worded), profile.sampling
            # Rendered for each attempt: stored in ``state``, the images would outlive the request.
            body = render_body(worded, model=self.endpoint.model, sampling=sampling, dialect=dialect)
            upload.count_sent(known)
            self.traffic.sent += 1
            self.traffic.retried += was_sent
            state.sent += 1
            number = state.latest_number = self.breaker.start_request()
            state.was_alone = alone
            try:
                completion = await self.client.send(body, upload.mark_arrived if upload.carried else None)
            except AttemptError as error:
                decision = error.decision = upload.reclassify(error.decision, known)
                if decision.usage is not None:
                    self.traffic.usage += decision.usage
                if profile is self.profile and trial.is_form_refused(decision, state.attempts_used):
                    if decision.action is RetryAction.RETRY:
                        state.attempts.add(self.outage.history, number)
                    self.outage.record_answer(number)
                    return None
                self._react(decision, permit, state, profile)
                # Another request may already have adapted the dialect.
                if decision.action is RetryAction.ADAPT and dialect is profile.dialect:
                    profile.dialect = adapt_dialect(dialect, decision, state)
                raise
            finally:
                self.breaker.end_request(number)
            upload.record_answer()
        if not known:
            trial.record_answer()
        self._record_answer(completion, permit, tokens, number)
        unusable = find_unusable(completion)
        if suspect:
            self.suspect_limit.record_answer()
        if profile is self.profile:
            if unusable is None:
                self.breaker.record_answer(number, request)
            elif has_no_room(completion) and (profile.sampling is not sampling or profile.raise_max_tokens()):
                message = "The model's reasoning used up max_tokens."
                raise AttemptError(ErrorDecision(RetryAction.ADAPT, "no_room", message, status=200))
        reply = make_reply(completion, request, dialect, attempts=state.attempts_used + 1, used_uuids=bool(known))
        return reply if unusable is None else replace(reply, unusable=unusable)

    async def _try_request(self, request: Request) -> ErrorDecision | None:
        """Sends a request past the gate and the permits. Returns why it was not answered well, or None."""
        profile = self.profile
        tokens = self.rate_limit.estimate_tokens(request, profile.sampling.max_tokens)
        await self.rate_limit.acquire(tokens, retry=True)
        body = render_body(request, model=self.endpoint.model, sampling=profile.sampling, dialect=profile.dialect)
        self.traffic.sent += 1
        number = self.outage.history.sent
        try:
            completion = await self.client.send(body)
        except AttemptError as error:
            error.__traceback__ = None
            return error.decision
        self.traffic.answered += 1
        self.traffic.usage += completion.usage
        self.rate_limit.record_usage(completion.usage, tokens)
        unusable = find_unusable(completion)
        if unusable is None:
            self.outage.record_answer(number)
        return unusable

    async def _is_own_failure(self, decision: ErrorDecision, state: RequestState, profile: RequestProfile) -> bool:
        """Whether the failure is the row's own. Otherwise the request is to be sent again.

        Raises FailedOver and RunStopped.
        """
        if await self._is_unavailable(decision, state):
            return False
        if profile is not self.profile:
            # A probe: its refusal says what the endpoint supports.
            if decision.action is RetryAction.STOP:
                raise RunStopped(decision.code, decision.message)
            return True
        may_move = state.failover is not None and state.failover.is_ready and not state.refusals
        if decision.action is RetryAction.FAIL and may_move:
            # The reason may be this endpoint's, so another one has to confirm it.
            state.refusals += 1
            raise FailedOver
        return await self._await_verdict(decision, state)

    async def _is_own_answer(self, reply: Reply, state: RequestState) -> bool:
        """False if the answer is unusable and the endpoint gave such answers to all requests."""
        if reply.unusable is None:
            return True
        self.breaker.record_failure(reply.unusable, state)
        return await self._await_verdict(reply.unusable, state)

    async def _await_verdict(self, decision: ErrorDecision, state: RequestState) -> bool:
        is_own = await self.breaker.is_own(decision, state.failover, retried=state.held_failures > 0)
        state.held_failures += not is_own
        return is_own

    async def _fail_over_if_needed(self, state: RequestState, failover: Failover) -> None:
        failure = state.latest_failure
        if state.has_failed_here and failure is not None and failure.code in UNREACHABLE_CODES:
            # A lost connection may be the start of an outage, which costs no attempt.
            await self.outage.check(failure.message, failover)
        if self.outage.closed or (state.has_failed_here and failover.is_ready):
            raise FailedOver

    async def _confirm_recovery(self, state: RequestState) -> None:
        """Tries the endpoint before a request that may crash it, unless it has answered others since.

        Otherwise the request could crash it for ever: without an answer in between, an outage proves nothing.
        """
        self._settle_outages(state)
        if state.outages_hit > 1 and state.answers_at_failure == self.outage.answers and not self.outage.closed:
            self.breaker.try_endpoint(UNCONFIRMED, state.failover)
            await self.outage.wait_until_open()

    async def _pass_gate(self, permit: Permit, state: RequestState, tokens: int, *, retry: bool) -> None:
        """Holds the permit, because the gate may close meanwhile."""
        while True:
            if self.outage.closed:
                if state.failover is not None:
                    raise FailedOver
                permit.was_delayed = True
                await self.outage.wait_until_open()
            await self.rate_limit.acquire(tokens, retry=retry)
            if not self.outage.closed:
                return
            self.rate_limit.refund(tokens)

    def _react(self, decision: ErrorDecision, permit: Permit, state: RequestState, profile: RequestProfile) -> None:
        is_row = profile is self.profile
        match decision.action:
            case RetryAction.RETRY:
                self._record_failure(decision, state)
                if decision.code == "timeout":
                    self.concurrency_limit.record_timeout(permit)
                if decision.code in UNREACHABLE_CODES:
                    self.outage.record_refusal(decision.message, state.failover)
                if is_row:
                    self.breaker.record_failure(decision, state)
            case RetryAction.WAIT if decision.code == NO_FILES:
                # This process is at its limit, not the server.
                self.concurrency_limit.cap(self.concurrency_limit.permits - 1)
                self.outage.record_refusal(decision.message, state.failover)
            case RetryAction.WAIT:
                self._react_to_load(decision, permit, state)
            case RetryAction.AWAIT_RECOVERY:
                if decision.code == "engine_dead":
                    self._record_failure(decision, state)
                self.outage.close(decision.message, state.failover)
            case RetryAction.STOP:
                if not (is_row and (self.client.context.has_answered or decision.grace)):
                    raise RunStopped(decision.code, decision.message)
                self.breaker.record_failure(decision, state)
            case RetryAction.FAIL:
                self.outage.record_answer(state.latest_number)
                if is_row:
                    self.breaker.record_failure(decision, state)
            case RetryAction.RESEND:
                self.outage.record_answer(state.latest_number)

    def _record_failure(self, decision: ErrorDecision, state: RequestState) -> None:
        answers, sent = self._first_failure
        if answers != self.outage.answers:
            answers, sent = self._first_failure = self.outage.answers, self.outage.history.sent
        # What was sent after the first failure since an answer did not cause it.
        state.record_failure(decision, self.outage.history, was_in_flight=state.latest_number <= sent)

    def _react_to_load(self, decision: ErrorDecision, permit: Permit, state: RequestState) -> None:
        retry_after, max_outage = decision.retry_after, self.limits.max_outage
        if retry_after is not None and retry_after > max_outage:
            raise RunStopped(
                "rate_limited",
                f"The server asks to wait {retry_after:.0f} s, more than --max-outage {max_outage:g}: "
                f"{decision.message} Run the same command again later.",
            )
        self.concurrency_limit.record_refusal(permit, retry_after, decision.message)
        seconds = state.record_refusal(loop_time())
        if seconds > max_outage and self.outage.healthy:
            message = f"Refused for {seconds:.0f} s while other rows were answered: {decision.message}"
            raise RowError("busy", message, raw=decision.raw, attempts=state.attempts_used)
        self.outage.record_refusal(decision.message, state.failover)
        if state.failover is not None and state.failover.is_ready:
            if self.concurrency_limit.paused:
                self.concurrency_limit.reject_waiting(FailedOver())
            raise FailedOver

    def _record_answer(self, completion: Completion, permit: Permit, tokens: int, number: int) -> None:
        usage = completion.usage
        self.traffic.answered += 1
        self.traffic.usage += usage
        self.concurrency_limit.record_answer(permit, usage.completion)
        self.rate_limit.record_usage(usage, tokens)
        self.outage.record_answer(number)

    def _settle_outages(self, state: RequestState) -> None:
        """Raises RowError if the request seems to crash the server."""
        if self.outage.outages == state.settled_outages:
            return
        failure = state.latest_failure
        state.settle_outages(self.outage.outages, self.outage.history.outages[-1].answers)
        self.suspect_limit.record_outages(self.outage.outages)
        # Among suspects, a harmless row may be in flight at each crash.
        is_guilty = state.was_alone and state.crashes >= max(MIN_CRASHES, self.limits.max_attempts)
        if failure is not None and is_guilty:
            raise RowError(
                "engine_dead",
                f"The server became unavailable {state.crashes} times with this row in flight, and answered other rows "
                f"in between: {failure.message} Check whether the row's image or question crashes the server.",
                raw=failure.raw,
                attempts=state.crashes,
            )

    async def _is_unavailable(self, decision: ErrorDecision, state: RequestState) -> bool:
        if decision.code not in UNREACHABLE_CODES:
            return False
        enough = state.attempts.unanswered(self.outage.history) >= min(2, self.limits.max_attempts)
        return enough and await self.outage.check(decision.message, state.failover)

    def _make_retry_policy(self, state: RequestState) -> AsyncRetrying:
        return make_retry_policy(
            is_exhausted=lambda: state.attempts_used >= self.limits.max_attempts,
            next_wait=lambda error: seconds_to_wait(error, state.next_wait_number(), self.rng, self.backoff),
            sleep=partial(self._sleep_before_retry, state),
        )

    async def _sleep_before_retry(self, state: RequestState, seconds: float) -> None:
        if state.failover is None:
            await self.concurrency_limit.sleep(seconds)
        else:
            # A closed gate ends the wait, since another endpoint may take over.
            await wait_first(self.concurrency_limit.sleep(seconds), self.outage.wait_until_closed())

    async def _poll_metrics(self) -> None:
        await poll_metrics(
            self.client.get,
            f"{self.endpoint.root_url}/metrics",
            self.endpoint.model,
            self.concurrency_limit.record_metrics,
            lambda: self.concurrency_limit.in_use > 0,
        )

    def drain(self) -> None:
        self.concurrency_limit.close()
        self.suspect_limit.close()
        self.breaker.close()
        self.rate_limit.close()

    async def aclose(self) -> None:
        if self._metrics_task is not None:
            self._metrics_task.cancel()
            await asyncio.gather(self._metrics_task, return_exceptions=True)
        await self.outage.aclose()
        self.breaker.close()
        await self.client.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def adapt_dialect(dialect: Dialect, decision: ErrorDecision, state: RequestState) -> Dialect:
    """Raises RowError if the field was already left out."""
    adapted = dialect.adapt_to_refusal(decision.parameter or "")
    if adapted is None:
        raise RowError("rejected", decision.message, raw=decision.raw, attempts=state.attempts_used + 1)
    return adapted


def make_row_error(decision: ErrorDecision, state: RequestState) -> RowError:
    attempts = state.attempts_used + (decision.action is RetryAction.FAIL)
    count = f" after {attempts} attempts" if decision.action is RetryAction.RETRY and attempts > 1 else ""
    message = f"{decision.message.rstrip('.')}{count}."
    return RowError(decision.code, message, raw=decision.raw, attempts=attempts)

"""Completes a request at one endpoint: limits, outage gate, attempt, decision, retry.

The permit is released while the request waits for a retry.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial

import httpx2
from tenacity import AsyncRetrying

from persqa_client.client.classify import UNREACHABLE_CODES
from persqa_client.client.dialect import Dialect, wraps_answer
from persqa_client.client.image_uploads import ImageUpload, ImageUploads
from persqa_client.client.request import render_body
from persqa_client.client.response import restore_answer
from persqa_client.client.retry import DEFAULT_BACKOFF, Backoff, make_retry_policy, run_with_retries, seconds_to_wait
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.outage import PATIENCE, PROBE_BACKOFF, OutageGate, explain_stop
from persqa_client.endpoints.request_state import Failover, RequestState
from persqa_client.errors import AttemptError, FailedOver, RowError, RunStopped
from persqa_client.images.tokens import ImageTokenCounter, estimate_image_tokens
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.controllers import Permit
from persqa_client.limits.rate_limit import RateLimiter
from persqa_client.limits.server_metrics import poll_metrics
from persqa_client.task_groups import loop_time, wait_first
from persqa_client.types import Completion, ErrorDecision, Request, RetryAction, Usage

# Server crashes with the same row in flight until that row fails; fewer may be chance.
MIN_CRASHES = 3


@dataclass(frozen=True, slots=True)
class Reply:
    completion: Completion
    attempts: int  # that count towards the limit; 1 for an answer at the first attempt
    constrained: bool  # whether the server enforced the request's pattern
    prefilled: bool = False  # whether the server continued the given beginning
    used_uuids: bool = False  # whether images were sent as uuids only


@dataclass(slots=True)
class TrafficCounts:
    sent: int = 0
    answered: int = 0
    retried: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class RequestProfile:
    """Dialect and sampling of requests. A session replaces ``dialect`` when the endpoint refuses a field.

    Probes pass their own profile to ``Session.complete``.
    """

    sampling: Sampling
    uploads: ImageUploads
    dialect: Dialect = field(default_factory=Dialect)


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
        self.outage = OutageGate(
            self.client.alive,
            self.concurrency_limit,
            max_outage=limits.max_outage,
            probe_backoff=probe_backoff,
            patience=patience,
            exit_error=endpoint.exit_error,
        )
        self.profile = RequestProfile(sampling, ImageUploads(self.concurrency_limit.image_limit))
        self.traffic = TrafficCounts()
        self.backoff = backoff
        self._image_tokens = image_tokens
        self.rng = random.Random()  # for the waits before retries
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
        tokens = self.rate_limit.estimate_tokens(request, profile.sampling.max_tokens)
        tokens_by_uuid = {
            image.uuid: self._image_tokens(image) if profile.dialect.can_stream_uploads else 0
            for image in request.pictures
            if image.uuid is not None
        }
        upload = ImageUpload(profile.uploads, tokens_by_uuid)
        attempt = partial(self._attempt, request, state, profile, upload, tokens)
        while True:
            try:
                return await run_with_retries(attempt, partial(self._make_retry_policy, state))
            except FailedOver:
                self._settle_outages(state)
                raise
            except RunStopped as stop:
                raise await explain_stop(stop, self.endpoint.exit_error, self.client.alive) from None
            except AttemptError as error:
                # tenacity keeps the error, whose traceback keeps tenacity and the request's images alive: a reference
                # cycle.
                error.__traceback__ = None
                if not await self._is_unavailable(error.decision, state):
                    raise make_row_error(error.decision, state) from error
                # Recorded now: another request may be answered before the gate closes.
                state.give_back_unanswered_attempts()

    async def _attempt(
        self, request: Request, state: RequestState, profile: RequestProfile, upload: ImageUpload, tokens: int
    ) -> Reply:
        if state.failover is not None:
            await self._fail_over_if_needed(state, state.failover)
        was_sent = state.sent > 0
        suspect = was_sent and state.is_suspect(self.outage.outages)
        if suspect:
            # Lets other requests go first; otherwise none might ever be answered.
            await self.outage.wait_until_open()
            await self.concurrency_limit.sleep(self.backoff.max_wait(state.waits))
        retry = was_sent and not suspect
        async with (
            upload.attempt(retry=retry),
            self.concurrency_limit.permit(retry=retry or upload.has_waited) as permit,
        ):
            await self._pass_gate(permit, state, tokens, retry=retry)
            self._settle_outages(state)
            dialect = profile.dialect
            known = upload.known_uuids if dialect.sends_uuids else frozenset()
            stream = bool(upload.carried) and dialect.can_stream_uploads
            worded = replace(request, known_uuids=known, stream=stream) if known or stream else request
            # Rendered for each attempt: stored in ``state``, the images would outlive the request.
            body = render_body(worded, model=self.endpoint.model, sampling=profile.sampling, dialect=dialect)
            upload.count_sent(known)
            self.traffic.sent += 1
            self.traffic.retried += was_sent
            state.sent += 1
            try:
                completion = await self.client.send(body, upload.mark_arrived if upload.carried else None)
            except AttemptError as error:
                decision = error.decision = upload.reclassify(error.decision, known)
                self._react(decision, permit, state)
                # Another request may already have adapted the dialect.
                if decision.action is RetryAction.ADAPT and dialect is profile.dialect:
                    profile.dialect = adapt_dialect(dialect, decision, state)
                raise
            upload.record_answer()
        self._record_answer(completion, permit, tokens)
        return make_reply(completion, request, dialect, attempts=state.attempts_used + 1, used_uuids=bool(known))

    async def _fail_over_if_needed(self, state: RequestState, failover: Failover) -> None:
        if state.has_failed_here and state.connection_failure is not None:
            # A lost connection may be the start of an outage, which costs no attempt.
            await self.outage.check(state.connection_failure.message, failover)
        if self.outage.closed or (state.has_failed_here and failover.is_ready):
            raise FailedOver

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

    def _react(self, decision: ErrorDecision, permit: Permit, state: RequestState) -> None:
        match decision.action:
            case RetryAction.RETRY:
                state.attempts_used += 1
                if decision.code == "timeout":
                    self.concurrency_limit.record_timeout(permit)
                if decision.code in UNREACHABLE_CODES:
                    state.record_connection_failure(decision, self.outage.answers)
                    self.outage.record_refusal(decision.message, state.failover)
            case RetryAction.WAIT:
                self._react_to_load(decision, permit, state)
            case RetryAction.AWAIT_RECOVERY:
                if decision.code == "engine_dead":
                    state.record_connection_failure(decision, self.outage.answers)
                self.outage.close(decision.message, state.failover)
            case RetryAction.STOP:
                raise RunStopped(decision.code, decision.message)
            case RetryAction.FAIL | RetryAction.RESEND:
                self.outage.record_answer()

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

    def _record_answer(self, completion: Completion, permit: Permit, tokens: int) -> None:
        usage = completion.usage
        self.traffic.answered += 1
        self.traffic.usage += usage
        self.concurrency_limit.record_answer(permit, usage.completion)
        self.rate_limit.record_usage(usage, tokens)
        self.outage.record_answer()

    def _settle_outages(self, state: RequestState) -> None:
        """Raises RowError if the request seems to crash the server."""
        if self.outage.outages == state.settled_outages:
            return
        failure = state.connection_failure
        state.settle_outages(self.outage.outages, self.outage.answers_before_outage)
        if failure is not None and state.crashes >= max(MIN_CRASHES, self.limits.max_attempts):
            raise RowError(
                "engine_dead",
                f"The server became unavailable {state.crashes} times with this row in flight, and answered other rows "
                f"in between: {failure.message} Check whether the row's image or question crashes the server.",
                raw=failure.raw,
                attempts=state.crashes,
            )

    async def _is_unavailable(self, decision: ErrorDecision, state: RequestState) -> bool:
        if decision.code not in UNREACHABLE_CODES or state.answers_at_failure != self.outage.answers:
            return False
        enough = state.unanswered_attempts >= min(2, self.limits.max_attempts)
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
        self.rate_limit.close()

    async def aclose(self) -> None:
        if self._metrics_task is not None:
            self._metrics_task.cancel()
            await asyncio.gather(self._metrics_task, return_exceptions=True)
        await self.outage.aclose()
        await self.client.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def adapt_dialect(dialect: Dialect, decision: ErrorDecision, state: RequestState) -> Dialect:
    """Raises RowError if the field was already left out."""
    adapted = dialect.adapt_to_refusal(decision.parameter or "")
    if adapted is None:
        raise RowError("rejected", decision.message, raw=decision.raw, attempts=state.attempts_used + 1)
    return adapted


def make_reply(completion: Completion, request: Request, dialect: Dialect, *, attempts: int, used_uuids: bool) -> Reply:
    prefix = request.prefill if dialect.active_prefill else None
    form = dialect.active_constraint if request.pattern and not prefix else None
    if prefix or wraps_answer(form):
        completion = restore_answer(completion, wrapped=wraps_answer(form), prefix=prefix)
    return Reply(completion, attempts, form is not None, bool(prefix), used_uuids)


def make_row_error(decision: ErrorDecision, state: RequestState) -> RowError:
    attempts = state.attempts_used + (decision.action is RetryAction.FAIL)
    count = f" after {attempts} attempts" if decision.action is RetryAction.RETRY and attempts > 1 else ""
    message = f"{decision.message.rstrip('.')}{count}."
    return RowError(decision.code, message, raw=decision.raw, attempts=attempts)

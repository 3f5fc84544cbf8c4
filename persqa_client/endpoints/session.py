"""Completes a request at one endpoint: limits, outage gate, attempt, decision, retry.

The permit is released while the request waits for a retry.
"""

from __future__ import annotations

import random
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial

import httpx2
from tenacity import AsyncRetrying

from persqa_client.client.image_dialect import ImageDialect, RequestImages
from persqa_client.client.image_uploads import ImageUpload, ImageUploads
from persqa_client.client.request import render_body
from persqa_client.client.retry import DEFAULT_BACKOFF, Backoff, make_retry_policy, run_with_retries, seconds_to_wait
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.breaker import Breaker, find_unusable
from persqa_client.endpoints.failure_handling import FailureHandler, make_row_error, refuse_long_wait
from persqa_client.endpoints.outage import PATIENCE, PROBE_BACKOFF, Liveness, OutageGate, explain_stop
from persqa_client.endpoints.profile import (
    Answer,
    PreparedRequest,
    Reply,
    RequestProfile,
    has_no_room,
    make_reply,
    word_request,
)
from persqa_client.endpoints.request_state import RESENT, RequestState
from persqa_client.endpoints.suspects import CrashSuspects
from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.errors import AttemptError, FailedOver, RunStopped
from persqa_client.images.loader import ImageConverter
from persqa_client.images.tokens import ImageTokenCounter, estimate_image_tokens
from persqa_client.keys import list_secrets
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.controllers import Permit
from persqa_client.limits.rate_limit import RateLimiter
from persqa_client.limits.server_metrics import MetricsPoller
from persqa_client.limits.shared_limits import share_limits
from persqa_client.task_groups import loop_time, wait_first
from persqa_client.types import ErrorDecision, Request, RetryAction


class Session(AbstractAsyncContextManager["Session"]):
    """Completes requests at one endpoint. Belongs to one event loop.

    ``patience``: seconds without an answer until the endpoint counts as unavailable. ``backoff``: waits before the next
    attempt of a request, and of the key command.
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
        shared = share_limits(endpoint.base_url, limits, self.concurrency_limit)
        self.rate_limit = RateLimiter(limits, self.concurrency_limit, image_tokens, shared)
        self.client = Client(
            endpoint,
            timeout=limits.timeout,
            connections=cap,
            fields=frozenset(sampling.extra_body),
            secrets=list_secrets(sampling.extra_body),
            http_client=http_client,
            observe_headers=self.rate_limit.observe_headers,
            key_backoff=backoff,
        )
        is_alive = Liveness(self.client.alive)
        self.outage = OutageGate(
            is_alive,
            self.concurrency_limit,
            max_outage=limits.max_outage,
            probe_backoff=probe_backoff,
            patience=patience,
            exit_error=endpoint.exit_error,
            reject_held=lambda error: self.breaker.reject_held(error),
            unhealthy_check=lambda: self.breaker.check_unhealthy(),
        )
        self.breaker = Breaker(
            self.outage,
            self.concurrency_limit,
            is_alive,
            self._send_ungated,
            watch_interval=probe_backoff.initial / 2,
        )
        self.failures = FailureHandler(self.outage, self.breaker, self.concurrency_limit, limits, self.client)
        self.suspects = CrashSuspects(self.outage, self.breaker, self.concurrency_limit, limits.max_attempts)
        self.profile = RequestProfile(sampling, ImageUploads(self.concurrency_limit.image_limit))
        self.image_dialect = ImageDialect(ImageConverter(sampling.extra_body))
        self.traffic = TrafficCounts()
        self.backoff = backoff
        self._image_tokens = image_tokens
        self.rng = random.Random()  # for the waits before retries
        url, limit = f"{endpoint.root_url}/metrics", self.concurrency_limit
        self._metrics = MetricsPoller(
            self.client.get, url, endpoint.model, limit.record_metrics, lambda: limit.in_use > 0
        )

    async def complete(
        self, request: Request, state: RequestState | None = None, *, profile: RequestProfile | None = None
    ) -> Reply:
        """Sends a request until it is answered; ``state`` is its history at this endpoint.

        Raises RowError if the row fails, RunStopped if every row would fail, Interrupted if the run is stopped, and,
        with ``state.failover``, FailedOver if another endpoint should continue.
        """
        self.rate_limit.start()
        if self.limits.concurrency == "auto":
            self._metrics.start()
        state = state or RequestState()
        profile = profile or self.profile
        is_row = profile is self.profile
        images = RequestImages(self.image_dialect, request.pictures)
        prepared = self._prepare(request, state, profile, images)
        while True:
            # Probes send their images as they are.
            if is_row and await images.prepare():
                prepared = self._prepare(request, state, profile, images)
            try:
                reply = await run_with_retries(
                    partial(self._attempt, prepared), partial(self._make_retry_policy, state)
                )
            except FailedOver:
                self.suspects.record_outages(state)
                raise
            except RunStopped as stop:
                raise await explain_stop(stop, self.endpoint.exit_error, self.client.alive) from None
            except AttemptError as error:
                # tenacity keeps the error, and the error's traceback keeps tenacity and the images alive: a reference
                # cycle.
                error.__traceback__ = None
                if await self.failures.is_final(
                    error.decision, state, is_row=is_row, is_verification=request.is_verification
                ):
                    raise make_row_error(error.decision, state) from error
                if error.decision.action is RetryAction.STOP:
                    # An account refusal, although another request was answered.
                    await self.concurrency_limit.sleep(
                        self.backoff.max_wait(state.next_wait_number()) * self.rng.random()
                    )
            else:
                if reply is not None and (not is_row or await self.failures.wait_for_cause_of_answer(reply, state)):
                    return reply

    def _prepare(
        self, request: Request, state: RequestState, profile: RequestProfile, images: RequestImages
    ) -> PreparedRequest:
        if images.current is not request.pictures:
            request = replace(request, pictures=images.current)
        tokens_by_uuid = {
            image.uuid: self._image_tokens(image) if profile.dialect.can_stream_uploads else 0
            for image in request.pictures
            if image.uuid is not None
        }
        tokens = self.rate_limit.estimate_tokens(request, profile.sampling.max_tokens)
        upload = ImageUpload(profile.uploads, tokens_by_uuid)
        return PreparedRequest(request, state, profile, images, upload, tokens, profile is self.profile)

    async def _attempt(self, prepared: PreparedRequest) -> Reply | None:
        """None if the images are to be sent in another form."""
        state, upload = prepared.state, prepared.upload
        refusal = prepared.images.take_refusal()
        if refusal is not None and refusal.action is RetryAction.FAIL:
            self.breaker.record_failure(refusal, state)
            raise AttemptError(refusal)
        if state.failover is not None:
            await self.failures.fail_over_if_needed(state, state.failover)
        suspect = self.suspects.includes(state)
        if suspect:
            # Lets other requests pass first. Otherwise none of them might ever be answered.
            await self.outage.wait_until_open()
            await self.concurrency_limit.sleep(self.backoff.max_wait(state.waits))
        alone = suspect and self.suspects.must_be_alone(state)
        retry = state.sent > 0 and not suspect
        async with (
            self.suspects.turn(alone=alone) if suspect else nullcontext(),
            upload.attempt(retry=retry),
            self.concurrency_limit.permit(retry=retry or upload.has_waited, alone=alone) as permit,
        ):
            if suspect:
                await self.suspects.confirm_recovery(state)
            await self._pass_gate(permit, prepared, retry=retry)
            self.suspects.record_outages(state)
            state.was_alone = alone
            if prepared.is_row and prepared.images.is_outdated:
                self.rate_limit.refund(prepared.tokens)
                return None
            answer = await self._send(prepared, permit)
        if answer is None:
            return None
        if not answer.used_uuids:
            prepared.images.record_answer()
        if suspect:
            self.suspects.record_answer()
        return self._accept(answer, prepared, permit)

    async def _send(self, prepared: PreparedRequest, permit: Permit) -> Answer | None:
        """None if the images are to be sent in another form. Raises AttemptError."""
        state, profile, upload = prepared.state, prepared.profile, prepared.upload
        dialect, sampling = profile.dialect, profile.sampling
        known = upload.known_uuids if dialect.sends_uuids else frozenset()
        # Rendered for each attempt: stored in ``state``, the images would outlive the request.
        worded = word_request(prepared, dialect, known)
        body = render_body(worded, model=self.endpoint.model, sampling=sampling, dialect=dialect)
        upload.count_sent(known)
        # A probe tries forms that the server may reject, and that is no retry.
        self.traffic.record_sent(state.latest_code if state.sent and prepared.is_row else None)
        state.sent, state.latest_code, began = state.sent + 1, RESENT, loop_time()
        number = state.latest_number = self.breaker.start_request()
        try:
            completion = await self.client.send(body, upload.mark_arrived if upload.carried else None)
        except AttemptError as error:
            decision = refuse_long_wait(upload.reclassify(error.decision, known), self.limits.max_outage)
            error.decision = decision
            state.latest_code = decision.code
            if decision.action is RetryAction.WAIT:
                self.traffic.refusals[decision.code] += 1
            if decision.usage is not None:
                self.traffic.usage += decision.usage
            if prepared.is_row and prepared.images.is_form_refused(decision, state.attempts_used):
                if decision.action is RetryAction.RETRY:
                    state.attempts.add(self.outage.history, number)
                self.outage.record_answer(number)
                return None
            error.decision = decision = profile.adapt(decision, dialect)
            is_verification = prepared.request.is_verification
            self.failures.react(decision, permit, state, is_row=prepared.is_row, is_verification=is_verification)
            raise
        finally:
            self.traffic.in_flight -= 1
            self.breaker.end_request(number)
        self.traffic.durations.add(loop_time() - began)
        upload.record_answer()
        return Answer(completion, number, dialect, sampling, used_uuids=bool(known))

    def _accept(self, answer: Answer, prepared: PreparedRequest, permit: Permit) -> Reply:
        """Raises AttemptError if the request is to be sent again with more room for the answer."""
        completion, profile = answer.completion, prepared.profile
        self.traffic.answered += 1
        self.traffic.usage += completion.usage
        self.concurrency_limit.record_answer(permit, completion.usage.completion)
        self.rate_limit.record_usage(completion.usage, prepared.tokens)
        self.outage.record_answer(answer.number)
        is_verification = prepared.request.is_verification
        is_row = prepared.is_row and not is_verification
        unusable = find_unusable(completion)
        if is_verification:
            # It may be cut off, and without pictures it shows less than a row.
            if unusable is None and prepared.request.pictures:
                self.breaker.record_verdict(answer.number)
            unusable = None
        elif is_row and unusable is None:
            self.breaker.record_answer(answer.number, prepared.request)
        lacks_room = is_row and has_no_room(completion)
        # Another request may already have raised it.
        if lacks_room and (profile.sampling is not answer.sampling or profile.raise_max_tokens()):
            message = "The model's reasoning used up max_tokens."
            raise AttemptError(ErrorDecision(RetryAction.ADAPT, "no_room", message, status=200))
        attempts = prepared.state.attempts_used + 1
        return make_reply(answer, prepared.request, attempts=attempts, unusable=unusable, traffic=self.traffic)

    async def _send_ungated(self, request: Request) -> ErrorDecision | None:
        """Sends a trial request, without the gate and a permit. Returns why there was no usable answer, or None."""
        profile, dialect = self.profile, self.profile.dialect
        tokens = self.rate_limit.estimate_tokens(request, profile.sampling.max_tokens)
        await self.rate_limit.acquire(tokens, retry=True)
        body = render_body(request, model=self.endpoint.model, sampling=profile.sampling, dialect=dialect)
        self.traffic.sent += 1
        number = self.outage.history.sent
        try:
            completion = await self.client.send(body)
        except AttemptError as error:
            error.__traceback__ = None
            return refuse_long_wait(profile.adapt(error.decision, dialect), self.limits.max_outage)
        self.traffic.trials += 1
        self.traffic.usage += completion.usage
        self.rate_limit.record_usage(completion.usage, tokens)
        unusable = find_unusable(completion)
        if unusable is None:
            self.outage.record_answer(number)
        return unusable

    async def _pass_gate(self, permit: Permit, prepared: PreparedRequest, *, retry: bool) -> None:
        """Waits while holding the permit, because the gate may close in the meantime."""
        state, tokens = prepared.state, prepared.tokens
        while True:
            if self.outage.closed:
                if state.failover is not None:
                    raise FailedOver
                permit.was_delayed = True
                await self.outage.wait_until_open()
            if prepared.is_row and self.failures.needs_trial(state):
                self.failures.send_trial_first(state)
                continue
            await self.rate_limit.acquire(tokens, retry=retry)
            if not self.outage.closed:
                return
            self.rate_limit.refund(tokens)

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

    def drain(self) -> None:
        self.concurrency_limit.close()
        self.suspects.close()
        self.breaker.close()
        self.rate_limit.close()

    async def aclose(self) -> None:
        await self._metrics.aclose()
        await self.rate_limit.aclose()
        await self.outage.aclose()
        self.breaker.close()
        await self.client.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

"""A request until its end: gate, slot, throttle, attempt, and again. Talks to the endpoint through client/transport.py.

A session is what one run shares towards one endpoint. Order for each attempt: turn of its pictures, room for them,
slot, outage gate, throttle, send.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

import httpx2

from persqa_client.client.classify import UNREACHABLE_CODES
from persqa_client.client.dialect import Dialect
from persqa_client.client.image_uploads import Delivery, ImageUploads
from persqa_client.client.request import Body, render_body
from persqa_client.client.response import restore_answer
from persqa_client.client.retry import DEFAULT_BACKOFF, Backoff, RequestState, make_retry_policy, run_with_retries
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.failover import Relief, Standby
from persqa_client.endpoints.outage import PATIENCE, PROBES, OutageGate, explained
from persqa_client.errors import AttemptError, FailedOver, RowError, RunStopped
from persqa_client.images.tokens import ImageTokenCounter, estimate_image_tokens
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.limits.concurrency import ConcurrencyLimit, Permit, count_tokens_by_uuid
from persqa_client.limits.rate_limit import RateLimiter
from persqa_client.limits.server_metrics import MetricsPoller, poll_metrics
from persqa_client.types import Completion, ErrorDecision, Request, RetryAction, Usage

# What a failed attempt changes for the run, before the request itself is tried again or ended.

DEATHS = 3
"""So often may the server go away with a row in flight; once or twice is chance."""


class Reactions:
    """Tells admission and outage of failures, and ends requests that have gone through too much."""

    def __init__(self, limits: Limits, admission: ConcurrencyLimit, outage: OutageGate) -> None:
        self._limits = limits
        self._admission = admission
        self._outage = outage

    def react(self, verdict: ErrorDecision, lease: Permit, trial: RequestState) -> None:
        """Raises RunStopped where the run can't go on, RowError where the row can't."""
        if verdict.action is RetryAction.RETRY:
            self._spent(verdict, lease, trial)
        elif verdict.action is RetryAction.WAIT:
            self._admission.pressed(lease, self._bounded(verdict))
            self._bear_pressure(verdict, trial)
            self._outage.pressed(verdict.message)
        elif verdict.action is RetryAction.AWAIT_RECOVERY:
            if verdict.code == "engine_dead":
                trial.lose(verdict, self._outage.answers)
            self._outage.begin(verdict.message)
        elif verdict.action is RetryAction.STOP:
            raise RunStopped(verdict.code, verdict.message)
        elif verdict.action is not RetryAction.ADAPT:
            self._outage.over()

    def _spent(self, verdict: ErrorDecision, lease: Permit, trial: RequestState) -> None:
        trial.spent += 1
        if verdict.code == "timeout":
            self._admission.record_timeout(lease)
        if verdict.code in UNREACHABLE_CODES:
            trial.lose(verdict, self._outage.answers)
            self._outage.pressed(verdict.message)

    def _bounded(self, verdict: ErrorDecision) -> float | None:
        """The Retry-After, where the run can wait for so long; else the run stops."""
        if verdict.retry_after is not None and verdict.retry_after > self._limits.max_outage:
            raise RunStopped(
                "rate_limited",
                f"The server asks to wait {verdict.retry_after:.0f} s, more than --max-outage "
                f"{self._limits.max_outage:g}: {verdict.message} Give the same command again later.",
            )
        return verdict.retry_after

    def _bear_pressure(self, verdict: ErrorDecision, trial: RequestState) -> None:
        """Pressure costs a row no attempt, but a row that alone is turned away for ever must end."""
        now = monotonic()
        if trial.first_pressure is None:
            trial.first_pressure = now
        if now - trial.first_pressure > self._limits.max_outage and self._outage.quiet:
            message = f"Turned away for {now - trial.first_pressure:.0f} s: {verdict.message}"
            raise RowError("busy", message, raw=verdict.raw, attempts=trial.spent)

    def survive(self, trial: RequestState) -> None:
        """Settles what an outage cost a request. Raises RowError where it may be what brings the server down."""
        verdict = trial.lost
        trial.outlive(self._outage.count, self._outage.answers_before)
        if verdict is not None and trial.deaths >= max(DEATHS, self._limits.max_attempts):
            raise RowError(
                "engine_dead",
                f"The server went away {trial.deaths} times with this row in flight, and answered others in between: "
                f"{verdict.message} Look whether its picture or question brings the server down.",
                raw=verdict.raw,
                attempts=trial.deaths,
            )

    async def excused(self, verdict: ErrorDecision, trial: RequestState) -> bool:
        """Whether the attempts were spent only because the server is away; they are then given back."""
        if verdict.code not in UNREACHABLE_CODES or trial.heard != self._outage.answers:
            return False
        enough = trial.unheard >= min(2, self._limits.max_attempts)
        if not enough or not await self._outage.explains(verdict.message):
            return False
        # Here, not after the outage: somebody else may have been answered before the gate was shut.
        trial.spent, trial.unheard = trial.spent - trial.unheard, 0
        return True


def final(verdict: ErrorDecision, trial: RequestState) -> RowError:
    """What a row fails with after its last attempt."""
    attempts = trial.spent + (verdict.action is RetryAction.FAIL)
    tries = f" after {attempts} attempts" if verdict.action is RetryAction.RETRY and attempts > 1 else ""
    message = f"{verdict.message.rstrip('.')}{tries}."
    return RowError(verdict.code, message, raw=verdict.raw, attempts=attempts)


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion, its text the whole answer, and what it took. ``constrained``: the server was held to the request's
    pattern; ``prefilled``: it went on from the request's beginning of an answer."""

    completion: Completion
    attempts: int
    constrained: bool
    prefilled: bool = False


@dataclass(slots=True)
class Traffic:
    """Counters for the person who looks on."""

    sent: int = 0
    answered: int = 0
    again: int = 0
    usage: Usage = field(default_factory=Usage)


class Session(AbstractAsyncContextManager["Session"]):
    """Completes requests at one endpoint under one set of limits; used by many tasks of one event loop at once.

    ``backoff`` is between the attempts of a request, ``probes`` between looks at a server that is away; ``patience``
    is how long (seconds) nothing but refusals and broken connections may come before it counts as away.
    ``picture_tokens`` is the model's rule, for the limit on tokens and for the pictures on their way.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        http_client: httpx2.AsyncClient | None = None,
        rng: random.Random | None = None,
        backoff: Backoff = DEFAULT_BACKOFF,
        probes: Backoff = PROBES,
        patience: float = PATIENCE,
        picture_tokens: ImageTokenCounter = estimate_image_tokens,
    ) -> None:
        self.endpoint = endpoint
        self.sampling = sampling or Sampling()
        self.limits = limits or Limits()
        self.dialect = Dialect()
        self.traffic = Traffic()
        most = self.limits.concurrency_cap
        self.concurrency_limit = ConcurrencyLimit(
            most, AdaptiveLimit(most) if self.limits.concurrency == "auto" else None
        )
        self.rate_limit = RateLimiter(self.limits, self.concurrency_limit, picture_tokens)
        self.client = Client(
            endpoint,
            timeout=self.limits.timeout,
            connections=self.limits.concurrency_cap,
            fields=frozenset(self.sampling.extra_body),
            http_client=http_client,
            observe_headers=self.rate_limit.observe_headers,
        )
        self.outage = OutageGate(
            self.client.alive,
            self.concurrency_limit,
            max_outage=self.limits.max_outage,
            probes=probes,
            patience=patience,
            gone=endpoint.exit_error,
        )
        self.uploads = ImageUploads(self.concurrency_limit.image_limit)
        self.backoff = backoff
        self._rng = rng or random.Random()
        # Held by copies, too, of which none starts another.
        self._lookout = MetricsPoller(self._poll)
        self._reactions = Reactions(self.limits, self.concurrency_limit, self.outage)
        self._standby = Standby(self.concurrency_limit, self.outage, backoff)

    def join(self, relief: Relief, lasting: Callable[[], bool]) -> None:
        """From now on this session and others stand in for one another: see ``Standby.join``."""
        self._standby.join(relief, lasting)

    async def complete(self, request: Request, trial: RequestState | None = None) -> Reply:
        """The completion of a request, however many attempts it takes; ``trial`` is what it has gone through already.

        Raises RowError where the row fails for good, RunStopped where the whole run does, Interrupted when the run is
        being stopped, and Away where the session has joined others.
        """
        self._lookout.begin()
        trial = trial or RequestState()
        trial.tokens = trial.tokens or self.rate_limit.estimate_tokens(request, self.sampling.max_tokens)
        delivery = self.uploads.for_request(
            count_tokens_by_uuid(request.pictures, self.rate_limit.picture_tokens if self._hears_early else None)
        )
        again = partial(
            make_retry_policy,
            trial,
            max_attempts=self.limits.max_attempts,
            sleep=self._standby.rest,
            rng=self._rng,
            backoff=self.backoff,
        )
        while True:
            try:
                completion = await run_with_retries(partial(self._attempt, request, trial, delivery), again)
                break
            except FailedOver:
                self._reactions.survive(trial)
                raise
            except AttemptError as error:
                # tenacity keeps the error, and the error its way through tenacity, where the request is with its
                # pictures: a circle that would last until the garbage collector finds it.
                error.__traceback__ = None
                if not await self._reactions.excused(error.decision, trial):
                    raise final(error.decision, trial) from error
            except RunStopped as stop:
                raise await explained(stop, self.endpoint.exit_error, self.client.alive) from None
        prefix = request.prefill if trial.dialect.active_prefill else None
        form = trial.dialect.active_constraint if request.pattern and not prefix else None
        answer = restore_answer(completion, wrapped=form == "json_schema", prefix=prefix)
        return Reply(answer, trial.spent + 1, constrained=form is not None, prefilled=bool(prefix))

    async def _attempt(self, request: Request, trial: RequestState, delivery: Delivery) -> Completion:
        await self._standby.before(trial)
        # What may have brought the server down lets the others go first, or nothing else would be answered any more.
        suspect = trial.suspect(self.outage.count)
        if suspect:
            await self.outage.passed()
            await self.concurrency_limit.sleep(self.backoff.max_wait(trial.waits))
        delivery.again = again = trial.sent > 0 and not suspect
        async with delivery, self.concurrency_limit.permit(again=again or delivery.has_waited) as lease:
            await self._permit(lease, trial, again=again)
            self._reactions.survive(trial)
            body = self._body(request, trial, delivery)
            self._count(trial)
            try:
                completion = await self.client.send(
                    body, delivery.mark_arrived if delivery.carries_new_images else None
                )
            except AttemptError as error:
                error.decision = delivery.reclassify(error.decision, trial.known_uuids)
                self._reactions.react(error.decision, lease, trial)
                if error.decision.action is RetryAction.ADAPT:
                    self._adapt(error.decision, trial)
                self._standby.after(error.decision)
                raise
            delivery.answered()
        self._answered(completion, lease, trial)
        return completion

    async def _permit(self, lease: Permit, trial: RequestState, *, again: bool) -> None:
        """Gate and throttle; asked within the slot, so that nothing that waited for one slips past a gate just shut."""
        while True:
            self._standby.at_the_gate()
            lease.paused = lease.paused or self.outage.closed
            await self.outage.passed()
            await self.rate_limit.acquire(trial.tokens, again=again)
            if not self.outage.closed:
                return
            self.rate_limit.give_back(trial.tokens)

    def _body(self, request: Request, trial: RequestState, delivery: Delivery) -> Body:
        # Made anew for each attempt: a trial stays until the garbage collector finds it, because tenacity's objects
        # hold each other, and its pictures would stay with it.
        known = delivery.known_uuids if self.dialect.uuid else frozenset()
        trial.dialect, trial.known_uuids = self.dialect, known
        delivery.sent(known)
        in_pieces = delivery.carries_new_images and self._hears_early
        worded = replace(request, known_uuids=known, stream=in_pieces) if known or in_pieces else request
        return render_body(worded, model=self.endpoint.model, sampling=self.sampling, dialect=self.dialect)

    @property
    def _hears_early(self) -> bool:
        """Whether a picture can be known to be in before the answer about it ends."""
        return self.dialect.uuid and self.dialect.supports_streaming

    def _count(self, trial: RequestState) -> None:
        self.traffic.sent += 1
        self.traffic.again += trial.sent > 0
        trial.sent += 1

    def _answered(self, completion: Completion, lease: Permit, trial: RequestState) -> None:
        usage = completion.usage
        self._standby.answered()
        self.traffic.answered += 1
        self.traffic.usage += usage
        self.concurrency_limit.answered(lease, usage.completion)
        self.rate_limit.record_usage(usage, trial.tokens)
        self.outage.over()

    async def _poll(self) -> None:
        """Looks at the server's gauges, where the number of requests at once is ours to find."""
        if self.limits.concurrency == "auto":
            url, model = f"{self.endpoint.root_url}/metrics", self.endpoint.model
            wanted = lambda: self.concurrency_limit.in_use > 0  # noqa: E731
            await poll_metrics(self.client.get, url, model, self.concurrency_limit.record_metrics, wanted)

    def _adapt(self, verdict: ErrorDecision, trial: RequestState) -> None:
        """Changes the dialect once; a request that was sent in an older one is simply sent again in the present one."""
        if trial.dialect is not self.dialect:
            return
        changed = self.dialect.adapt_to_refusal(verdict.parameter or "")
        if changed is None:
            raise RowError("rejected", verdict.message, raw=verdict.raw, attempts=trial.spent + 1)
        self.dialect = changed

    def drain(self) -> None:
        """Lets requests under way finish and starts no more."""
        self.concurrency_limit.close()
        self.rate_limit.close()

    async def aclose(self) -> None:
        await self._lookout.aclose()
        await self.outage.aclose()
        await self.client.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

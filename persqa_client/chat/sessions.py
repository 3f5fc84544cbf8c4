"""A request until its end: gate, slot, throttle, attempt, and again. Talks to the endpoint through chat/client.py.

A session is what one run shares towards one endpoint. Order for each attempt: turn of its pictures, slot, outage gate,
throttle, send.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

import httpx2

from persqa_client.chat.account import Account
from persqa_client.chat.admission import Admission
from persqa_client.chat.bodies import Body
from persqa_client.chat.client import Client
from persqa_client.chat.completions import whole
from persqa_client.chat.control import Lease
from persqa_client.chat.dialects import Dialect
from persqa_client.chat.gauges import poll
from persqa_client.chat.knee import Knee
from persqa_client.chat.outage import PATIENCE, PROBES, Outage
from persqa_client.chat.quotas import PictureTokens, by_size
from persqa_client.chat.requests import render
from persqa_client.chat.retries import BACKOFF, Backoff, Trial, persist, policy
from persqa_client.chat.together import first
from persqa_client.chat.uploads import Delivery, Uploads
from persqa_client.chat.verdicts import DISTANT
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.errors import AttemptError, Away, RowError, RunStopped
from persqa_client.types import Act, Completion, Request, Usage, Verdict

DEATHS = 3
"""So often may the server go away with a row in flight; once or twice is chance."""


Relief = Callable[[], bool]
"""Whether another endpoint can go on with a request that failed here."""


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
    ``picture_tokens`` is the model's rule, for the limit on tokens.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        http_client: httpx2.AsyncClient | None = None,
        rng: random.Random | None = None,
        backoff: Backoff = BACKOFF,
        probes: Backoff = PROBES,
        patience: float = PATIENCE,
        picture_tokens: PictureTokens = by_size,
    ) -> None:
        self.endpoint = endpoint
        self.sampling = sampling or Sampling()
        self.limits = limits or Limits()
        self.dialect = Dialect()
        self.traffic = Traffic()
        self.client = Client(
            endpoint,
            timeout=self.limits.timeout,
            connections=self.limits.most_at_once,
            fields=frozenset(self.sampling.extra_body),
            http_client=http_client,
        )
        most = self.limits.most_at_once
        self.admission = Admission(most, Knee(most) if self.limits.concurrency == "auto" else None)
        self.account = Account(self.limits, self.admission, picture_tokens)
        self.client.heed = self.account.heed
        self.outage = Outage(
            self.client.alive, self.admission, max_outage=self.limits.max_outage, probes=probes, patience=patience
        )
        self.uploads = Uploads()
        self.backoff = backoff
        self._rng = rng or random.Random()
        self._poller: asyncio.Task[None] | None = None
        self._relief: Relief | None = None
        self._turned_away = 0

    def join(self, relief: Relief, lasting: Callable[[], bool]) -> None:
        """From now on requests are given back (Away) when the gate shuts, and when they failed here and there is
        ``relief``. While ``lasting``, the server may stay away for ever."""
        self._relief = relief
        self.outage.relieved = lasting
        self.outage.on_shut = lambda: self.admission.dismiss(Away())

    async def complete(self, request: Request, trial: Trial | None = None) -> Reply:
        """The completion of a request, however many attempts it takes; ``trial`` is what it has gone through already.

        Raises RowError where the row fails for good, RunStopped where the whole run does, Interrupted when the run is
        being stopped, and Away where the session has joined others.
        """
        self._watch()
        trial = trial or Trial()
        trial.tokens = trial.tokens or self.account.weigh(request, self.sampling.max_tokens)
        delivery = self.uploads.delivery(request.uuids)
        again = partial(
            policy,
            trial,
            max_attempts=self.limits.max_attempts,
            sleep=self._rest,
            rng=self._rng,
            backoff=self.backoff,
        )
        while True:
            try:
                completion = await persist(partial(self._attempt, request, trial, delivery), again)
                break
            except Away:
                self._survive(trial)
                raise
            except AttemptError as error:
                if not await self._excused(error.verdict, trial):
                    raise self._final(error.verdict, trial) from error
        prefix = request.prefill if trial.dialect.continues else None
        form = trial.dialect.holds if request.pattern and not prefix else None
        answer = whole(completion, wrapped=form == "json_schema", prefix=prefix)
        return Reply(answer, trial.spent + 1, constrained=form is not None, prefilled=bool(prefix))

    async def _attempt(self, request: Request, trial: Trial, delivery: Delivery) -> Completion:
        if self._relief is not None:
            await self._hand_over(trial, self._relief)
        # What may have brought the server down lets the others go first, or nothing else would be answered any more.
        suspect = trial.suspect(self.outage.count)
        if suspect:
            await self.outage.passed()
            await self.admission.pause(self.backoff.ceiling(trial.waits))
        again = trial.sent > 0 and not suspect
        async with delivery, self.admission.slot(again=again or delivery.follows) as lease:
            await self._permit(lease, trial, again=again)
            self._survive(trial)
            body = self._body(request, trial, delivery)
            self._count(trial)
            try:
                completion = await self.client.send(body)
            except AttemptError as error:
                error.verdict = delivery.judge(error.verdict, trial.known)
                self._react(error.verdict, lease, trial)
                if error.verdict.act is Act.WAIT and self._relief is not None and self._relief():
                    self._leave_alone()
                    raise Away from None
                raise
            delivery.answered()
        self._answered(completion, lease, trial)
        return completion

    async def _permit(self, lease: Lease, trial: Trial, *, again: bool) -> None:
        """Gate and throttle; asked within the slot, so that nothing that waited for one slips past a gate just shut."""
        while True:
            if self._relief is not None and self.outage.closed:
                raise Away
            lease.held = lease.held or self.outage.closed
            await self.outage.passed()
            await self.account.permit(trial.tokens, again=again)
            if not self.outage.closed:
                return
            self.account.give_back(trial.tokens)

    async def _hand_over(self, trial: Trial, relief: Relief) -> None:
        """Raises Away where another endpoint is to go on with the request.

        A broken connection may be the first sign of a server that is gone: it is asked, so that nobody pays for that.
        """
        failed = trial.spent > trial.brought
        if failed and trial.lost is not None:
            await self.outage.explains(trial.lost.message)
        if self.outage.closed or (failed and relief()):
            raise Away

    def _leave_alone(self) -> None:
        """A server that turns away the only request that it has is sent none for a while, each time a longer one."""
        if self.admission.in_use == 1:
            self.admission.hold(self.backoff.ceiling(self._turned_away))
            self.admission.dismiss(Away())
            self._turned_away += 1

    async def _rest(self, seconds: float) -> None:
        """The wait before another attempt; over at once where the gate shuts and another endpoint can go on."""
        if self._relief is None:
            await self.admission.pause(seconds)
        else:
            await first(self.admission.pause(seconds), self.outage.shut.wait())

    def _survive(self, trial: Trial) -> None:
        verdict = trial.lost
        trial.outlive(self.outage.count, self.outage.answers_before)
        if verdict is not None and trial.deaths >= max(DEATHS, self.limits.max_attempts):
            raise RowError(
                "engine_dead",
                f"The server went away {trial.deaths} times with this row in flight, and answered others in between: "
                f"{verdict.message} Look whether its picture or question brings the server down.",
                raw=verdict.raw,
                attempts=trial.deaths,
            )

    async def _excused(self, verdict: Verdict, trial: Trial) -> bool:
        """Whether the attempts were spent only because the server is away; they are then given back."""
        if verdict.code not in DISTANT or trial.heard != self.outage.answers:
            return False
        enough = trial.unheard >= min(2, self.limits.max_attempts)
        return enough and await self.outage.explains(verdict.message)

    def _body(self, request: Request, trial: Trial, delivery: Delivery) -> Body:
        # Made anew for each attempt and kept by none: a trial stays until the garbage collector finds it, because
        # tenacity's objects hold each other, and its pictures would stay with it.
        known = delivery.known if self.dialect.uuid else frozenset()
        trial.dialect, trial.known = self.dialect, known
        delivery.sent(known)
        worded = replace(request, known=known) if known else request
        return render(worded, model=self.endpoint.model, sampling=self.sampling, dialect=self.dialect)

    def _count(self, trial: Trial) -> None:
        self.traffic.sent += 1
        self.traffic.again += trial.sent > 0
        trial.sent += 1

    def _answered(self, completion: Completion, lease: Lease, trial: Trial) -> None:
        usage = completion.usage
        self._turned_away = 0
        self.traffic.answered += 1
        self.traffic.usage += usage
        self.admission.answered(lease, usage.completion)
        self.account.took(usage, trial.tokens)
        self.outage.over()

    def _watch(self) -> None:
        """Looks at the server's gauges from now on, where the number of requests at once is ours to find."""
        if self._poller is None and self.limits.concurrency == "auto":
            url, model = f"{self.endpoint.root_url}/metrics", self.endpoint.model
            wanted = lambda: self.admission.in_use > 0  # noqa: E731
            self._poller = asyncio.create_task(poll(self.client.get, url, model, self.admission.looked, wanted))

    def _react(self, verdict: Verdict, lease: Lease, trial: Trial) -> None:
        """What a failed attempt changes for the run, before the row itself is tried again or ended."""
        if verdict.act is Act.RETRY:
            trial.spent += 1
            if verdict.code == "timeout":
                self.admission.timed_out(lease)
            if verdict.code in DISTANT:
                trial.lose(verdict, self.outage.answers)
                self.outage.pressed(verdict.message)
        elif verdict.act is Act.WAIT:
            self.admission.pressed(lease, self._bounded(verdict))
            self._bear_pressure(verdict, trial)
            self.outage.pressed(verdict.message)
        elif verdict.act is Act.AWAY:
            if verdict.code == "engine_dead":
                trial.lose(verdict, self.outage.answers)
            self.outage.begin(verdict.message)
        elif verdict.act is Act.STOP:
            raise RunStopped(verdict.code, verdict.message)
        elif verdict.act is Act.ADAPT:
            self._adapt(verdict, trial)
        else:
            self.outage.over()

    def _bounded(self, verdict: Verdict) -> float | None:
        """The Retry-After, where the run can wait for so long; else the run stops."""
        if verdict.retry_after is not None and verdict.retry_after > self.limits.max_outage:
            raise RunStopped(
                "rate_limited",
                f"The server asks to wait {verdict.retry_after:.0f} s, more than --max-outage "
                f"{self.limits.max_outage:g}: {verdict.message} Give the same command again later.",
            )
        return verdict.retry_after

    def _bear_pressure(self, verdict: Verdict, trial: Trial) -> None:
        """Pressure costs a row no attempt, but a row that alone is turned away for ever must end."""
        now = monotonic()
        if trial.first_pressure is None:
            trial.first_pressure = now
        if now - trial.first_pressure > self.limits.max_outage and self.outage.quiet:
            message = f"Turned away for {now - trial.first_pressure:.0f} s: {verdict.message}"
            raise RowError("busy", message, raw=verdict.raw, attempts=trial.spent)

    def _adapt(self, verdict: Verdict, trial: Trial) -> None:
        """Changes the dialect once; a request that was sent in an older one is simply sent again in the present one."""
        if trial.dialect is not self.dialect:
            return
        changed = self.dialect.without(verdict.parameter or "")
        if changed is None:
            raise RowError("rejected", verdict.message, raw=verdict.raw, attempts=trial.spent + 1)
        self.dialect = changed

    def _final(self, verdict: Verdict, trial: Trial) -> RowError:
        attempts = trial.spent + (verdict.act is Act.FAIL)
        tries = f" after {attempts} attempts" if verdict.act is Act.RETRY and attempts > 1 else ""
        message = f"{verdict.message.rstrip('.')}{tries}."
        return RowError(verdict.code, message, raw=verdict.raw, attempts=attempts)

    def drain(self) -> None:
        """Lets requests under way finish and starts no more."""
        self.admission.close()
        self.account.close()

    async def aclose(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        await self.outage.aclose()
        await self.client.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

"""Several endpoints with the interface of one: routing, failover, and exclusion of endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from cachetools import LRUCache

from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.request_state import RequestState
from persqa_client.endpoints.routing import EndpointLoad, HealthState, choose_endpoint, image_key, rank_endpoints
from persqa_client.endpoints.session import Session
from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.errors import FailedOver, RowError, RunStopped, ServerFailed
from persqa_client.task_groups import wait_first
from persqa_client.types import Request

# Failures without an answer after which an endpoint is doubtful. Otherwise an endpoint that fails fast would get all
# requests.
DOUBTFUL_AFTER = 3
# Rejected answers without a good one after which an endpoint is doubtful; rows are asked twice.
DOUBTFUL_AFTER_ANSWERS = 2 * DOUBTFUL_AFTER
# Crashes with a request in flight up to which it moves to another endpoint at once; after more, it is sent last.
TOLERATED_CRASHES = 1
TAKES_REQUESTS: frozenset[HealthState] = frozenset({"healthy", "doubtful"})
# Images whose endpoint is remembered.
REMEMBERED_IMAGES = 4096


@dataclass(slots=True, eq=False)
class Member:
    """One endpoint of a pool. Implements ``Failover`` for its requests, and ``AnswerSource`` for its replies."""

    session: Session
    pool: Pool = field(repr=False)
    outstanding: int = 0  # requests, including those that wait for a permit or a retry
    failures: int = 0  # attempts that failed here and continued elsewhere, since the last answer
    bad_answers: int = 0  # answers that failed the checks, since the last good one
    left_out: str | None = None  # why the endpoint is excluded for the rest of the run
    warned: bool = False  # whether a warning says that the endpoint refuses everything at present

    @property
    def url(self) -> str:
        return self.session.endpoint.base_url

    @property
    def exclusion(self) -> str | None:
        """Why the endpoint gets no requests: for the rest of the run, or until a trial is answered."""
        return self.left_out or self.session.outage.refusal

    @property
    def health(self) -> HealthState:
        if self.left_out is not None or self.session.outage.closed:
            return "unavailable"
        if self.session.concurrency_limit.paused:
            return "paused"
        is_proven = self.failures < DOUBTFUL_AFTER and self.bad_answers < DOUBTFUL_AFTER_ANSWERS
        return "healthy" if self.session.outage.healthy and is_proven else "doubtful"

    @property
    def load(self) -> EndpointLoad:
        return EndpointLoad(self.active, self.session.concurrency_limit.permits, self.health)

    @property
    def active(self) -> int:
        """Requests that hold a permit or wait for one."""
        return max(0, self.outstanding - self.session.concurrency_limit.backing_off)

    @property
    def room(self) -> int:
        """Requests that would not have to wait here."""
        limit = {"healthy": self.session.concurrency_limit.permits, "doubtful": 1}.get(self.health, 0)
        return limit - self.active

    @property
    def others(self) -> Iterator[Member]:
        return (member for member in self.pool.members if member is not self)

    @property
    def is_ready(self) -> bool:
        return any(other.health == "healthy" for other in self.others)

    @property
    def can_outlast_outage(self) -> bool:
        # If its gate is open, the trouble may have ended, because nothing was sent since.
        outages = (other.session.outage for other in self.others if not other.exclusion)
        return any(not (outage.closed and outage.overdue) for outage in outages)

    def judge(self, problem: str | None) -> None:
        self.bad_answers = 0 if problem is None else self.bad_answers + 1
        if self.bad_answers == DOUBTFUL_AFTER_ANSWERS and self.is_ready:
            self.pool.warn_of_answers(self, problem or "")

    async def ask_again(self, request: Request) -> Reply:
        return await self.pool.complete_at(self, request)

    async def ask_another(self, request: Request) -> Reply:
        return await self.pool.complete_avoiding(self, request)


class Pool(AbstractAsyncContextManager["Pool"]):
    """Completes requests at one of several endpoints.

    ``warn`` is called when an endpoint is excluded, permanently or until it answers a trial, and when its answers
    repeatedly fail the checks.
    """

    def __init__(self, sessions: Sequence[Session], *, warn: Callable[[str], None] = lambda sentence: None) -> None:
        self.members = [Member(session, self) for session in sessions]
        self._warn = warn
        self.warnings: list[str] = []
        self._urls = [member.url for member in self.members]
        self._seen_at: LRUCache[int, int] = LRUCache(REMEMBERED_IMAGES)  # image key -> endpoint index
        self._recovery: asyncio.Task[None] | None = None
        for member in self.members:
            member.session.outage.on_open = partial(self._resume, member)

    async def complete(self, request: Request) -> Reply:
        """Raises like ``Session.complete``, but never FailedOver."""
        return await self.complete_avoiding(None, request)

    async def complete_at(self, preferred: Member, request: Request) -> Reply:
        """Uses the preferred endpoint if it takes requests; otherwise, and after failures there, another one."""
        return await self._complete(request, first=preferred if preferred.health in TAKES_REQUESTS else None)

    async def complete_avoiding(self, avoid: Member | None, request: Request) -> Reply:
        return await self._complete(request, avoid=avoid)

    async def _complete(self, request: Request, *, first: Member | None = None, avoid: Member | None = None) -> Reply:
        key = image_key(request.pictures)
        states: dict[Member, RequestState] = {}
        latest = RequestState()
        failed_at = avoid
        while True:
            member, first = first or await self._choose(key, avoid=failed_at), None
            state = states.setdefault(member, self._new_state(member))
            if state is not latest:
                state.continue_from(latest)
                latest = state
            reply = await self._try(member, request, state)
            if reply is not None:
                return replace(reply, source=member)
            # A request that only waited there must not return to the endpoint that it avoids.
            failed_at = member if avoid is None or state.has_failed_here else avoid

    def _new_state(self, member: Member) -> RequestState:
        if len(self.members) == 1:
            return RequestState()
        return RequestState(failover=member, tolerated_crashes=TOLERATED_CRASHES)

    async def _try(self, member: Member, request: Request, state: RequestState) -> Reply | None:
        member.outstanding += 1
        try:
            reply = await member.session.complete(request, state)
        except FailedOver:
            member.failures += state.has_failed_here and not request.is_verification
            return None
        except RowError:
            member.session.traffic.failed_rows += not request.is_verification
            raise
        except RunStopped as stop:
            self._leave_out(member, stop)
            return None
        finally:
            member.outstanding -= 1
            if not member.outstanding:
                member.session.outage.record_idle()
        member.failures = 0
        self._take_over_waiting(member)
        return reply

    async def _choose(self, key: int | None, avoid: Member | None) -> Member:
        order = rank_endpoints(key, self._urls)
        while True:
            for member in self.members:
                if member.left_out is None and (stop := member.session.outage.server_exit) is not None:
                    self._leave_out(member, stop)
                self._warn_of_refusal(member)
            index = choose_endpoint(
                [member.load for member in self.members],
                order,
                known_at=None if key is None else self._seen_at.get(key),
                avoid=None if avoid is None else self.members.index(avoid),
            )
            if index is not None:
                if key is not None:
                    self._seen_at[key] = index
                return self.members[index]
            await self._wait_for_recovery()

    async def _wait_for_recovery(self) -> None:
        if self._recovery is None or self._recovery.done():
            gates = (member.session.outage.wait_until_open() for member in self.members if member.left_out is None)
            self._recovery = asyncio.ensure_future(wait_first(*gates))
        with suppress(ServerFailed):
            await asyncio.shield(self._recovery)

    def _resume(self, member: Member) -> None:
        if member.session.outage.healthy:
            # A trial was answered. Otherwise the first request has to show that the endpoint works.
            member.failures = 0
        self._take_over_waiting(member)

    def _take_over_waiting(self, idle: Member) -> None:
        """Moves requests from the longest queues to an endpoint with free permits.

        Otherwise it could be idle after an outage or at the end of a run.
        """
        for _ in range(idle.room):
            longest = max(idle.others, key=lambda other: other.session.concurrency_limit.waiting, default=None)
            if longest is None or not longest.session.concurrency_limit.waiting:
                return
            longest.session.concurrency_limit.reject_last_waiting(FailedOver())

    def leave_out(self, session: Session, stop: RunStopped) -> None:
        """Excludes an endpoint for the rest of the run. Raises ``stop`` if no other endpoint is left."""
        self._leave_out(next(member for member in self.members if member.session is session), stop)

    def _leave_out(self, member: Member, stop: RunStopped) -> None:
        """Raises ``stop`` if it applies to all endpoints or no other endpoint is left."""
        if stop.code == "server_away":
            raise stop
        if member.left_out is not None:
            return
        if all(other.exclusion for other in member.others):
            raise stop
        member.left_out = stop.message
        index = self.members.index(member)
        for key in [key for key, seen_at in self._seen_at.items() if seen_at == index]:
            del self._seen_at[key]
        self._add_warning(f"{member.url} is left out from now on: {stop.message}")

    def _warn_of_refusal(self, member: Member) -> None:
        refusal = member.session.outage.refusal
        if refusal is not None and not member.warned:
            self._add_warning(f"{member.url} is left out until it answers again: {refusal}")
        member.warned = refusal is not None or (member.warned and member.session.outage.closed)

    def warn_of_answers(self, member: Member, problem: str) -> None:
        warning = f"{member.url} gives answers that fail the checks ({problem}), and gets few rows until one passes."
        if warning not in self.warnings:
            self._add_warning(warning)

    def _add_warning(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self._warn(sentence)

    @property
    def completer(self) -> Pool | Session:
        """The object that completes the requests of a run. A single endpoint bypasses the pool: there is nothing to
        choose, its requests cannot fail over, and its replies have no ``source``.
        """
        return self if len(self.members) > 1 else self.members[0].session

    @property
    def sessions(self) -> list[Session]:
        return [member.session for member in self.members]

    @property
    def usable_urls(self) -> list[str]:
        return [member.url for member in self.members if member.left_out is None]

    @property
    def traffic(self) -> TrafficCounts:
        total = TrafficCounts()
        for session in self.sessions:
            total.merge(session.traffic)
        return total

    @property
    def in_use(self) -> int:
        """Requests on their way to the servers; others hold a permit and wait, for example during an outage."""
        return sum(session.traffic.in_flight for session in self.sessions)

    @property
    def permits(self) -> int:
        if len(self.members) == 1:
            return self.members[0].session.concurrency_limit.permits
        available = (member for member in self.members if member.health != "unavailable")
        return max(1, sum(member.session.concurrency_limit.permits for member in available))

    @property
    def backing_off(self) -> int:
        return sum([member.session.concurrency_limit.backing_off for member in self.members])

    def drain(self) -> None:
        for session in self.sessions:
            session.drain()

    async def aclose(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        for session in self.sessions:
            await session.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

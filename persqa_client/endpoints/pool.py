"""Several endpoints as one: each request goes to one of them, and on to another where that one fails. Talks through
their sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial

from persqa_client.client.retry import RequestState
from persqa_client.endpoints.routing import Homes, Load, State, choose, picture_key, preference
from persqa_client.endpoints.session import Reply, Session, Traffic
from persqa_client.errors import FailedOver, RowError, RunStopped, ServerFailed
from persqa_client.task_groups import wait_first
from persqa_client.types import Request

MISSES = 3
"""So many failures without an answer between make a server doubtful; without that, one that fails fast would draw all
requests to it."""
CHANCE = 1
"""A row that one server died of, perhaps, goes to another at once; from the second death on it lets others go first."""


@dataclass(slots=True, eq=False)
class Member:
    """One endpoint of a pool, and how it fares. ``out``: why nothing is sent there for the rest of the run."""

    session: Session
    outstanding: int = 0
    failed: int = 0
    """Rows that failed here."""
    misses: int = 0
    """Requests that cost an attempt here and went elsewhere, since the last answer."""
    out: str | None = None

    @property
    def name(self) -> str:
        return self.session.endpoint.base_url

    @property
    def state(self) -> State:
        if self.out is not None or self.session.outage.closed:
            return "away"
        if self.session.concurrency_limit.paused:
            return "held"
        return "well" if self.session.outage.quiet and self.misses < MISSES else "doubtful"

    @property
    def load(self) -> Load:
        return Load(self.outstanding, self.session.concurrency_limit.permits, self.state)


@dataclass(slots=True)
class Journey:
    """A request on its way through the pool: at each server a trial of its own, one number of attempts for all."""

    trials: dict[Member, RequestState] = field(default_factory=dict)
    last: RequestState = field(default_factory=RequestState)

    def at(self, member: Member) -> RequestState:
        trial = self.trials.setdefault(member, RequestState(chance=CHANCE))
        if trial is not self.last:
            trial.go_on_from(self.last)
            self.last = trial
        return trial


class Pool(AbstractAsyncContextManager["Pool"]):
    """Completes requests at one of several endpoints of the same model; several, but for what they have in common.

    ``warn`` is told in a sentence when an endpoint is left out for the rest of the run.
    """

    def __init__(self, sessions: Sequence[Session], *, warn: Callable[[str], None] = lambda sentence: None) -> None:
        self.members = [Member(session) for session in sessions]
        self.warn = warn
        self.warnings: list[str] = []
        self._names = [member.name for member in self.members]
        self._homes = Homes()
        self._return: asyncio.Task[None] | None = None

    def join(self) -> None:
        """From now on the endpoints stand in for one another; until then each speaks for itself alone."""
        if len(self.members) == 1:
            return
        for member in self.members:
            member.session.join(partial(self._relieves, member), partial(self._outlasts, member))

    def _relieves(self, member: Member) -> bool:
        """Whether another endpoint can go on with what this one failed to answer."""
        return any(other.state == "well" for other in self._others(member))

    def _outlasts(self, member: Member) -> bool:
        """Whether the run can go on without this endpoint for as long as that may be away."""
        return any(not other.out and not other.session.outage.lost for other in self._others(member))

    def _others(self, member: Member) -> Iterator[Member]:
        return (other for other in self.members if other is not member)

    async def complete(self, request: Request) -> Reply:
        """The completion of a request, wherever it comes from; raises as a session does."""
        journey, key = Journey(), picture_key(request.pictures)
        member = await self._choose(key)
        while True:
            reply = await self._try(member, request, journey.at(member))
            if reply is not None:
                return reply
            member = await self._choose(key, avoid=member)

    async def _try(self, member: Member, request: Request, trial: RequestState) -> Reply | None:
        """The reply of one endpoint; None where another one is to go on."""
        member.outstanding += 1
        try:
            reply = await member.session.complete(request, trial)
        except FailedOver:
            member.misses += trial.spent > trial.brought
            return None
        except RowError:
            member.failed += 1
            raise
        except RunStopped as stop:
            self._leave_out(member, stop)
            return None
        finally:
            member.outstanding -= 1
        member.misses = 0
        self._share_out(member)
        return reply

    def _share_out(self, idle: Member) -> None:
        """Takes one of those that wait in line elsewhere for a server that has a slot free, so that none idles at a
        run's end, or beside a slow one."""
        if idle.state == "well" and idle.outstanding < idle.session.concurrency_limit.permits:
            longest = max(self._others(idle), key=lambda other: other.session.concurrency_limit.waiting)
            longest.session.concurrency_limit.reject_last_waiting(FailedOver())

    def _leave_out(self, member: Member, stop: RunStopped) -> None:
        """Raises the stop where it speaks of all endpoints, or this one is the last."""
        if stop.code == "server_away":
            raise stop
        if member.out is not None:
            return
        if all(other.out for other in self._others(member)):
            raise stop
        member.out = stop.message
        self._homes.forget(self.members.index(member))
        sentence = f"{member.name} is left out from now on: {stop.message}"
        self.warnings.append(sentence)
        self.warn(sentence)

    def _leave_out_ended(self) -> None:
        """Servers of one's own that have ended do not come back. Raises the stop where no other endpoint is left."""
        for member in self.members:
            if member.out is None and (end := member.session.outage.end) is not None:
                self._leave_out(member, end)

    async def _choose(self, key: int | None, avoid: Member | None = None) -> Member:
        """The endpoint for a request; waits for one where all are away."""
        order = preference(key, self._names)
        while True:
            self._leave_out_ended()
            number = choose(
                [member.load for member in self.members],
                order,
                home=self._homes.of(key),
                avoid=None if avoid is None else self.members.index(avoid),
            )
            if number is not None:
                self._homes.settle(key, number)
                return self.members[number]
            await self._any_back()

    async def _any_back(self) -> None:
        """Until an endpoint takes requests again, or one has ended. Raises RunStopped where none has for too long."""
        if self._return is None or self._return.done():
            gates = (member.session.outage.passed() for member in self.members if member.out is None)
            self._return = asyncio.ensure_future(wait_first(*gates))
        with suppress(ServerFailed):
            await asyncio.shield(self._return)

    @property
    def completer(self) -> Pool | Session:
        """What requests are to be given to: where there is one endpoint alone, its session itself."""
        return self if len(self.members) > 1 else self.members[0].session

    @property
    def sessions(self) -> list[Session]:
        return [member.session for member in self.members]

    @property
    def traffic(self) -> Traffic:
        """What all have sent and answered."""
        total = Traffic()
        for traffic in (session.traffic for session in self.sessions):
            total.sent += traffic.sent
            total.answered += traffic.answered
            total.again += traffic.again
            total.usage += traffic.usage
        return total

    @property
    def in_use(self) -> int:
        return sum(session.concurrency_limit.in_use for session in self.sessions)

    @property
    def slots(self) -> int:
        """Requests that may be under way at once, at all that take any; one at least, so that somebody asks."""
        if len(self.members) == 1:
            return self.members[0].session.concurrency_limit.permits
        return max(
            1, sum(member.session.concurrency_limit.permits for member in self.members if member.state != "away")
        )

    def drain(self) -> None:
        """Lets requests under way finish and starts no more."""
        for session in self.sessions:
            session.drain()

    async def aclose(self) -> None:
        if self._return is not None:
            self._return.cancel()
            await asyncio.gather(self._return, return_exceptions=True)
        for session in self.sessions:
            await session.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

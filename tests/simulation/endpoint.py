"""An endpoint whose state follows a script, as an HTTP transport on the loop's clock."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from persqa_client.task_groups import loop_time
from tests.simulation.replies import Reply, SimRequest, read_request

# good: answers. slow: answers later. overloaded: has fewer slots and no queue, and refuses what is beyond them.
# account: refuses every request with the phase's reply, as do errors and useless (which has status 200).
# frozen: accepts connections, and answers nothing until the phase ends. resets: drops each connection.
# down: refuses connections.
Kind = Literal["good", "slow", "overloaded", "account", "errors", "useless", "frozen", "resets", "down"]
ANSWERING: frozenset[Kind] = frozenset({"good", "slow", "overloaded"})
# A request that is in flight when one of these begins loses its connection.
DEADLY: frozenset[Kind] = frozenset({"resets", "down"})
# Seconds until a refusal arrives.
REFUSAL_TIME = 0.05
# Timers fire at most this much too early.
EARLIEST = 0.001


@dataclass(frozen=True, slots=True)
class Phase:
    since: float
    kind: Kind = "good"
    # What is sent instead of an answer: in turn, or, when overloaded, to those beyond the slots.
    replies: tuple[Reply, ...] = ()
    # Seconds of an answer, relative to the endpoint's latency.
    slowness: float = 1.0
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class Crash:
    """What a request that kills the engine does to the endpoint.

    ``dying``: the reply to those that are in flight; None if their connections are lost. ``seconds``: until the
    endpoint answers again. Meanwhile it is in the state ``then``; if that is ``errors``, it sends ``dying``.
    """

    dying: Reply | None = None
    then: Kind = "down"
    seconds: float = 5.0


class Timeline:
    """Phases in order of time; the last one lasts for ever."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)
        self._starts = [phase.since for phase in self.phases]

    def index_at(self, moment: float) -> int:
        return max(0, bisect_right(self._starts, moment) - 1)

    def at(self, moment: float) -> Phase:
        return self.phases[self.index_at(moment)]

    def end_of(self, index: int) -> float:
        return self._starts[index + 1] if index + 1 < len(self._starts) else float("inf")


@dataclass(slots=True)
class EndpointSettings:
    timeline: Timeline
    slots: int = 8
    latency: float = 1.0
    # Standard deviation of the latency's logarithm.
    spread: float = 0.1
    # Whether requests beyond the slots wait; otherwise they get one of ``busy_replies``.
    queues: bool = True
    busy_replies: tuple[Reply, ...] = ()
    # Share of requests that get a reply of ``noise_replies``.
    noise: float = 0.0
    noise_replies: tuple[Reply, ...] = ()
    # Whether GET /health reports that the server is down or sends errors; many answer 404 or 200, whatever their state.
    has_health: bool = True
    # Whether GET /health is answered by 503 at any time, as by a gateway that has no such route.
    never_healthy: bool = False
    # Whether GET /health is answered while the model hangs.
    healthy_when_frozen: bool = False
    crash: Crash = field(default_factory=Crash)


# Answers a request that reached the model, by its row and the number of the endpoint; None kills the engine.
AnswerRow = Callable[[SimRequest, int], Reply | None]
Log = Callable[[str], None]


class Dropped(Exception):
    """The server closed the connection without an answer."""


class Crashed(Exception):
    """The engine died while the request was in flight."""


@dataclass(eq=False)
class SimulatedEndpoint(httpx2.AsyncBaseTransport):
    """Counts ``requests`` by the kind of the phase in which they arrived."""

    number: int
    settings: EndpointSettings
    answer: AnswerRow
    rng: random.Random
    log: Log
    requests: Counter[str] = field(default_factory=Counter)
    by_phase: Counter[int] = field(default_factory=Counter)
    crashes: int = 0
    # The time and the row of each reply of the model.
    worked: list[tuple[float, int]] = field(default_factory=list)
    # Replies that were not the model's, and requests without a reply; and the rows that they were for.
    troubles: int = 0
    troubled_rows: set[int] = field(default_factory=set)
    # Begin and end of each time for which a refused client was asked to wait.
    pauses: list[tuple[float, float]] = field(default_factory=list)
    active: int = 0
    _down: Phase | None = None
    _down_until: float = 0.0
    _working: dict[asyncio.Future[None], None] = field(default_factory=dict)
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def start(self) -> None:
        """Lets waiting requests in when a phase with more slots begins."""
        for phase in self.settings.timeline.phases:
            asyncio.get_running_loop().call_at(phase.since + 0.001, self._wake_waiting)

    @property
    def phase(self) -> Phase:
        if self._down is not None and loop_time() < self._down_until:
            return self._down
        return self.settings.timeline.at(loop_time())

    @property
    def phase_end(self) -> float:
        if self._down is not None and loop_time() < self._down_until:
            return self._down_until
        return self.settings.timeline.end_of(self.settings.timeline.index_at(loop_time()))

    def die(self) -> None:
        """All that is in flight dies; the endpoint is back after a while."""
        crash = self.settings.crash
        self.crashes += 1
        self.log(f"endpoint {self.number}: the engine dies")
        replies = () if crash.dying is None else (crash.dying,)
        self._down, self._down_until = Phase(loop_time(), crash.then, replies), loop_time() + crash.seconds
        asyncio.get_running_loop().call_at(self._down_until + 0.001, self._wake_waiting)
        for work in self._working:
            if not work.done():
                work.set_exception(Crashed())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return await self._get(request.url.path)
        content = await request.aread()
        asked = read_request(content)
        phase = self.phase
        self.requests[phase.kind] += 1
        self.by_phase[self.settings.timeline.index_at(loop_time())] += 1
        try:
            reply = await self._reply(asked)
        except Exception as error:
            self._note_trouble(asked)
            self.log(f"endpoint {self.number} {phase.kind}: {asked.name} {type(error).__name__}")
            raise ConnectionResetError("Connection reset by peer") if isinstance(error, Dropped) else error from None
        except asyncio.CancelledError:
            self._note_trouble(asked)
            self.log(f"endpoint {self.number} {phase.kind}: {asked.name} given up")
            raise
        self.log(f"endpoint {self.number} {phase.kind}: {asked.name} {reply.label}")
        if (seconds := dict(reply.headers).get("retry-after")) is not None:
            self.pauses.append((loop_time(), loop_time() + float(seconds)))
        return httpx2.Response(reply.status, headers=dict(reply.headers), content=reply.body)

    def _note_trouble(self, asked: SimRequest) -> None:
        self.troubles += 1
        if asked.row is not None:
            self.troubled_rows.add(asked.row)

    async def _get(self, path: str) -> httpx2.Response:
        phase = self.phase
        if phase.kind == "frozen" and not self.settings.healthy_when_frozen:
            await self._thaw()
        await asyncio.sleep(REFUSAL_TIME / 5)
        if phase.kind == "down":
            raise ConnectionRefusedError("Connect call failed")
        if phase.kind == "resets":
            raise ConnectionResetError("Connection reset by peer")
        if self.settings.never_healthy:
            return httpx2.Response(503)
        if not path.endswith("/health") or not self.settings.has_health:
            return httpx2.Response(404)
        return httpx2.Response(503 if phase.kind == "errors" else 200)

    async def _reply(self, asked: SimRequest) -> Reply:
        if self.phase.kind == "frozen":
            await self._thaw()
        phase, settings = self.phase, self.settings
        if (refusal := await self._refuse(phase)) is not None or not await self._take_slot(phase):
            self._note_trouble(asked)
            if refusal is None:
                await asyncio.sleep(REFUSAL_TIME)
                refusal = self.rng.choice(phase.replies or settings.busy_replies)
            return refusal
        try:
            await self._work(settings.latency * self.rng.lognormvariate(0.0, settings.spread))
            reply = self.answer(asked, self.number)
            if reply is None:
                self.die()
                raise Crashed
        except Crashed:
            if settings.crash.dying is None:
                raise Dropped from None
            self._note_trouble(asked)
            return settings.crash.dying
        finally:
            self._release_slot()
        if asked.row is not None:
            self.worked.append((loop_time(), asked.row))
        return reply

    async def _refuse(self, phase: Phase) -> Reply | None:
        """The reply of an endpoint that answers nothing now, or noise."""
        if phase.kind == "down":
            await asyncio.sleep(REFUSAL_TIME / 10)
            raise ConnectionRefusedError("Connect call failed")
        if phase.kind == "resets":
            await asyncio.sleep(REFUSAL_TIME)
            raise Dropped
        if phase.kind in {"account", "errors", "useless"}:
            await asyncio.sleep(REFUSAL_TIME if phase.kind != "useless" else self.settings.latency)
            return self.rng.choice(phase.replies)
        if self.settings.noise and self.rng.random() < self.settings.noise:
            await asyncio.sleep(REFUSAL_TIME)
            return self.rng.choice(self.settings.noise_replies)
        return None

    async def _thaw(self) -> None:
        while self.phase.kind == "frozen":
            await sleep_until(self.phase_end)

    def _slots_in(self, phase: Phase) -> int:
        return self.settings.slots if phase.slots is None else phase.slots

    async def _take_slot(self, phase: Phase) -> bool:
        if self.active < self._slots_in(phase) and not self._waiting:
            self.active += 1
            return True
        if phase.kind == "overloaded" or not self.settings.queues:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release_slot()
            raise
        return True

    def _release_slot(self) -> None:
        self.active -= 1
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        while self._waiting and self.active < self._slots_in(self.phase):
            turn = self._waiting.popleft()
            if not turn.done():
                self.active += 1
                turn.set_result(None)

    async def _work(self, seconds: float) -> None:
        """Takes ``seconds`` of the model's time; none of it passes while the endpoint is frozen."""
        while seconds > 0:
            phase = self.phase
            if phase.kind in DEADLY:
                raise Dropped
            if phase.kind == "frozen":
                await self._thaw()
                continue
            left = self.phase_end - loop_time()
            needed = min(left, seconds * phase.slowness)
            seconds -= needed / phase.slowness if needed == left else seconds
            await self._sleep_unless_killed(needed)

    async def _sleep_unless_killed(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        work: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(loop.time() + seconds + EARLIEST, finish, work)
        self._working[work] = None
        try:
            await work
        finally:
            timer.cancel()
            del self._working[work]


def finish(work: asyncio.Future[None]) -> None:
    if not work.done():
        work.set_result(None)


async def sleep_until(moment: float) -> None:
    """Timers may fire early; this one does not."""
    while (left := moment - loop_time()) > 0:
        await asyncio.sleep(left)


def http_client(endpoint: SimulatedEndpoint) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=endpoint, timeout=None)

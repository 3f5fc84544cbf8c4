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


@dataclass(frozen=True, slots=True)
class Phase:
    since: float
    kind: Kind = "good"
    # What is sent instead of an answer: in turn, or, when overloaded, to those beyond the slots.
    replies: tuple[Reply, ...] = ()
    # Seconds of an answer, relative to the endpoint's latency.
    slowness: float = 1.0
    slots: int | None = None


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
    # Whether requests beyond the slots wait; otherwise they are refused.
    queues: bool = True
    # Share of requests that get a reply of ``noise_replies``.
    noise: float = 0.0
    noise_replies: tuple[Reply, ...] = ()
    # Whether GET /health reports trouble. Many servers answer 404, whatever their state.
    has_health: bool = True


# Answers a request that reached the model: by its row and the number of the endpoint.
AnswerRow = Callable[[SimRequest, int], Reply]
Log = Callable[[str], None]


class Dropped(Exception):
    """The server closed the connection without an answer."""


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
    active: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def start(self) -> None:
        """Lets waiting requests in when a phase with more slots begins."""
        for phase in self.settings.timeline.phases:
            asyncio.get_running_loop().call_at(phase.since + 0.001, self._wake_waiting)

    @property
    def phase(self) -> Phase:
        return self.settings.timeline.at(loop_time())

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
        except (Dropped, ConnectionError) as error:
            self.log(f"endpoint {self.number} {phase.kind}: {asked.name} {type(error).__name__}")
            raise ConnectionResetError("Connection reset by peer") if isinstance(error, Dropped) else error from None
        except asyncio.CancelledError:
            self.log(f"endpoint {self.number} {phase.kind}: {asked.name} given up")
            raise
        self.log(f"endpoint {self.number} {phase.kind}: {asked.name} {reply.label}")
        return httpx2.Response(reply.status, headers=dict(reply.headers), content=reply.body)

    async def _get(self, path: str) -> httpx2.Response:
        phase = self.phase
        if phase.kind == "frozen":
            await self._thaw()
        await asyncio.sleep(REFUSAL_TIME / 5)
        if phase.kind == "down":
            raise ConnectionRefusedError("Connect call failed")
        if phase.kind == "resets":
            raise ConnectionResetError("Connection reset by peer")
        if not path.endswith("/health") or not self.settings.has_health:
            return httpx2.Response(404)
        return httpx2.Response(503 if phase.kind == "errors" else 200)

    async def _reply(self, asked: SimRequest) -> Reply:
        if self.phase.kind == "frozen":
            await self._thaw()
        phase, settings = self.phase, self.settings
        if phase.kind == "down":
            await asyncio.sleep(REFUSAL_TIME / 10)
            raise ConnectionRefusedError("Connect call failed")
        if phase.kind == "resets":
            await asyncio.sleep(REFUSAL_TIME)
            raise Dropped
        if phase.kind in {"account", "errors", "useless"}:
            await asyncio.sleep(REFUSAL_TIME if phase.kind != "useless" else settings.latency)
            return self.rng.choice(phase.replies)
        if settings.noise and self.rng.random() < settings.noise:
            await asyncio.sleep(REFUSAL_TIME)
            return self.rng.choice(settings.noise_replies)
        if not await self._take_slot(phase):
            await asyncio.sleep(REFUSAL_TIME)
            return self.rng.choice(phase.replies or settings.noise_replies)
        try:
            await self._work(settings.latency * self.rng.lognormvariate(0.0, settings.spread))
            return self.answer(asked, self.number)
        finally:
            self._release_slot()

    async def _thaw(self) -> None:
        timeline = self.settings.timeline
        while self.phase.kind == "frozen":
            await sleep_until(timeline.end_of(timeline.index_at(loop_time())))

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
        timeline = self.settings.timeline
        while seconds > 0:
            index = timeline.index_at(loop_time())
            phase = timeline.phases[index]
            if phase.kind in DEADLY:
                raise Dropped
            if phase.kind == "frozen":
                await self._thaw()
                continue
            needed = seconds * phase.slowness
            left = timeline.end_of(index) - loop_time()
            if needed <= left:
                await asyncio.sleep(needed)
                return
            await sleep_until(timeline.end_of(index))
            seconds -= left / phase.slowness


async def sleep_until(moment: float) -> None:
    """Timers may fire early; this one does not."""
    while (left := moment - loop_time()) > 0:
        await asyncio.sleep(left)


def http_client(endpoint: SimulatedEndpoint) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=endpoint, timeout=None)

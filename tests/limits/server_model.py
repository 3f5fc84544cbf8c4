"""A model of a server and its client, in simulated time, for tests of the concurrency limit."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from persqa_client.engines.local_engine import task_limit
from persqa_client.limits.admission import Admission
from persqa_client.limits.controllers import LimitController, Permit
from persqa_client.limits.server_metrics import ServerMetrics


@dataclass
class Server:
    """Serves at most ``slots`` requests at once; a token of each takes ``pace + load * (requests being served)``.

    With ``load`` 0, requests do not slow one another down; otherwise throughput levels off, as with batching.
    """

    slots: int = 10**9
    pace: float = 1.0
    load: float = 0.0
    queue: int | None = None  # requests that may wait; others are refused
    hangs: bool = False  # requests time out
    refusals: float = 0.0  # share of requests that are refused at any load
    softness: float = 0.0  # share that is refused when all slots are busy; half the slots, a quarter of it
    window: tuple[int, float] | None = None  # requests that are accepted in each period of so many seconds
    retry_after: float | None = None
    reply_time: float = 0.003  # of a refusal


Tokens = Callable[[random.Random], float]


def equal_lengths(rng: random.Random) -> float:
    return 1.0


@dataclass
class World:
    """An endless run against a server. ``at`` has changes of the server's fields by time."""

    server: Server
    controller: LimitController
    tokens: Tokens = equal_lengths
    noise: float = 0.0  # standard deviation of a request's work, relative to its length
    sway: float = 0.0  # of the pace, which changes about once a second for all requests
    metrics: bool = False
    at: Sequence[tuple[float, Mapping[str, object]]] = field(default_factory=list)
    timeout: float = 120.0
    demand: int = 10**9  # requests that the client could have in flight
    jobs: bool = True  # the engine's bound of the requests in flight, waiting and backing off
    seed: int = 1

    def __post_init__(self) -> None:
        self.rng, self.chance = random.Random(self.seed), random.Random(-self.seed - 1)
        self.admission = Admission(self.controller)
        self.now = self.virtual = 0.0
        self.slowness = 1.0
        self.order = 0
        self.running: list[tuple[float, int, Permit, float, float]] = []
        self.waiting: deque[tuple[Permit, float, float]] = deque()
        self.refusing: list[tuple[float, int, Permit, int]] = []
        self.back_off: list[tuple[float, int]] = []  # the moment of the next attempt, and earlier refusals
        self.again: deque[int] = deque()  # retries that wait for a permit, by earlier refusals
        self.sent: list[float] = []
        self.answers: list[float] = []
        self.refusals: list[float] = []
        self.levels: list[tuple[float, int]] = []
        self.most_waiting = 0
        self.window_start, self.window_used = 0.0, 0
        self.changes = deque(sorted(self.at, key=lambda change: change[0]))

    @property
    def in_use(self) -> int:
        return self.admission.in_use

    def run(self, seconds: float) -> World:
        next_report, turn = 0.5, 0.0
        while self.now < seconds:
            self._send()
            moments = [self._next_end(), seconds]
            moments += [entries[0][0] for entries in (self.back_off, self.refusing) if entries]
            if self.changes:
                moments.append(self.changes[0][0])
            if self.metrics:
                moments.append(next_report)
            if self.sway:
                moments.append(turn)
            if self._has_demand():
                moments.append(self.now + max(1e-6, self.admission.seconds_to_wait(self.now)))
            self._advance(min(moments))
            if self.sway and self.now >= turn:
                turn += self.rng.expovariate(1.0)
                self.slowness = self.rng.lognormvariate(0.0, self.sway)
            if self.metrics and self.now >= next_report:
                next_report += 0.5
                self._report_metrics()
            if self.changes and self.now >= self.changes[0][0]:
                for name, value in self.changes.popleft()[1].items():
                    setattr(self.server, name, value)
                self._fill()
            while self.back_off and self.back_off[0][0] <= self.now:
                self.again.append(heapq.heappop(self.back_off)[1])
                self.admission.backing_off -= 1
            self._refuse()
            self._finish()
            self._time_out()
        return self

    def _step_time(self) -> float:
        return self.slowness * (self.server.pace + self.server.load * len(self.running))

    def _next_end(self) -> float:
        if self.server.hangs or not self.running:
            first = min((permit.since for _, _, permit, _, _ in self.running), default=float("inf"))
            return first + self.timeout
        return self.now + max(0.0, self.running[0][0] - self.virtual) * self._step_time()

    def _advance(self, moment: float) -> None:
        if not self.server.hangs and self.running:
            self.virtual += (moment - self.now) / self._step_time()
        self.now = moment

    def _send(self) -> None:
        """Requests that wait are woken one after the other, and are sent when all are awake."""
        woken = list[int]()
        while self._has_demand() and self.admission.seconds_to_wait(self.now) <= 0:
            woken.append(self.admission.take(self.now))
        for in_use in woken:
            earlier = self.again.popleft() if self.again else 0
            permit = self.admission.start(in_use, self.now)
            self.sent.append(self.now)
            self.order += 1
            if self._is_refused():
                end = self.now + self.server.reply_time * self.chance.uniform(0.7, 1.5)
                heapq.heappush(self.refusing, (end, self.order, permit, earlier))
                continue
            tokens = self.tokens(self.rng)
            work = tokens * max(0.05, self.rng.gauss(1.0, self.noise))
            self.waiting.append((permit, tokens, work))
            self._fill()
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if not self.levels or self.levels[-1][1] != self.admission.permits:
            self.levels.append((self.now, self.admission.permits))

    def _has_demand(self) -> bool:
        jobs = task_limit(self.admission.permits, len(self.back_off)) if self.jobs else 10**9
        return self.in_use + len(self.back_off) < min(self.demand, jobs)

    def _is_refused(self) -> bool:
        server = self.server
        if self.chance.random() < server.refusals:
            return True
        if server.softness and self.chance.random() < server.softness * (len(self.running) / server.slots) ** 2:
            return True
        if server.queue is not None and len(self.running) >= server.slots and len(self.waiting) >= server.queue:
            return True
        if server.window is not None:
            allowed, period = server.window
            if self.now >= self.window_start + period:
                self.window_start, self.window_used = self.now - self.now % period, 0
            self.window_used += 1
            return self.window_used > allowed
        return False

    def _refuse(self) -> None:
        """The client waits as after a real refusal: Retry-After, or twice as long each time, with jitter."""
        while self.refusing and self.refusing[0][0] <= self.now:
            _, _, permit, earlier = heapq.heappop(self.refusing)
            self.refusals.append(self.now)
            retry_after = self.server.retry_after
            self.admission.record_refusal(permit, retry_after, "503", self.now)
            self.admission.release(permit)
            if retry_after is None:
                wait = self.chance.uniform(0, min(30.0, 0.5 * 2.0**earlier))
            else:
                wait = retry_after + self.chance.uniform(0, 0.5)
            heapq.heappush(self.back_off, (self.now + wait, earlier + 1))
            self.admission.backing_off += 1

    def _fill(self) -> None:
        while self.waiting and len(self.running) < self.server.slots:
            permit, tokens, work = self.waiting.popleft()
            self.order += 1
            heapq.heappush(self.running, (self.virtual + work, self.order, permit, tokens, work))

    def _finish(self) -> None:
        while self.running and not self.server.hangs and self.running[0][0] <= self.virtual + 1e-9:
            _, _, permit, tokens, _ = heapq.heappop(self.running)
            self.answers.append(self.now)
            self.admission.release(permit)
            self.admission.record_answer(permit, round(tokens * 100), self.now)
            self._fill()
            self._send()

    def _time_out(self) -> None:
        late = [item for item in self.running if self.now - item[2].since >= self.timeout - 1e-9]
        if not late:
            return
        self.running = [item for item in self.running if item not in late]
        heapq.heapify(self.running)
        for _, _, permit, _, _ in late:
            self.admission.record_timeout(permit, self.now)
            self.admission.release(permit)
        self._fill()

    def _report_metrics(self) -> None:
        running = len(self.running)
        metrics = ServerMetrics(
            running, len(self.waiting), running / self.server.slots if self.server.slots < 10**6 else 0.1
        )
        self.admission.record_metrics(metrics, self.now)

    def rate(self, since: float, until: float) -> float:
        """Answers per second."""
        return sum(since <= moment < until for moment in self.answers) / (until - since)

    def largest_burst(self, since: float, until: float) -> int:
        """The most requests that were sent at one moment."""
        return max(Counter(moment for moment in self.sent if since <= moment < until).values(), default=0)

    def refused_share(self, since: float, until: float) -> float:
        refused = sum(since <= moment < until for moment in self.refusals)
        return refused / max(1, refused + sum(since <= moment < until for moment in self.answers))

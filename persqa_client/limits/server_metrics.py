"""What a vLLM server says of itself at /metrics: read, and polled while a run goes on. Asks by a given function."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from persqa_client.errors import AttemptError

POLL_EVERY = 0.5
MISSES = 5
"""So many failing looks in a row, and nobody looks any more."""
FULL = 0.98
"""Of the KV cache."""
LOOKS = 4
"""So many looks make a mean: one alone may have caught a batch about to be served."""

LINE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|gpu_cache_usage_perc"
    rb"|admission_rejections(?:_total)?)(?:\{([^}\n]*)\})? ([0-9.eE+-]+)",
    re.MULTILINE,
)
MODEL = re.compile(rb'(?:^|,)\s*model_name="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """A look at the server. Requests whose pictures are still being prepared there are in none of the counts."""

    running: float
    waiting: float
    kv_usage: float = 0.0
    """0 to 1; of several engines the fullest."""
    rejections: float = 0.0
    """Since the server's start."""

    def foreign(self, own: int) -> bool:
        """Whether much of what is there is not ours, so that its queue is not ours to shorten."""
        return self.running + self.waiting > 1.5 * own + 4


@dataclass(slots=True)
class Queue:
    """What the looks under one limit have in common."""

    looks: int = 0
    waiting: float = 0.0
    full: bool = False
    """Whether the last look found no room: caches full, or requests rejected since the look before."""
    rejections: float | None = None

    def add(self, gauges: ServerMetrics) -> None:
        """A look; the first is left out of the mean, for its queue was another limit's."""
        rejected = self.rejections is not None and gauges.rejections > self.rejections
        self.full = rejected or gauges.kv_usage >= FULL
        self.rejections = gauges.rejections
        self.waiting += gauges.waiting if self.looks else 0.0
        self.looks += 1

    @property
    def mean(self) -> float | None:
        """How many waited on average; None before there were enough looks to tell."""
        return self.waiting / (self.looks - 1) if self.looks >= LOOKS else None

    def anew(self) -> Queue:
        """For another limit."""
        return Queue(rejections=self.rejections)


def read_gauges(text: bytes, model: str) -> ServerMetrics | None:
    """The gauges of one model, summed over engines; None where the text has none of vLLM's.

    A model may go by a name here that its requests don't use (an adapter, a second name): then all are taken.
    """
    lines = [(name, MODEL.search(labels), float(value)) for name, labels, value in LINE.findall(text)]
    own = [line for line in lines if line[1] is not None and line[1][1].decode("utf-8", "replace") == model]
    found: dict[bytes, list[float]] = {}
    for name, _, value in own or lines:
        found.setdefault(name, []).append(value)
    if b"num_requests_running" not in found or b"num_requests_waiting" not in found:
        return None
    return ServerMetrics(
        running=sum(found[b"num_requests_running"]),
        waiting=sum(found[b"num_requests_waiting"]),
        kv_usage=max([*found.get(b"kv_cache_usage_perc", []), *found.get(b"gpu_cache_usage_perc", [])], default=0.0),
        rejections=sum(found.get(b"admission_rejections_total", found.get(b"admission_rejections", []))),
    )


async def poll_metrics(
    get: Callable[[str], Awaitable[tuple[int, bytes]]],
    url: str,
    model: str,
    tell: Callable[[ServerMetrics], None],
    wanted: Callable[[], bool] = lambda: True,
    *,
    every: float = POLL_EVERY,
) -> None:
    """Looks again and again, while it is wanted, until it is cancelled; ends by itself where there is nothing to see.

    A server that is away for a while is looked at again, unless it was never seen.
    """
    misses, seen = 0, False
    while seen or misses < MISSES:
        await asyncio.sleep(every * (1 + min(misses, 9)))
        if not wanted():
            continue
        gauges, gone = await _look(get, url, model)
        if gone:
            return
        misses = misses + 1 if gauges is None else 0
        if gauges is not None:
            seen = True
            tell(gauges)


async def _look(
    get: Callable[[str], Awaitable[tuple[int, bytes]]], url: str, model: str
) -> tuple[ServerMetrics | None, bool]:
    """The gauges, where they could be had, and whether it is clear that there are none."""
    try:
        status, text = await get(url)
    except AttemptError:
        return None, False
    gauges = read_gauges(text, model) if status == 200 else None
    return gauges, gauges is None and status < 500

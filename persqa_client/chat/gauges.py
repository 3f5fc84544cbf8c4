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

LINE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|gpu_cache_usage_perc"
    rb"|admission_rejections(?:_total)?)(?:\{([^}\n]*)\})? ([0-9.eE+-]+)",
    re.MULTILINE,
)
MODEL = re.compile(rb'(?:^|,)\s*model_name="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Gauges:
    """A look at the server. Requests whose pictures are still being prepared there are in none of the counts."""

    running: float
    waiting: float
    kv_usage: float = 0.0
    """0 to 1; of several engines the fullest."""
    rejections: float = 0.0
    """Since the server's start."""


def read_gauges(text: bytes, model: str) -> Gauges | None:
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
    return Gauges(
        running=sum(found[b"num_requests_running"]),
        waiting=sum(found[b"num_requests_waiting"]),
        kv_usage=max([*found.get(b"kv_cache_usage_perc", []), *found.get(b"gpu_cache_usage_perc", [])], default=0.0),
        rejections=sum(found.get(b"admission_rejections_total", found.get(b"admission_rejections", []))),
    )


async def poll(
    get: Callable[[str], Awaitable[tuple[int, bytes]]],
    url: str,
    model: str,
    tell: Callable[[Gauges], None],
    *,
    every: float = POLL_EVERY,
) -> None:
    """Looks again and again until it is cancelled; ends by itself where there is nothing to see.

    A server that is away for a while is looked at again, unless it was never seen.
    """
    misses, seen = 0, False
    while seen or misses < MISSES:
        try:
            status, text = await get(url)
        except AttemptError:
            misses += 1
        else:
            gauges = read_gauges(text, model) if status == 200 else None
            if gauges is None and status < 500:
                return
            if gauges is not None:
                misses, seen = 0, True
                tell(gauges)
        await asyncio.sleep(every * (1 + min(misses, 9)))

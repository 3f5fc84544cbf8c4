"""Polls the load of a vLLM server at /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import isfinite

from persqa_client.errors import AttemptError

POLL_INTERVAL = 0.5
MAX_FAILED_POLLS = 5  # consecutive, before any success
MAX_INTERVALS = 10  # longest interval after failed polls, as a multiple
FULL_KV_CACHE = 0.98
EMPTY_QUEUE = 0.5  # mean number of waiting requests; some wait for the next step of the engine
MIN_SAMPLES = 4  # a single sample may date from just before a batch was scheduled

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
KV_CACHE_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")  # the second name is used by older versions
REJECTIONS = ("vllm:admission_rejections_total", "vllm:admission_rejections")
METRIC_NAMES = (RUNNING, WAITING, *KV_CACHE_USAGE, *REJECTIONS)


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """Load summed over engines, without requests whose images are being preprocessed."""

    running: float
    waiting: float
    kv_usage: float = 0.0  # share of the KV cache in use at the fullest engine
    rejections: float = 0.0  # number since the server's start

    def is_shared(self, own_requests: int) -> bool:
        """Whether other clients cause much of the load."""
        return self.running + self.waiting > 1.5 * own_requests + 4

    def of(self, own_requests: int) -> ServerMetrics:
        """The load by a client with this many requests, whose share of what waits is that of all requests."""
        share = min(1.0, own_requests / max(1.0, self.running + self.waiting))
        return replace(self, running=share * self.running, waiting=share * self.waiting)


@dataclass(slots=True)
class QueueSamples:
    """Metrics under one limit."""

    count: int = 0
    waiting: float = 0.0
    running: float = 0.0
    full: bool = False  # in the last sample: KV cache full, or new rejections
    rejections: float | None = None

    def add(self, metrics: ServerMetrics) -> None:
        rejected = self.rejections is not None and metrics.rejections > self.rejections
        self.full = rejected or metrics.kv_usage >= FULL_KV_CACHE
        self.rejections = metrics.rejections
        # The first sample is left out: its queue is from the previous limit.
        if self.count:
            self.waiting += metrics.waiting
            self.running += metrics.running
        self.count += 1

    @property
    def mean(self) -> float | None:
        """Mean queue; None before MIN_SAMPLES."""
        return self.waiting / (self.count - 1) if self.count >= MIN_SAMPLES else None

    def absorbs(self, added: int, before: QueueSamples) -> bool:
        """Whether the server works on most of the ``added`` requests at once, compared with ``before``."""
        count, earlier = self.count - 1, before.count - 1
        if added <= 0 or count < 1 or earlier < 1 or self.full or self.waiting > EMPTY_QUEUE * count:
            return False
        return self.running / count - before.running / earlier > added / 2


def parse_metrics(text: bytes, model: str) -> ServerMetrics | None:
    """Parses Prometheus' text format; None without vLLM's metrics. Counts all models if ``model`` is not listed."""
    # Imported here, so that a run at a server without such a page starts earlier.
    from prometheus_client.parser import text_string_to_metric_families

    # Parsing a whole page of vLLM (83 KB) takes 38 ms, these lines 0.5 ms.
    lines = [line for line in text.decode("utf-8", "replace").split("\n") if line.startswith(METRIC_NAMES)]
    try:
        families = text_string_to_metric_families("\n".join(lines))
        samples = [
            sample
            for family in families
            for sample in family.samples
            if sample.name in METRIC_NAMES and isfinite(sample.value)
        ]
    except ValueError:
        return None
    # Adapters and aliases are not listed under their own names.
    own = [sample for sample in samples if sample.labels.get("model_name") == model]
    values: dict[str, list[float]] = {}
    for sample in own or samples:
        values.setdefault(sample.name, []).append(sample.value)
    if RUNNING not in values or WAITING not in values:
        return None
    return ServerMetrics(
        running=sum(values[RUNNING]),
        waiting=sum(values[WAITING]),
        kv_usage=max((value for name in KV_CACHE_USAGE for value in values.get(name, [])), default=0.0),
        rejections=sum(next((values[name] for name in REJECTIONS if name in values), [])),
    )


class MetricsPoller:
    """Polls ``url`` in the background while ``is_active()``, until it is clear that there are no metrics.

    ``get`` returns status and body.
    """

    def __init__(
        self,
        get: Callable[[str], Awaitable[tuple[int, bytes]]],
        url: str,
        model: str,
        on_metrics: Callable[[ServerMetrics], None],
        is_active: Callable[[], bool],
        *,
        interval: float = POLL_INTERVAL,
    ) -> None:
        self._get = get
        self._url = url
        self._model = model
        self._on_metrics = on_metrics
        self._is_active = is_active
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Does nothing if it was called before."""
        if self._task is None:
            self._task = asyncio.create_task(self.poll())

    async def poll(self) -> None:
        failures, reported = 0, False
        while reported or failures < MAX_FAILED_POLLS:
            await asyncio.sleep(self._interval * min(failures + 1, MAX_INTERVALS))
            if not self._is_active():
                continue
            try:
                status, text = await self._get(self._url)
            except AttemptError:
                failures += 1
                continue
            metrics = parse_metrics(text, self._model) if status == 200 else None
            if metrics is not None:
                failures, reported = 0, True
                self._on_metrics(metrics)
            elif status >= 500:
                failures += 1
            else:
                return

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

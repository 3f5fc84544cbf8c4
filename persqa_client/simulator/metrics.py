"""Counters of a simulated endpoint, for /sim/stats and /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cachetools import LRUCache

# Number of answered requests kept for detecting repeats (190 bytes each).
REMEMBERED_REQUESTS = 2_000_000

# Type and help text of vLLM's metrics.
METRICS = {
    "num_requests_running": ("gauge", "Number of requests in model execution batches."),
    "num_requests_waiting": ("gauge", "Number of requests waiting to be processed."),
    "kv_cache_usage_perc": ("gauge", "KV-cache usage. 1 means 100 percent usage."),
    "prompt_tokens_total": ("counter", "Number of prefill tokens processed."),
    "generation_tokens_total": ("counter", "Number of generation tokens processed."),
    "mm_cache_hits_total": ("counter", "Multi-modal cache hits, in terms of number of queried items."),
    "admission_rejections_total": ("counter", "Number of admission attempts rejected by a queue limit, by reason."),
}


class RequestCounts:
    def __init__(self) -> None:
        self.requests = 0
        self.answered = 0
        self.bytes_in = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.repeats = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.admission_rejections = 0
        self.by_status: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
        self.answered_keys: LRUCache[int, bool] = LRUCache(REMEMBERED_REQUESTS)

    @contextmanager
    def track_request(self) -> Iterator[None]:
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def count_answer(self, key: int, prompt_tokens: int, completion_tokens: int) -> None:
        self.answered += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if self.answered_keys.get(key):
            self.repeats += 1
        else:
            self.answered_keys[key] = True

    def stats(self) -> dict[str, Any]:
        """Body of /sim/stats. ``refused``: status of 400 or more."""
        by_status = dict(self.by_status)
        return {
            "requests": self.requests,
            "answered": self.answered,
            "refused": sum(count for status, count in by_status.items() if int(status) >= 400),
            "repeats": self.repeats,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "bytes_in": self.bytes_in,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "admission_rejections": self.admission_rejections,
            "by_status": by_status,
            "by_fault": dict(self.by_fault),
        }


def format_metrics(values: dict[str, float], model: str) -> str:
    lines = []
    for name, value in values.items():
        kind, description = METRICS[name]
        label = f'model_name="{escape_label(model)}"'
        rejections = name == "admission_rejections_total"
        labels = f'{label},reason="max_num_queued_reqs"' if rejections else f'engine="0",{label}'
        lines += [
            f"# HELP vllm:{name} {description}",
            f"# TYPE vllm:{name} {kind}",
            f"vllm:{name}{{{labels}}} {float(value)}",
        ]
    return "\n".join(lines) + "\n"


def escape_label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

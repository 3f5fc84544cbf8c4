"""What an endpoint counts: for /metrics as vLLM words it, and for /sim/stats. Pure but for its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from persqa_client.simulator.lru import Memory

KEYS = 2_000_000
"""Answered (pictures, question) keys that are remembered at most; the older half goes first."""

HELP = {
    "num_requests_running": ("gauge", "Number of requests in model execution batches."),
    "num_requests_waiting": ("gauge", "Number of requests waiting to be processed."),
    "kv_cache_usage_perc": ("gauge", "KV-cache usage. 1 means 100 percent usage."),
    "prompt_tokens_total": ("counter", "Number of prefill tokens processed."),
    "generation_tokens_total": ("counter", "Number of generation tokens processed."),
    "mm_cache_hits_total": ("counter", "Multi-modal cache hits, in terms of number of queried items."),
    "admission_rejections_total": ("counter", "Number of admission attempts rejected by a queue limit, by reason."),
}


class Counts:
    """The counters of one endpoint; all of them of chat requests."""

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
        self.keys = Memory[int, bool](KEYS)

    @contextmanager
    def flight(self) -> Iterator[None]:
        """Count a request as being in flight."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def answer(self, key: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a completion. ``key`` stands for its pictures and its question."""
        self.answered += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if self.keys.get(key):
            self.repeats += 1
        else:
            self.keys.put(key, True)

    def stats(self) -> dict[str, Any]:
        """A copy of the counts, as /sim/stats gives them. ``refused`` counts answers of status 400 and above."""
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
    """Prometheus' text format (version 0.0.4) of the metrics that are named in HELP, under vLLM's names."""
    lines = []
    for name, value in values.items():
        kind, words = HELP[name]
        lines.append(f"# HELP vllm:{name} {words}")
        lines.append(f"# TYPE vllm:{name} {kind}")
        label = f'model_name="{escaped(model)}"'
        labels = (
            f'{label},reason="max_num_queued_reqs"' if name == "admission_rejections_total" else f'engine="0",{label}'
        )
        lines.append(f"vllm:{name}{{{labels}}} {float(value)}")
    return "\n".join(lines) + "\n"


def escaped(label: str) -> str:
    """A label's value as the text format wants it."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""``--concurrency auto`` beside the best fixed number, at a changing capacity, and with refusals at random."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benches.common import (
    SIMULATED_MODEL,
    TINY_MODEL,
    Figure,
    fetch,
    has_tiny_vllm,
    persqa,
    run_process,
    run_simulator,
    run_tiny_vllm,
    sum_counter,
    wait_for_health,
    write_new_rows,
)

TINY_PORT = 8017
RATE_BAR, REJECTED_BAR, CAPACITY_BAR = 0.85, 0.05, 0.85

# Fixed numbers to compare with, for a server that queues 8 requests at most.
CANDIDATES = (4, 6, 8, 10, 12, 16, 24, 32, 64)

# Seconds after which rejections count.
WARM_UP = 10.0

# Stages of the changing capacity: seconds, and slots.
STAGES = ((60, 8), (60, 64), (60, 16))
LATENCY = 0.5

# Refusals at random: a server of 64 slots that answers in 0.2 s, and its flags. Seconds of a run after the warm-up.
NOISE_SLOTS, NOISE_LATENCY, NOISE_SECONDS, NOISE_BAR = 64, 0.2, 30.0, 0.85
NOISE = {
    "5 % of 503": ("--fault", "503=0.05"),
    "5 % of 429, Retry-After 0.05": ("--fault", "429=0.05", "--retry-after", "0.05"),
    "10 % of 429, Retry-After 0.05": ("--fault", "429=0.1", "--retry-after", "0.05"),
}
NAIVE = "naive"

# Duration and target of runs on a tiny vLLM without a limited queue, including the ramp.
SHORT_SECONDS, SHORT_BAR = 30.0, 0.9

# No run here is faster.
MAX_ROWS_PER_SECOND = 140


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """Requests that a server has answered and rejected up to ``moment``."""

    moment: float
    answered: float
    rejected: float

    def rate_since(self, other: ServerCounts) -> float:
        """Answers per second."""
        return (self.answered - other.answered) / (self.moment - other.moment)

    def rejected_share_since(self, other: ServerCounts) -> float:
        rejected = self.rejected - other.rejected
        return rejected / max(1.0, rejected + self.answered - other.answered)


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run: rows per second, share of rejected requests after the warm-up, rows lost."""

    rate: float
    rejected: float
    lost: int


def measure(folder: Path, *, seconds: float = 60.0) -> Iterator[Figure]:
    """TINY_VLLM_URL may name a tiny vLLM with ``--max-num-queued-reqs 8``; otherwise one is started."""
    yield from measure_changing_capacity(folder)
    yield from measure_noise(folder)
    if (url := os.environ.get("TINY_VLLM_URL")) is not None:
        yield from compare_with_fixed(url, folder, seconds)
        return
    if not has_tiny_vllm():
        return
    with run_tiny_vllm(TINY_PORT, "--max-num-queued-reqs", "8") as (url, _):
        wait_for_health(url)
        yield from compare_with_fixed(url, folder, seconds)
    with run_tiny_vllm(TINY_PORT) as (url, _):
        wait_for_health(url)
        yield compare_short_runs(url, folder)


def measure_changing_capacity(folder: Path) -> Iterator[Figure]:
    """Rows answered, as a share of those that the simulator's slots allow."""
    length = sum(seconds for seconds, _ in STAGES)
    possible = sum(seconds * slots for seconds, slots in STAGES) / LATENCY
    changes: list[str] = []
    start = 0
    for (seconds, _), (_, slots) in pairwise(STAGES):
        start += seconds
        changes += ["--slots-at", f"{start}={slots}"]
    for shape, source in (("vllm", "with /metrics"), ("hosted", "by latency alone")):
        with run_simulator("--slots", STAGES[0][1], *changes, "--latency", LATENCY, "--shape", shape) as (url, _):
            result = measure_run(url, SIMULATED_MODEL, folder, "auto", length)
        share = result.rate * length / possible
        what = f"rows of those that 8, 64, then 16 slots allow, {source}"
        yield Figure(what, f"{share:.2f}", f"≥ {CAPACITY_BAR}", share >= CAPACITY_BAR)


def measure_noise(folder: Path) -> Iterator[Figure]:
    """Answers per second where requests are refused whatever the load, interleaved with the naive client."""
    rows = write_new_rows(folder, round(1.2 * (WARM_UP + NOISE_SECONDS) * NOISE_SLOTS / NOISE_LATENCY))
    possible = NOISE_SLOTS / NOISE_LATENCY
    for what, flags in NOISE.items():
        rates: dict[str, list[float]] = {"auto": [], str(NOISE_SLOTS): [], NAIVE: []}
        for _ in range(3):
            for client, measured in rates.items():
                with run_simulator("--slots", NOISE_SLOTS, "--latency", NOISE_LATENCY, *flags) as (url, _):
                    measured.append(measure_after_warm_up(url, rows, folder, client))
        medians = {client: statistics.median(measured) for client, measured in rates.items()}
        naive = medians.pop(NAIVE)
        for client, rate in medians.items():
            value = f"{rate / possible:.2f} ({rate:.0f}/s; the naive client {naive:.0f}/s)"
            met = rate >= NOISE_BAR * possible and rate >= naive
            yield Figure(f"{what}: answers of slots ÷ latency, --concurrency {client}", value, f"≥ {NOISE_BAR}", met)


def measure_after_warm_up(url: str, rows: Path, folder: Path, client: str) -> float:
    """Answers per second by the server's count. ``client``: a concurrency, or ``naive``."""
    command: tuple[str | Path, ...] = (sys.executable, Path(__file__).parent / "naive_client.py", url, SIMULATED_MODEL)
    if client == NAIVE:
        command = (*command, rows, str(NOISE_SLOTS))
    else:
        command = persqa("run", rows, "-o", folder / "noise.jsonl", "--fresh", "--base-url", url, "--no-probes")
        command = (*command, "--model", SIMULATED_MODEL, "--concurrency", client)
    with run_process(*command, stdout=subprocess.DEVNULL) as process:
        while not read_counts(url).answered:
            assert process.poll() is None, "the client ended before its first answer"
            time.sleep(0.02)
        time.sleep(WARM_UP)
        warm = read_counts(url)
        time.sleep(NOISE_SECONDS)
        return read_counts(url).rate_since(warm)


def compare_with_fixed(url: str, folder: Path, seconds: float) -> list[Figure]:
    """Find the best two fixed numbers in short runs, then alternate them with ``auto`` in long runs."""
    measure_run(url, TINY_MODEL, folder, "8", 15)
    short = {number: measure_run(url, TINY_MODEL, folder, str(number), 20).rate for number in CANDIDATES}
    finalists = sorted(CANDIDATES, key=lambda number: -short[number])[:2]
    fixed: dict[int, list[float]] = {number: [] for number in finalists}
    auto: list[RunResult] = []
    for _ in range(3):
        for number in finalists:
            fixed[number].append(measure_run(url, TINY_MODEL, folder, str(number), seconds).rate)
        auto.append(measure_run(url, TINY_MODEL, folder, "auto", seconds))
    best = max(finalists, key=lambda number: statistics.median(fixed[number]))
    best_rate, rate = statistics.median(fixed[best]), statistics.median(run.rate for run in auto)
    rejected, lost = statistics.median(run.rejected for run in auto), sum(run.lost for run in auto)
    what = f"rows/s of the best fixed concurrency ({best})"
    value = f"{rate / best_rate:.2f} ({rate:.1f} / {best_rate:.1f})"
    few = rejected < REJECTED_BAR
    return [
        Figure(what, value, f"≥ {RATE_BAR}", rate >= RATE_BAR * best_rate),
        Figure("requests refused after ten seconds", f"{rejected:.1%}", f"< {REJECTED_BAR:.0%}", few),
        Figure("rows lost to refusals", str(lost), "0", lost == 0),
    ]


def compare_short_runs(url: str, folder: Path) -> Figure:
    """Runs from their first row on, so that the time until ``auto`` has found its limit counts."""
    measure_run(url, TINY_MODEL, folder, "8", WARM_UP)
    rates: dict[str, list[float]] = {number: [] for number in ("16", "auto", "24", "32")}
    for _ in range(3):
        for number, measured in rates.items():
            measured.append(measure_run(url, TINY_MODEL, folder, number, SHORT_SECONDS).rate)
    medians = {number: statistics.median(measured) for number, measured in rates.items()}
    rate = medians.pop("auto")
    best = max(medians, key=lambda number: medians[number])
    what = f"first {SHORT_SECONDS:.0f} s without a limited queue: rows/s of the best fixed concurrency ({best})"
    value = f"{rate / medians[best]:.2f} ({rate:.1f} / {medians[best]:.1f})"
    return Figure(what, value, f"≥ {SHORT_BAR}", rate >= SHORT_BAR * medians[best])


def measure_run(url: str, model: str, folder: Path, concurrency: str, seconds: float) -> RunResult:
    """Measure a run by the server's counts, from its first row until it is stopped after some seconds.

    Raises RuntimeError if the run ends earlier: its rate would be that of fewer seconds.
    """
    rows, output = write_new_rows(folder, int(MAX_ROWS_PER_SECOND * seconds)), folder / "out.jsonl"
    command = persqa("run", rows, "-o", output, "--fresh", "--base-url", url, "--model", model, "--max-tokens", "64")
    # A model with random weights writes a sentence only under a constraint, which needs the probes.
    probes = () if model == TINY_MODEL else ("--no-probes",)
    (details := folder / "out.details.jsonl.partial").unlink(missing_ok=True)
    with run_process(*command, *probes, "--concurrency", concurrency, stdout=subprocess.DEVNULL) as process:
        while not details.exists() or not details.stat().st_size:
            require_running(process, "before its first row")
            time.sleep(0.02)
        first = read_counts(url)
        time.sleep(min(WARM_UP, seconds / 2))
        warm = read_counts(url)
        time.sleep(max(0.0, first.moment + seconds - time.monotonic()))
        last = read_counts(url)
        require_running(process, f"before {seconds:g} seconds were measured")
    partial = folder / "out.failed.jsonl.partial"
    codes = [json.loads(line)["error"]["code"] for line in partial.read_text().splitlines()] if partial.exists() else []
    busy = sum(code == "busy" for code in codes)
    return RunResult(last.rate_since(first), last.rejected_share_since(warm), busy)


def require_running(process: subprocess.Popen[str], when: str) -> None:
    if (code := process.poll()) is not None:
        raise RuntimeError(f"The run ended {when}, with exit code {code}.")


def read_counts(url: str) -> ServerCounts:
    """By /sim/stats of a simulator or /metrics of vLLM."""
    root = url.removesuffix("/v1")
    try:
        stats = json.loads(fetch(f"{root}/sim/stats"))
    except OSError:
        text = fetch(f"{root}/metrics").decode()
        answered, rejected = sum_counter(text, "request_success"), sum_counter(text, "admission_rejections")
        return ServerCounts(time.monotonic(), answered, rejected)
    return ServerCounts(time.monotonic(), stats["answered"], stats["refused"])

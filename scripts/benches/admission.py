"""Whether ``--concurrency auto`` finds what a server can use: beside the best fixed number, and as capacity changes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benches.common import Figure, persqa, write_rows

TINY_MODEL, SIMULATED = "Qwen/Qwen2.5-VL-3B-Instruct", "persqa-simulator"
TINY_SCRIPT = Path(__file__).parents[2] / "tests" / "live" / "tiny_vllm" / "serve.sh"
TINY_HOME = Path(os.environ.get("TINY_VLLM_HOME", Path.home() / ".cache" / "tiny-vllm"))
TINY_PORT = 8017
RATE_BAR, REFUSED_BAR, CAPACITY_BAR = 0.85, 0.05, 0.85
CANDIDATES = (4, 6, 8, 10, 12, 16, 24, 32, 64)
"""Fixed numbers among which the best is looked for, for a server that queues 8 at most."""
SETTLED = 10.0
"""Seconds after which refusals count."""
STAGES = ((60, 8), (60, 64), (60, 16))
"""Seconds, and the slots that there are for so long."""
LATENCY = 0.5
ROWS_A_SECOND = 140
"""No run here is faster."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a server has answered and refused up to a moment."""

    moment: float
    answered: float
    refused: float

    def rate_since(self, other: Count) -> float:
        return (self.answered - other.answered) / (self.moment - other.moment)

    def refused_since(self, other: Count) -> float:
        refused = self.refused - other.refused
        return refused / max(1.0, refused + self.answered - other.answered)


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: rows a second, the share of requests that were refused once it had settled, rows lost."""

    rate: float
    refused: float
    lost: int


def measure(folder: Path, *, seconds: float = 60.0) -> list[Figure]:
    """TINY_VLLM_URL may name a tiny vLLM that was started with ``--max-num-queued-reqs 8``; else one is started."""
    figures = list(capacity(folder))
    if (url := os.environ.get("TINY_VLLM_URL")) is not None:
        return [*figures, *beside_the_best(url, folder, seconds)]
    if not (TINY_HOME / "ready").exists():
        print("No tiny vLLM is installed: the figures with it are left out.", file=sys.stderr)
        return figures
    with tiny_vllm() as url:
        return [*figures, *beside_the_best(url, folder, seconds)]


def new_rows(folder: Path, count: int) -> Path:
    """Rows of small pictures that no server has seen, so that none comes from its caches."""
    from PIL import Image

    rng = random.Random(time.time_ns())
    smooth = Image.frombytes("RGB", (8, 8), rng.randbytes(192)).resize((224, 224))
    (folder / "small").mkdir(parents=True, exist_ok=True)
    paths = [folder / "small" / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        picture = smooth.copy()
        picture.paste(Image.frombytes("RGB", (16, 16), rng.randbytes(768)), (96, 96))
        picture.save(path, "JPEG", quality=85)
    return write_rows(folder / "rows.jsonl", paths)


def capacity(folder: Path) -> Iterator[Figure]:
    """A simulator whose slots change: rows answered beside those that its slots allow."""
    length = sum(seconds for seconds, _ in STAGES)
    could = sum(seconds * slots for seconds, slots in STAGES) / LATENCY
    for shape, sight in (("vllm", "with /metrics"), ("hosted", "by latency alone")):
        with simulator(shape) as url:
            seen = timed(url, SIMULATED, folder, "auto", length)
        share = seen.rate * length / could
        what = f"rows of those that 8, 64, then 16 slots allow, {sight}"
        yield Figure(what, f"{share:.2f}", f"≥ {CAPACITY_BAR}", share >= CAPACITY_BAR)


@contextmanager
def simulator(shape: str) -> Iterator[str]:
    changes, passed = [], 0
    for (seconds, _), (_, slots) in pairwise(STAGES):
        passed += seconds
        changes += ["--slots-at", f"{passed}={slots}"]
    words = persqa("sim", "--slots", str(STAGES[0][1]), *changes, "--latency", str(LATENCY), "--shape", shape)
    with process_of(*words, "--port", "0", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))


@contextmanager
def tiny_vllm() -> Iterator[str]:
    words = (TINY_SCRIPT, str(TINY_PORT), "--max-num-queued-reqs", "8")
    with process_of(*words, stdout=subprocess.DEVNULL):
        url = f"http://127.0.0.1:{TINY_PORT}"
        for _ in range(300):
            time.sleep(1)
            try:
                fetch(f"{url}/health")
                break
            except OSError:
                continue
        yield f"{url}/v1"


@contextmanager
def process_of(*words: str | Path, stdout: int) -> Iterator[subprocess.Popen[str]]:
    """Ended with all that it started."""
    command = [str(word) for word in words]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def beside_the_best(url: str, folder: Path, seconds: float) -> list[Figure]:
    """The best fixed number is looked for in short runs; the best two and auto then take turns in long ones."""
    timed(url, TINY_MODEL, folder, "8", 15)
    quick = {number: timed(url, TINY_MODEL, folder, str(number), 20).rate for number in CANDIDATES}
    finalists = sorted(CANDIDATES, key=lambda number: -quick[number])[:2]
    fixed: dict[int, list[float]] = {number: [] for number in finalists}
    auto: list[Seen] = []
    for _ in range(3):
        for number in finalists:
            fixed[number].append(timed(url, TINY_MODEL, folder, str(number), seconds).rate)
        auto.append(timed(url, TINY_MODEL, folder, "auto", seconds))
    best = max(finalists, key=lambda number: statistics.median(fixed[number]))
    top, rate = statistics.median(fixed[best]), statistics.median(seen.rate for seen in auto)
    refused, lost = statistics.median(seen.refused for seen in auto), sum(seen.lost for seen in auto)
    what, value = f"rows/s of the best fixed concurrency ({best})", f"{rate / top:.2f} ({rate:.1f} / {top:.1f})"
    few = refused < REFUSED_BAR
    return [
        Figure(what, value, f"≥ {RATE_BAR}", rate >= RATE_BAR * top),
        Figure("requests refused after ten seconds", f"{refused:.1%}", f"< {REFUSED_BAR:.0%}", few),
        Figure("rows lost to refusals", str(lost), "0", lost == 0),
    ]


def timed(url: str, model: str, folder: Path, concurrency: str, seconds: float) -> Seen:
    """A run that is stopped so many seconds after its first answer, seen from the server."""
    rows, output = new_rows(folder, int(ROWS_A_SECOND * seconds)), folder / "out.jsonl"
    before = look(url)
    command = persqa("run", rows, "-o", output, "--fresh", "--base-url", url, "--model", model, "--no-probes")
    with process_of(*command, "--concurrency", concurrency, "--max-tokens", "64", stdout=subprocess.DEVNULL) as process:
        while (first := look(url)).answered <= before.answered:
            assert process.poll() is None, "the run ended before it was begun"
            time.sleep(0.02)
        time.sleep(min(SETTLED, seconds / 2))
        settled = look(url)
        time.sleep(max(0.0, first.moment + seconds - time.monotonic()))
        last = look(url)
    partial = folder / "out.failed.jsonl.partial"
    codes = [json.loads(line)["error"]["code"] for line in partial.read_text().splitlines()] if partial.exists() else []
    return Seen(last.rate_since(first), last.refused_since(settled), sum(code == "busy" for code in codes))


def look(url: str) -> Count:
    """By the simulator's counts or vLLM's metrics."""
    root = url.removesuffix("/v1")
    try:
        stats = json.loads(fetch(f"{root}/sim/stats"))
    except OSError:
        text = fetch(f"{root}/metrics").decode()
        return Count(time.monotonic(), total(text, "request_success"), total(text, "admission_rejections"))
    return Count(time.monotonic(), stats["answered"], stats["refused"])


def total(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^vllm:{name}_total\S* (\S+)", text, re.MULTILINE))


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())

"""What a second endpoint brings, and what it costs when one of the two is killed in mid-run."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benches.common import Figure, persqa
from benches.concurrency_limit import SIMULATED, TINY_HOME, TINY_MODEL, TINY_SCRIPT, fetch, new_rows, process_of

SLOTS, LATENCY = 16, 0.2
SHARE_BAR = 1.9
ROWS_SHARED, ROWS_SIMULATED, ROWS_TINY = 4800, 2000, 1200
TINY_PORTS = (8018, 8019)
STARTING = 300

Server = tuple[str, subprocess.Popen[str]]


def measure(folder: Path, *, rounds: int = 3) -> list[Figure]:
    figures = [shared(folder, rounds)]
    with ExitStack() as stack:
        servers = [stack.enter_context(simulator()) for _ in range(2)]
        figures += killed(servers, folder, SIMULATED, ROWS_SIMULATED, "simulators")
    if not (TINY_HOME / "ready").exists():
        print("No tiny vLLM is installed: the figures with it are left out.", file=sys.stderr)
        return figures
    with ExitStack() as stack:
        servers = [stack.enter_context(tiny_vllm(port)) for port in TINY_PORTS]
        for url, _ in servers:
            wait_for(url)
        return figures + killed(servers, folder, TINY_MODEL, ROWS_TINY, "vLLM servers")


@contextmanager
def simulator() -> Iterator[Server]:
    words = persqa("sim", "--slots", str(SLOTS), "--latency", str(LATENCY), "--port", "0")
    with process_of(*words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line))), process


@contextmanager
def tiny_vllm(port: int) -> Iterator[Server]:
    with process_of(TINY_SCRIPT, str(port), stdout=subprocess.DEVNULL) as process:
        yield f"http://127.0.0.1:{port}/v1", process


def wait_for(url: str) -> None:
    for _ in range(STARTING):
        try:
            fetch(f"{url.removesuffix('/v1')}/health")
            return
        except OSError:
            time.sleep(1)
    raise RuntimeError(f"{url} did not come up")


def shared(folder: Path, rounds: int) -> Figure:
    """One server and two take turns; whole commands, start and end included."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    rows = new_rows(folder, ROWS_SHARED)
    for _ in range(rounds):
        for count in rates:
            with ExitStack() as stack:
                urls = [stack.enter_context(simulator())[0] for _ in range(count)]
                began = time.perf_counter()
                with process_of(*command(rows, folder, SIMULATED, urls), stdout=subprocess.DEVNULL) as run:
                    assert run.wait() == 0
                rates[count].append(ROWS_SHARED / (time.perf_counter() - began))
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    value = f"{two / one:.2f} ({two:.0f} / {one:.0f} rows/s)"
    return Figure("two endpoints, times the rows/s of one", value, f"≥ {SHARE_BAR}", two >= SHARE_BAR * one)


def killed(servers: list[Server], folder: Path, model: str, count: int, what: str) -> list[Figure]:
    """``kill -9`` for the second when half of the rows are written."""
    rows, output = new_rows(folder, count), folder / "out.jsonl"
    urls = [url for url, _ in servers]
    with process_of(*command(rows, folder, model, urls), stdout=subprocess.DEVNULL) as run:
        while lines(output.with_name("out.jsonl.partial")) < count // 2:
            assert run.poll() is None, "the run ended before half of it was done"
            time.sleep(0.02)
        os.killpg(servers[1][1].pid, signal.SIGKILL)
        run.wait()
    failed = lines(folder / "out.failed.jsonl")
    lost = count - len({json.loads(line)["id"] for line in output.read_text().splitlines()}) - failed
    told = f"one of two {what} killed at half of {count:,} rows"
    return [
        Figure(f"{told}: lost", str(lost), "0", lost == 0),
        Figure(f"{told}: failed", str(failed), "0", failed == 0),
    ]


def command(rows: Path, folder: Path, model: str, urls: list[str]) -> list[str]:
    endpoints = [word for url in urls for word in ("--base-url", url)]
    words = persqa("run", rows, "-o", folder / "out.jsonl", "--fresh", "--model", model, *endpoints)
    # A model of random weights must be held to the tag, and may end after it: the way is measured, not the words.
    more = ["--extra-body", '{"min_tokens": 16}'] if model == TINY_MODEL else ["--no-probes"]
    return [*map(str, words), *more]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0

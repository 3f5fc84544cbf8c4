"""The gain of a second endpoint, and the loss when one of two is killed during a run."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from benches.common import (
    SIMULATED_MODEL,
    TINY_MODEL,
    Figure,
    has_tiny_vllm,
    persqa,
    run_process,
    run_simulator,
    run_tiny_vllm,
    wait_for_health,
    write_new_rows,
)
from persqa_client.types import ProblemCode

SIMULATOR_FLAGS = ("--slots", 16, "--latency", 0.2)
SHARE_BAR = 1.9
ROWS_SHARED, ROWS_SIMULATED, ROWS_TINY = 4800, 2000, 1200
TINY_PORTS = (8018, 8019)

# Base URL and process.
Server = tuple[str, subprocess.Popen[str]]


def measure(folder: Path, *, rounds: int = 3) -> Iterator[Figure]:
    yield measure_gain(folder, rounds)
    with ExitStack() as stack:
        servers = [stack.enter_context(run_simulator(*SIMULATOR_FLAGS)) for _ in range(2)]
        yield from measure_kill(servers, folder, SIMULATED_MODEL, ROWS_SIMULATED, "simulators")
    if not has_tiny_vllm():
        return
    with ExitStack() as stack:
        servers = [stack.enter_context(run_tiny_vllm(port)) for port in TINY_PORTS]
        for url, _ in servers:
            wait_for_health(url)
        yield from measure_kill(servers, folder, TINY_MODEL, ROWS_TINY, "vLLM servers")


def measure_gain(folder: Path, rounds: int) -> Figure:
    """Alternate whole commands, from start to end, with one server and with two."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    rows = write_new_rows(folder, ROWS_SHARED)
    for _ in range(rounds):
        for count in rates:
            with ExitStack() as stack:
                urls = [stack.enter_context(run_simulator(*SIMULATOR_FLAGS))[0] for _ in range(count)]
                began = time.perf_counter()
                command = make_command(rows, folder, SIMULATED_MODEL, urls)
                with run_process(*command, stdout=subprocess.DEVNULL) as process:
                    assert process.wait() == 0
                rates[count].append(ROWS_SHARED / (time.perf_counter() - began))
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    value = f"{two / one:.2f} ({two:.0f} / {one:.0f} rows/s)"
    return Figure("two endpoints, times the rows/s of one", value, f"≥ {SHARE_BAR}", two >= SHARE_BAR * one)


def measure_kill(servers: list[Server], folder: Path, model: str, count: int, what: str) -> list[Figure]:
    """``kill -9`` the second server when half of the rows are written."""
    rows, output = write_new_rows(folder, count), folder / "out.jsonl"
    urls = [url for url, _ in servers]
    with run_process(*make_command(rows, folder, model, urls), stdout=subprocess.DEVNULL) as process:
        while count_lines(output.with_name("out.jsonl.partial")) < count // 2:
            assert process.poll() is None, "the run ended before half of its rows were written"
            time.sleep(0.02)
        os.killpg(servers[1][1].pid, signal.SIGKILL)
        process.wait()
    rejected = folder / "out.failed.jsonl"  # exists only if a row has failed
    lines = rejected.read_text().splitlines() if rejected.exists() else []
    codes = [json.loads(line)["error"]["code"] for line in lines]
    lost = count - len({json.loads(line)["id"] for line in output.read_text().splitlines()}) - len(codes)
    # Random weights write some answers that no check accepts, whether a server is killed or not.
    failed = sum(code not in get_args(ProblemCode) for code in codes)
    event = f"one of two {what} killed at half of {count:,} rows"
    return [
        Figure(f"{event}: lost", str(lost), "0", lost == 0),
        Figure(f"{event}: failed, other than by their answers", str(failed), "0", failed == 0),
    ]


def make_command(rows: Path, folder: Path, model: str, urls: list[str]) -> list[str]:
    endpoints = [word for url in urls for word in ("--base-url", url)]
    words = persqa("run", rows, "-o", folder / "out.jsonl", "--fresh", "--model", model, *endpoints)
    # A model of random weights needs the constraint, and may end an answer right after the tag.
    flags = ["--extra-body", '{"min_tokens": 16}'] if model == TINY_MODEL else ["--no-probes"]
    return [*map(str, words), *flags]


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0

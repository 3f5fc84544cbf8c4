#!/usr/bin/env python3
"""Runs many rows on the simulator with faults and kills, and checks that memory, open files and speed stay level.

usage: scripts/soak.py [--rows N] [--folder DIR]    a million rows take about an hour on two cores, and 2 GB of disk

It writes soak.svg with memory, open files and rows per second over time, and prints a table. The exit code is 1 if a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from benches.common import (
    SIMULATED_MODEL,
    Figure,
    fetch,
    make_images,
    measure_success,
    persqa,
    run_simulator,
    write_rows,
)

# 2 % in all: errors before and after the work, broken connections, and answers that fail the checks.
FAULTS = {"503": 0.005, "429": 0.004, "500": 0.003, "reset": 0.003, "cut_body": 0.002, "no_tag": 0.003}
CONCURRENCY = 32
PICTURES = 64
REFERENCE_ROWS = 2000  # about so many are compared
SAMPLE_SECONDS = 2.0
WARM_UP = 0.25  # share of a process that is left out, in which caches fill
MEMORY_BAR, FILES_BAR, RATE_BAR, GENERATIONS_BAR = 1.1, 1.1, 0.8, 100


@dataclass(frozen=True, slots=True)
class Sample:
    """``seconds``: of all processes together. ``done``: rows with a stored outcome. ``memory``: in MB."""

    seconds: float
    done: int
    memory: float
    files: int


@dataclass(slots=True)
class Process:
    """A process of the run, from a start to a kill or to the end."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def steady(self) -> list[Sample]:
        return self.samples[int(WARM_UP * len(self.samples)) :] or self.samples

    @property
    def memory(self) -> float:
        return statistics.median(sample.memory for sample in self.steady)

    @property
    def files(self) -> float:
        return statistics.median(sample.files for sample in self.steady)

    @property
    def rate(self) -> float:
        first, last = self.steady[0], self.steady[-1]
        return (last.done - first.done) / max(1e-9, last.seconds - first.seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--rps", type=float, help="at most so many requests per second")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "persqa-soak")
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows needs at least 1")
    options.folder.mkdir(parents=True, exist_ok=True)
    for old in options.folder.glob("*qa.*"):
        old.unlink()
    source = write_rows(options.folder / "rows.jsonl", make_images(options.folder / "pictures", PICTURES), options.rows)
    faults = [word for name, rate in FAULTS.items() for word in ("--fault", f"{name}={rate}")]
    with run_simulator("--latency", "0.02", "--slots", CONCURRENCY, *faults) as (url, _):
        command = persqa("run", source, "-o", options.folder / "qa.jsonl", "--base-url", url, "--quiet", "--no-probes")
        command += ("--model", SIMULATED_MODEL, "--concurrency", str(CONCURRENCY))
        command += ("--rps", str(options.rps)) if options.rps else ()
        processes, generations, code = run_with_kills(command, options.folder, options.rows, options.kills)
        answered = json.loads(fetch(f"{url.removesuffix('/v1')}/sim/stats"))["answered"]
    draw(options.folder / "soak.svg", processes)
    make_reference(source, options.folder, options.rows)
    print("| what | measured | bar | |\n| --- | --- | --- | --- |")
    figures = [
        *judge_levels(processes),
        Figure("generations of the journal", f"{generations}", f"≥ {GENERATIONS_BAR}", generations >= GENERATIONS_BAR),
        Figure("exit code at the end", f"{code}", "0 or 1", code in (0, 1)),
        *judge_output(source, options.folder, answered, options.kills),
    ]
    for figure in figures:
        print(figure.line())
    return 0 if all(figure.met is not False for figure in figures) else 1


def make_reference(source: Path, folder: Path, rows: int) -> None:
    """A part of the rows, asked without faults and kills."""
    with run_simulator("--latency", "0", "--slots", CONCURRENCY) as (url, _):
        command = persqa("run", source, "-o", folder / "reference.jsonl", "--base-url", url, "--quiet", "--no-probes")
        shard = ("--shard", f"1/{max(1, rows // REFERENCE_ROWS)}")
        measure_success([*command, "--model", SIMULATED_MODEL, "--fresh", *shard])


def run_with_kills(
    command: Sequence[str | Path], folder: Path, rows: int, kills: int
) -> tuple[list[Process], int, int]:
    """The processes, the last generation of the journal, and the last exit code."""
    processes, generation, begun = [Process()], 0, time.monotonic()
    running = subprocess.Popen([str(word) for word in command])
    while (code := running.poll()) is None:
        time.sleep(SAMPLE_SECONDS)
        generation = max([generation, *find_generations(folder)])
        sample = take_sample(running.pid, folder, len(processes), time.monotonic() - begun)
        if sample is None:
            continue
        processes[-1].samples.append(sample)
        if len(processes) <= kills and sample.done >= rows * len(processes) / (kills + 1):
            running.send_signal(signal.SIGKILL)
            running.wait()
            processes.append(Process())
            running = subprocess.Popen([str(word) for word in command])
        print(f"\r{sample.done:,} rows, {sample.memory:.0f} MB   ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [process for process in processes if process.samples], generation, code


def find_generations(folder: Path) -> Iterator[int]:
    for path in folder.glob("qa.jsonl.journal*"):
        yield int(path.name.removeprefix("qa.jsonl.journal"))


def take_sample(pid: int, folder: Path, starts: int, seconds: float) -> Sample | None:
    """None until the process has written a sample of its timeline, and once it has ended."""
    try:
        process = psutil.Process(pid)
        memory, files = process.memory_info().rss / 1e6, process.num_fds()
        done = count_done((folder / "qa.timeline.jsonl.partial").read_bytes().splitlines(), starts)
    except (psutil.Error, OSError, ValueError):
        return None
    return Sample(seconds, done, memory, files)


def count_done(lines: Sequence[bytes], starts: int) -> int:
    """The rows of all processes. Raises ValueError unless the last of so many starts has a sample."""
    counts: list[int | None] = []
    for line in lines:
        fields = json.loads(line)
        if "timeline" in fields:
            counts.append(None)
        else:
            counts[-1] = fields["done"]
    if len(counts) < starts or counts[-1] is None:
        raise ValueError("no sample yet")
    return sum(count or 0 for count in counts)


def judge_levels(processes: Sequence[Process]) -> list[Figure]:
    first, last = processes[0], processes[-1]
    memory, files = last.memory / first.memory, last.files / first.files
    # A short process may have answered nothing between its samples.
    rate = last.rate / first.rate if first.rate else math.nan
    growth = max(process.steady[-1].memory / process.steady[0].memory for process in processes)
    return [
        Figure(
            "memory of the last process, times the first",
            f"{memory:.2f} ({last.memory:.0f} MB / {first.memory:.0f} MB)",
            f"≤ {MEMORY_BAR}",
            memory <= MEMORY_BAR,
        ),
        Figure("growth of memory in one process", f"{growth:.2f}", f"≤ {MEMORY_BAR}", growth <= MEMORY_BAR),
        Figure(
            "open files of the last process, times the first",
            f"{files:.2f} ({last.files:.0f} / {first.files:.0f})",
            f"≤ {FILES_BAR}",
            files <= FILES_BAR,
        ),
        Figure(
            "rows/s of the last process, times the first",
            f"{rate:.2f} ({last.rate:.0f} / {first.rate:.0f})",
            f"≥ {RATE_BAR}",
            rate >= RATE_BAR,
        ),
    ]


def judge_output(source: Path, folder: Path, answered: int, kills: int) -> list[Figure]:
    """Every row once and in its place, with the bytes of a run without faults and kills, unless it was asked again."""
    asked_again, asks = set(), 0
    with (folder / "qa.details.jsonl").open() as lines:
        for fields in map(json.loads, lines):
            asks += fields["asks"]
            if fields["asks"] > 1:
                asked_again.add(fields["row"])
    accepted, failed = (iterate_lines(folder / name) for name in ("qa.jsonl", "qa.failed.jsonl"))
    expected = iterate_lines(folder / "reference.jsonl")
    next_accepted, next_failed, next_expected = next(accepted), next(failed), next(expected)
    misplaced = changed = compared = 0
    with source.open() as rows:
        for number, row in enumerate(rows, 1):
            start = row.rstrip()[:-1]
            is_accepted = next_accepted.startswith(start + ",")
            if next_expected.startswith(start + ","):
                if is_accepted and number not in asked_again:
                    compared += 1
                    changed += next_accepted != next_expected
                next_expected = next(expected)
            if is_accepted:
                next_accepted = next(accepted)
            elif next_failed.startswith(start + ","):
                next_failed = next(failed)
            else:
                misplaced += 1
    misplaced += bool(next_accepted) + bool(next_failed)
    paid, bar = answered - asks, kills * 4 * CONCURRENCY
    return [
        Figure("rows lost, doubled or misplaced", f"{misplaced} of {number:,}", "0", misplaced == 0),
        Figure("other bytes than without faults and kills", f"{changed} of {compared:,} rows", "0", changed == 0),
        Figure("answers paid for again after kills", f"{paid}", f"≤ {bar}", paid <= bar),
    ]


def iterate_lines(path: Path) -> Iterator[str]:
    """Empty ones follow the last."""
    if path.exists():
        with path.open() as lines:
            yield from lines
    while True:
        yield ""


def draw(path: Path, processes: Sequence[Process]) -> None:
    """Three plots over time; a line ends where a process was killed."""
    width, height = 900, 160
    end = max(process.samples[-1].seconds for process in processes)
    parts = []
    for number, name in enumerate(("memory in MB", "open files", "rows/s")):
        series = [list(iterate_points(process, name)) for process in processes]
        top = max((value for points in series for _, value in points), default=1.0) or 1.0
        base = (number + 1) * (height + 40)
        parts.append(f'<text x="10" y="{base - height - 8}">{name}, up to {top:.0f}</text>')
        parts.append(f'<path d="M10 {base - height}V{base}H{width + 10}" fill="none" stroke="#999"/>')
        for points in series:
            line = " ".join(f"{10 + width * x / end:.1f},{base - height * y / top:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="#0b6"/>')
    size = f'width="{width + 20}" height="{3 * (height + 40) + 10}"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">{"".join(parts)}</svg>\n')


def iterate_points(process: Process, name: str) -> Iterator[tuple[float, float]]:
    samples = process.samples
    if name == "memory in MB":
        yield from ((sample.seconds, sample.memory) for sample in samples)
    elif name == "open files":
        yield from ((sample.seconds, sample.files) for sample in samples)
    else:
        # The timeline has a sample every ten seconds after five minutes.
        step = max(1, int(20 / SAMPLE_SECONDS))
        for before, after in zip(samples, samples[step:], strict=False):
            yield after.seconds, (after.done - before.done) / (after.seconds - before.seconds)


if __name__ == "__main__":
    sys.exit(main())

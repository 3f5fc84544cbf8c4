"""The cost of ``persqa run`` beside a bare loop, the least that any client must do."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benches.common import (
    MODEL,
    Cost,
    Figure,
    hold_in_memory,
    make_images,
    measure_success,
    persqa,
    run_bare_server,
    write_rows,
)

CONCURRENCY = 256
WALL_BAR, CPU_BAR, MEMORY_BAR = 1.6, 3.5, 400


def measure(folder: Path, *, rows: int = 10_000, rounds: int = 3) -> Iterator[Figure]:
    images = make_images(folder / "pictures", rows)
    input = write_rows(folder / "rows.jsonl", images)
    with run_bare_server() as url, hold_in_memory(folder / "pictures"):
        pairs = [(measure_bare_loop(url, rows, images), measure_persqa(url, input, folder)) for _ in range(rounds)]
    wall = statistics.median(ours.wall / bare.wall for bare, ours in pairs)
    cpu = statistics.median(ours.cpu / bare.cpu for bare, ours in pairs)
    peak = max(ours.peak for _, ours in pairs)
    bare, ours = pairs[-1]
    seconds = f"{wall:.2f} ({ours.wall:.1f} s / {bare.wall:.1f} s)"
    per_row = f"{cpu:.2f} ({1000 * ours.cpu / rows:.2f} ms / {1000 * bare.cpu / rows:.2f} ms a row)"
    yield Figure("wall time, times a bare loop", seconds, f"≤ {WALL_BAR}", wall <= WALL_BAR)
    yield Figure("CPU, times a bare loop", per_row, f"≤ {CPU_BAR}", cpu <= CPU_BAR)
    yield Figure(f"peak memory at {CONCURRENCY} in flight", f"{peak:.0f} MB", f"< {MEMORY_BAR} MB", peak < MEMORY_BAR)


def measure_bare_loop(url: str, rows: int, images: list[Path]) -> Cost:
    client = Path(__file__).parent / "bare_client.py"
    return measure_success([sys.executable, client, url, str(rows), str(CONCURRENCY), *images[:64]])


def measure_persqa(url: str, input: Path, folder: Path) -> Cost:
    command = persqa("run", input, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", MODEL)
    return measure_success([*command, "--no-probes", "--concurrency", str(CONCURRENCY)])

"""How much ``persqa run`` costs beside the least that any client must do."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benches.common import (
    MODEL,
    Cost,
    Figure,
    bare_server,
    different_pictures,
    in_memory,
    persqa,
    run,
    serving,
    write_rows,
)

AT_ONCE = 256
WALL_BAR, CPU_BAR, MEMORY_BAR = 1.6, 3.5, 400


def measure(folder: Path, *, rows: int = 10_000, rounds: int = 3) -> list[Figure]:
    pictures = different_pictures(folder / "pictures", rows)
    input = write_rows(folder / "rows.jsonl", pictures)
    with serving(*bare_server()) as url, in_memory(folder / "pictures"):
        pairs = [(bare(url, rows, pictures), ours(url, input, folder)) for _ in range(rounds)]
    wall = statistics.median(mine.wall / least.wall for least, mine in pairs)
    cpu = statistics.median(mine.cpu / least.cpu for least, mine in pairs)
    peak = max(mine.peak for _, mine in pairs)
    least, mine = pairs[-1]
    seconds = f"{wall:.2f} ({mine.wall:.1f} s / {least.wall:.1f} s)"
    a_row = f"{cpu:.2f} ({1000 * mine.cpu / rows:.2f} ms / {1000 * least.cpu / rows:.2f} ms a row)"
    return [
        Figure("wall time, times a bare loop", seconds, f"≤ {WALL_BAR}", wall <= WALL_BAR),
        Figure("CPU, times a bare loop", a_row, f"≤ {CPU_BAR}", cpu <= CPU_BAR),
        Figure(f"peak memory at {AT_ONCE} in flight", f"{peak:.0f} MB", f"< {MEMORY_BAR} MB", peak < MEMORY_BAR),
    ]


def bare(url: str, rows: int, pictures: list[Path]) -> Cost:
    client = Path(__file__).parent / "bare_client.py"
    return checked(run([sys.executable, client, url, str(rows), str(AT_ONCE), *pictures[:64]]))


def ours(url: str, input: Path, folder: Path) -> Cost:
    command = persqa("run", input, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", MODEL)
    return checked(run([*command, "--no-probes", "--concurrency", str(AT_ONCE)]))


def checked(cost: Cost) -> Cost:
    assert cost.code == 0, cost.said
    return cost

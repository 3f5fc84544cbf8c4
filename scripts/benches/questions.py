"""The savings of sending an image once for all questions about it: bytes, time on a link, time at a real server.

The last figure needs a vLLM server, PERSQA_LIVE_BASE_URL.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benches.common import (
    SIMULATED_MODEL,
    Cost,
    Figure,
    fetch,
    make_images,
    make_jpeg,
    measure_success,
    persqa,
    run_simulator,
    write_rows,
)

QUESTIONS = 5
BYTES_BAR, LINK_BAR, LIVE_BAR = 1.1, 3.0, 1.2
LINK_MBPS = 200
LIVE_IMAGES = 40


def measure(folder: Path, *, images: int = 300, rounds: int = 3) -> Iterator[Figure]:
    rows = write_rows(folder / "rows.jsonl", make_images(folder / "pictures", images))
    yield measure_bytes(folder, rows)
    yield measure_link(folder, rows, images, rounds)
    yield measure_live(folder, rounds)


def measure_bytes(folder: Path, rows: Path) -> Figure:
    one, five = (count_bytes(folder, rows, questions) for questions in (1, QUESTIONS))
    value = f"{five / one:.3f} ({five / 1e6:.1f} MB / {one / 1e6:.1f} MB)"
    what = f"bytes sent for {QUESTIONS} questions a picture, times those for one"
    return Figure(what, value, f"≤ {BYTES_BAR}", five <= BYTES_BAR * one)


def count_bytes(folder: Path, rows: Path, questions: int) -> int:
    with run_simulator("--latency", 0.02) as (url, _):
        measure_run(folder, rows, url, "--questions", questions)
        return int(json.loads(fetch(url.removesuffix("/v1") + "/sim/stats"))["bytes_in"])


def measure_link(folder: Path, rows: Path, images: int, rounds: int) -> Figure:
    """The rows per second include start-up and probes."""
    ratios = []
    for _ in range(rounds):
        with run_simulator("--latency", 0.05, "--slots", 64, "--link-mbps", LINK_MBPS) as (url, _):
            # The simulator remembers only uuids from run to run, so the first run saves the second no byte.
            each_time = measure_run(folder, rows, url, "--questions", QUESTIONS, "--no-uuid")
            once = measure_run(folder, rows, url, "--questions", QUESTIONS)
        ratios.append(each_time.wall / once.wall)
    speeds = " / ".join(f"{QUESTIONS * images / cost.wall:.0f}" for cost in (once, each_time))
    what = f"rows/s over a link of {LINK_MBPS} Mb/s, times sending the picture each time"
    ratio = statistics.median(ratios)
    return Figure(what, f"{ratio:.2f} ({speeds} rows/s)", f"≥ {LINK_BAR}", ratio >= LINK_BAR)


def measure_live(folder: Path, rounds: int) -> Figure:
    """Each round has images that are new to the server. One round before warms the server up."""
    what = "rows/s at a real vLLM with cold caches, times one question after the other"
    url = os.environ.get("PERSQA_LIVE_BASE_URL")
    if not url:
        return Figure(what, "not measured: no PERSQA_LIVE_BASE_URL", f"≥ {LIVE_BAR}", None)
    model = json.loads(fetch(f"{url}/models"))["data"][0]["id"]
    measure_order("plain", url, model, write_cold_rows(folder))
    pairs = [compare_orders(url, model, folder, once_first=bool(number % 2)) for number in range(rounds)]
    ratio = statistics.median(once / plain for once, plain in pairs)
    once, plain = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return Figure(what, f"{ratio:.2f} ({once:.1f} / {plain:.1f} rows/s)", f"≥ {LIVE_BAR}", ratio >= LIVE_BAR)


def compare_orders(url: str, model: str, folder: Path, *, once_first: bool) -> tuple[float, float]:
    """Rows per second: with the image sent once, and with one question after the other."""
    orders = ("once", "plain") if once_first else ("plain", "once")
    rates = {}
    for order in orders:
        rates[order] = LIVE_IMAGES * QUESTIONS / measure_order(order, url, model, write_cold_rows(folder))
    return rates["once"], rates["plain"]


def measure_order(order: str, url: str, model: str, rows: Path) -> float:
    script = Path(__file__).parent / "orders.py"
    command = [sys.executable, str(script), order, url, model, str(rows), str(QUESTIONS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def write_cold_rows(folder: Path) -> Path:
    """Rows with images that are in no server's cache: some bytes of each are random."""
    fresh = folder / "cold"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    data = bytearray(make_jpeg())
    paths = []
    for number in range(LIVE_IMAGES):
        # Not 0xFF, which begins a marker.
        data[len(data) // 2 : len(data) // 2 + 16] = random.randbytes(16).replace(b"\xff", b"\x7f")
        paths.append(fresh / f"{number:03}.jpg")
        paths[-1].write_bytes(data)
    return write_rows(folder / "cold.jsonl", paths)


def measure_run(folder: Path, rows: Path, url: str, *flags: str | int) -> Cost:
    command = persqa("run", rows, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", SIMULATED_MODEL)
    return measure_success([*command, "--concurrency", "64", *map(str, flags)])

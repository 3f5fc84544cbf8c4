"""What it saves to send a picture once for all questions about it: bytes, time on a link, time of a real server.

The live figure needs PERSQA_LIVE_BASE_URL, a vLLM server; without it, it is not measured.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benches.common import Cost, Figure, different_pictures, persqa, picture_bytes, run, write_rows

MODEL = "persqa-simulator"
QUESTIONS = 5
BYTES_BAR, LINK_BAR, LIVE_BAR = 1.1, 3.0, 1.2
LINK_MBPS = 200
LIVE_PICTURES = 40


def measure(folder: Path, *, pictures: int = 300, rounds: int = 3) -> list[Figure]:
    rows = write_rows(folder / "rows.jsonl", different_pictures(folder / "pictures", pictures))
    return [sent_bytes(folder, rows), over_a_link(folder, rows, pictures, rounds), live(folder, rounds)]


def sent_bytes(folder: Path, rows: Path) -> Figure:
    one, five = (bytes_of(folder, rows, questions) for questions in (1, QUESTIONS))
    told = f"{five / one:.3f} ({five / 1e6:.1f} MB / {one / 1e6:.1f} MB)"
    what = f"bytes sent for {QUESTIONS} questions a picture, times those for one"
    return Figure(what, told, f"≤ {BYTES_BAR}", five <= BYTES_BAR * one)


def bytes_of(folder: Path, rows: Path, questions: int) -> int:
    with simulating("--latency", "0.02") as url:
        asked(folder, rows, url, "--questions", questions)
        with urllib.request.urlopen(url.removesuffix("/v1") + "/sim/stats") as reply:
            return int(json.load(reply)["bytes_in"])


def over_a_link(folder: Path, rows: Path, pictures: int, rounds: int) -> Figure:
    """Start-up and the trying out of the server included."""
    ratios = []
    for _ in range(rounds):
        with simulating("--latency", "0.05", "--slots", "64", "--link-mbps", LINK_MBPS) as url:
            # The simulator remembers uuids alone from one run to the next, and they save the first no byte.
            each_time = asked(folder, rows, url, "--questions", QUESTIONS, "--no-uuid")
            once = asked(folder, rows, url, "--questions", QUESTIONS)
        ratios.append(each_time.wall / once.wall)
    speeds = " / ".join(f"{QUESTIONS * pictures / cost.wall:.0f}" for cost in (once, each_time))
    what = f"rows/s over a link of {LINK_MBPS} Mb/s, times sending the picture each time"
    ratio = statistics.median(ratios)
    return Figure(what, f"{ratio:.2f} ({speeds} rows/s)", f"≥ {LINK_BAR}", ratio >= LINK_BAR)


def live(folder: Path, rounds: int) -> Figure:
    """Pictures that the server has never seen, each time; once for nothing, for a server that was just started."""
    what = "rows/s at a real vLLM with cold caches, times one question after the other"
    url = os.environ.get("PERSQA_LIVE_BASE_URL")
    if not url:
        return Figure(what, "not measured: no PERSQA_LIVE_BASE_URL", f"≥ {LIVE_BAR}", None)
    with urllib.request.urlopen(f"{url}/models") as reply:
        model = json.load(reply)["data"][0]["id"]
    seconds("plain", url, model, cold(folder))
    pairs = [speeds(url, model, folder, once_first=bool(number % 2)) for number in range(rounds)]
    ratio = statistics.median(once / plain for once, plain in pairs)
    once, plain = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return Figure(what, f"{ratio:.2f} ({once:.1f} / {plain:.1f} rows/s)", f"≥ {LIVE_BAR}", ratio >= LIVE_BAR)


def speeds(url: str, model: str, folder: Path, *, once_first: bool) -> tuple[float, float]:
    """Rows a second, the picture sent once, and one question after the other."""
    orders = ("once", "plain") if once_first else ("plain", "once")
    found = {order: LIVE_PICTURES * QUESTIONS / seconds(order, url, model, cold(folder)) for order in orders}
    return found["once"], found["plain"]


def seconds(order: str, url: str, model: str, rows: Path) -> float:
    script = Path(__file__).parent / "orders.py"
    command = [sys.executable, str(script), order, url, model, str(rows), str(QUESTIONS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def cold(folder: Path) -> Path:
    """Rows about pictures that no server has seen: some bytes of their scans are drawn anew."""
    fresh = folder / "cold"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    data = bytearray(picture_bytes())
    paths = []
    for number in range(LIVE_PICTURES):
        # No 0xFF, which would begin a marker.
        data[len(data) // 2 : len(data) // 2 + 16] = random.randbytes(16).replace(b"\xff", b"\x7f")
        paths.append(fresh / f"{number:03}.jpg")
        paths[-1].write_bytes(data)
    return write_rows(folder / "cold.jsonl", paths)


def asked(folder: Path, rows: Path, url: str, *flags: str | int) -> Cost:
    command = persqa("run", rows, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", MODEL)
    cost = run([*command, "--concurrency", "64", *map(str, flags)])
    assert cost.code == 0, cost.said
    return cost


@contextmanager
def simulating(*flags: str | int) -> Iterator[str]:
    """A simulator in a process of its own, listening."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(word) for word in persqa("sim", "--port", str(port), *map(str, flags))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False

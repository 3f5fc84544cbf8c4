"""Two processes on one account share its limits through a folder, as the server sees it; one of them is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import Command, persqa, start

RPS, CONCURRENCY = 60, 6


class Arrivals:
    """How many requests have come, over time, and how many were at the server at once."""

    def __init__(self, server: Simulator) -> None:
        self.server = server
        self.samples: list[tuple[float, int]] = []
        self.most_at_once = 0

    def watch(self, seconds: float) -> float:
        """Requests per second in this time."""
        end, first = time.monotonic() + seconds, len(self.samples)
        while (now := time.monotonic()) < end:
            stats = self.server.stats()
            self.samples.append((now, stats["requests"]))
            self.most_at_once = max(self.most_at_once, stats["in_flight"])
            time.sleep(0.02)
        (began, before), (ended, after) = self.samples[first], self.samples[-1]
        return (after - before) / (ended - began)

    @property
    def most_in_a_second(self) -> int:
        return max(
            later - earlier
            for moment, earlier in self.samples
            for now, later in self.samples
            if 0 < now - moment <= 1.0
        )


def begin(folder: Path, server: Simulator, number: int, *flags: str) -> Command:
    return start(
        *("run", "in.jsonl", "-o", f"part-{number}.jsonl", "--shard", f"{number}/2", "--share-limits", "account"),
        *("--base-url", server.base_url, "--model", "persqa-simulator", "--no-probes", "--quiet", *flags),
        cwd=folder,
    )


def end(process: Command) -> None:
    process.kill()
    process.communicate()


def write_input(folder: Path, count: int) -> None:
    Image.new("RGB", (40, 30), "red").save(folder / "a.png")
    (folder / "in.jsonl").write_text("".join(json.dumps({"image": "a.png", "id": n}) + "\n" for n in range(count)))


@pytest.mark.slow
def test_two_processes_keep_the_limits_of_one_account_and_a_killed_one_leaves_its_share(tmp_path: Path) -> None:
    write_input(tmp_path, 4000)
    flags = ("--rps", str(RPS), "--concurrency", str(CONCURRENCY))
    with run_simulator(SimSettings(latency=0.05)) as server:
        both = [begin(tmp_path, server, number, *flags) for number in (1, 2)]
        try:
            arrivals = Arrivals(server)
            while server.stats()["requests"] < 60:
                arrivals.watch(0.1)
            together = arrivals.watch(1.2)
            state = json.loads(next((tmp_path / "account").glob("*/account.json")).read_text())
            assert len(state["processes"]) == 2
            both[1].kill()
            # Until the killed process is missed, the other one has its part of the permits, and no less of the rate.
            alone = arrivals.watch(1.2)
            assert both[0].poll() is None
        finally:
            for process in both:
                end(process)
    assert min(together, alone) > 0.6 * RPS, "neither reserves what it does not send"
    assert arrivals.most_in_a_second <= 1.25 * RPS + 3
    assert arrivals.most_at_once <= CONCURRENCY


@pytest.mark.slow
def test_the_permits_of_a_killed_process_come_back(tmp_path: Path) -> None:
    write_input(tmp_path, 4000)
    with run_simulator(SimSettings(latency=0.5)) as server:
        both = [begin(tmp_path, server, number, "--concurrency", "6") for number in (1, 2)]
        try:
            arrivals = Arrivals(server)
            arrivals.watch(6.0)
            both[1].kill()
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and arrivals.watch(2.0) < 10:
                pass
            assert arrivals.watch(2.0) > 8, "12 a second are possible with all permits, and 6 with half of them"
        finally:
            for process in both:
                end(process)
    # The server is not told at once that the connections of the killed process are gone.
    assert arrivals.most_at_once <= 6


def test_a_process_with_other_limits_is_refused(tmp_path: Path) -> None:
    write_input(tmp_path, 400)
    with run_simulator(SimSettings(latency=0.2)) as server:
        first = begin(tmp_path, server, 1, "--concurrency", "4")
        try:
            while not server.stats()["requests"]:
                time.sleep(0.02)
            flags = ("--base-url", server.base_url, "--model", "persqa-simulator", "--share-limits", "account")
            result = persqa("run", "in.jsonl", "-o", "qa.jsonl", *flags, "--rpm", "9", cwd=tmp_path)
        finally:
            end(first)
    assert result.returncode == 2
    assert "with other limits (4 requests at once), and this one has up to 512 requests at once, 9" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "qa.jsonl").exists()

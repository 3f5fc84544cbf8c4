"""A run on three nodes gives the files of a run in one process, whatever is killed meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.ray.clusters import draw_pictures, run_words, start_run
from tests.support.commands import Command, persqa

pytestmark = pytest.mark.slow
ROWS, KILLED_ROWS, CONCURRENCY = 60, 480, 12


def test_the_output_is_that_of_one_process(cluster: Any, simulator: Simulator, tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures", ROWS)
    (pictures / "0007.png").write_bytes(b"no picture")
    words = run_words(cluster, simulator.base_url)
    first = persqa(*words, "--json", cwd=tmp_path, timeout=120)
    assert first.returncode == 1, first.stderr
    result = json.loads(first.stdout)
    assert (result["state"], result["rows"], result["failed"]) == ("finished", ROWS, 1)
    # Four for each node.
    assert len(list(tmp_path.glob("qa.shard-*-of-012.run.json"))) == 12
    again = persqa(*words, cwd=tmp_path, timeout=120)
    assert (again.returncode, "nothing to do" in again.stderr) == (1, True), again.stderr
    local = words[: words.index("--engine")]
    local[local.index("qa.jsonl")] = "whole.jsonl"
    assert persqa(*local, cwd=tmp_path).returncode == 1
    for ending in ("jsonl", "failed.jsonl"):
        assert (tmp_path / f"qa.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()


@pytest.fixture
def slow_simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.2, jitter=0.5, slots=CONCURRENCY)) as simulator:
        yield simulator


@pytest.fixture
def running(cluster: Any, slow_simulator: Simulator, tmp_path: Path) -> Command:
    """A run of which some rows are answered."""
    draw_pictures(tmp_path / "pictures", KILLED_ROWS)
    process = start_run(cluster, slow_simulator.base_url, tmp_path, "--concurrency", str(CONCURRENCY))
    wait_for_answers(slow_simulator, process, 40)
    return process


def wait_for_answers(simulator: Simulator, process: Command, more: int) -> None:
    enough = simulator.stats()["answered"] + more
    while simulator.stats()["answered"] < enough:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def check_output(folder: Path, simulator: Simulator, losses: int) -> None:
    """No row is lost or doubled, and only what was in flight was asked twice."""
    rows = [json.loads(line) for line in (folder / "qa.jsonl").read_bytes().splitlines()]
    assert [Path(row["image"][0]).name for row in rows] == [f"{number:04}.png" for number in range(KILLED_ROWS)]
    stats = simulator.stats()
    assert stats["repeats"] <= losses * CONCURRENCY
    assert stats["max_in_flight"] <= CONCURRENCY


def find_workers() -> list[psutil.Process]:
    """The processes of Ray that work on a shard, whose title they have."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or ()).startswith("ray::persqa shard"):
            found.append(process)
    return found


def test_a_killed_worker_costs_what_was_in_flight(running: Command, slow_simulator: Simulator, tmp_path: Path) -> None:
    for _ in range(2):
        find_workers()[0].kill()
        wait_for_answers(slow_simulator, running, 40)
    out, err = running.communicate(120)
    assert running.returncode == 0, err
    assert err.count("Another one continues the shard.") == 2
    assert out.startswith("rows "), "nothing of Ray's"
    check_output(tmp_path, slow_simulator, losses=2)


def test_a_killed_node_is_replaced(cluster: Any, running: Command, slow_simulator: Simulator, tmp_path: Path) -> None:
    cluster.remove_node(cluster.worker_nodes and next(iter(cluster.worker_nodes)), allow_graceful=False)
    try:
        _, err = running.communicate(150)
    finally:
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    assert running.returncode == 0, err
    check_output(tmp_path, slow_simulator, losses=1)


def test_a_killed_driver_goes_on(cluster: Any, running: Command, slow_simulator: Simulator, tmp_path: Path) -> None:
    running.kill()
    running.communicate(30)
    again = start_run(cluster, slow_simulator.base_url, tmp_path, "--concurrency", str(CONCURRENCY))
    _, err = again.communicate(150)
    assert again.returncode == 0, err
    check_output(tmp_path, slow_simulator, losses=1)


def test_an_endpoint_that_goes_away_ends_nothing(cluster: Any, slow_simulator: Simulator, tmp_path: Path) -> None:
    """Shards that begin afterwards do not find it, and the run goes on at the other one, as in one process."""
    draw_pictures(tmp_path / "pictures", ROWS)
    with run_simulator(SimSettings(latency=0.2)) as leaving:
        further = ("--base-url", leaving.base_url, "--concurrency", "2")
        process = start_run(cluster, slow_simulator.base_url, tmp_path, *further)
        wait_for_answers(leaving, process, 5)
    _, err = process.communicate(120)
    assert process.returncode == 0, err
    assert f"{leaving.base_url} is left out from now on: " in err
    rows = [json.loads(line) for line in (tmp_path / "qa.jsonl").read_bytes().splitlines()]
    assert [Path(row["image"][0]).name for row in rows] == [f"{number:04}.png" for number in range(ROWS)]


def test_ctrl_c_lets_the_requests_end(
    cluster: Any, running: Command, slow_simulator: Simulator, tmp_path: Path
) -> None:
    running.send_signal(2)
    _, err = running.communicate(60)
    assert running.returncode == 130, err
    assert "Run the same command again" in err
    again = start_run(cluster, slow_simulator.base_url, tmp_path, "--concurrency", str(CONCURRENCY))
    _, err = again.communicate(150)
    assert again.returncode == 0, err
    check_output(tmp_path, slow_simulator, losses=0)

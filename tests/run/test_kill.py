"""A command that is killed with SIGKILL again and again loses no row, and writes none twice or in part."""

from __future__ import annotations

import random
import time
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import persqa, start

ROWS = 2000
KILLS = 20
CONCURRENCY = 32


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image for each row, so that the simulator can count repeated requests."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(ROWS):
        colour = (number % 251, number // 251 * 30 % 256, number * 7 % 256)
        Image.new("RGB", (32, 32), colour).save(folder / f"{number}.png")
    return folder


def command(input: Path, output: Path, simulator: Simulator) -> list[str | Path]:
    return [
        *("run", input, "-o", output, "--base-url", simulator.base_url, "--model", "persqa-simulator"),
        *("--concurrency", str(CONCURRENCY), "--no-probes"),
    ]


def write_rows(path: Path, pictures: Path) -> None:
    lines = [orjson.dumps({"n": number, "image": [f"{pictures}/{number}.png"]}) for number in range(ROWS)]
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.slow
def test_killed_runs_give_the_output_of_an_undisturbed_one(tmp_path: Path, pictures: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    write_rows(rows, pictures)
    with run_simulator(SimSettings(latency=0.1, jitter=0.5, slots=CONCURRENCY)) as simulator:
        undisturbed = command(rows, tmp_path / "undisturbed.jsonl", simulator)
        assert persqa(*undisturbed, cwd=tmp_path).returncode == 0
    rng = random.Random(7)
    with run_simulator(SimSettings(latency=0.1, jitter=0.5, slots=CONCURRENCY)) as simulator:
        killed = command(rows, tmp_path / "killed.jsonl", simulator)
        for _ in range(KILLS):
            kill_in_mid_run(killed, simulator, rng, tmp_path)
        assert not (tmp_path / "killed.jsonl").exists(), "all kills came before the end"
        assert persqa(*killed, cwd=tmp_path).returncode == 0
        repeats = simulator.stats()["repeats"]
    written = (tmp_path / "killed.jsonl").read_bytes()
    assert [orjson.loads(line)["n"] for line in written.splitlines()] == list(range(ROWS))
    assert written == (tmp_path / "undisturbed.jsonl").read_bytes()
    assert repeats <= KILLS * CONCURRENCY


def kill_in_mid_run(arguments: list[str | Path], simulator: Simulator, rng: random.Random, cwd: Path) -> None:
    """Kills the command after it has answered some rows."""
    before = simulator.stats()["answered"]
    process = start(*arguments, cwd=cwd)
    while simulator.stats()["answered"] < before + rng.randint(1, 120):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()

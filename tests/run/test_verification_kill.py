"""Runs with ``--verify`` that are killed or stopped, and resumed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client.engines.local_engine import task_limit
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import persqa, start

ROWS = 60
CONCURRENCY = 8


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(ROWS):
        Image.new("RGB", (32, 32), (number * 4, 90, 255 - number * 4)).save(folder / f"{number:02}.png")
    return folder


def command(pictures: Path, output: Path, simulator: Simulator) -> list[str | Path]:
    return [
        *("run", pictures, "-o", output, "--base-url", simulator.base_url, "--model", "persqa-simulator"),
        *("--concurrency", str(CONCURRENCY), "--no-probes", "--verify", "all", "--details"),
    ]


def counts(output: Path) -> dict[str, Any]:
    return dict(orjson.loads(output.with_suffix(".run.json").read_bytes())["counts"])


def end_after(
    answered: int, arguments: list[str | Path], simulator: Simulator, cwd: Path, end: signal.Signals = signal.SIGKILL
) -> None:
    process = start(*arguments, cwd=cwd)
    while simulator.stats()["answered"] < answered:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(end)
    process.communicate()


def test_verdicts_outlive_a_kill(pictures: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed.jsonl", tmp_path / "killed.jsonl"
    with run_simulator(SimSettings(latency=0.02, slots=CONCURRENCY)) as simulator:
        assert persqa(*command(pictures, undisturbed, simulator), cwd=tmp_path).returncode == 0
    with run_simulator(SimSettings(latency=0.02, slots=CONCURRENCY)) as simulator:
        arguments = command(pictures, killed, simulator)
        for answered in (40, 110):
            end_after(answered, arguments, simulator, tmp_path)
        assert not killed.exists()
        assert persqa(*arguments, cwd=tmp_path).returncode == 0
        # At most the requests of the rows in flight are sent again.
        assert simulator.stats()["answered"] <= 3 * (ROWS + 2 * task_limit(CONCURRENCY, 0))
    assert killed.read_bytes() == undisturbed.read_bytes()
    assert counts(killed) == counts(undisturbed)
    assert counts(killed)["verification"]["verdicts"] == {"yes/no": ROWS}
    assert counts(killed)["verification"]["requests"] == 2 * ROWS


@pytest.mark.slow
def test_a_stopped_run_loses_no_answer_that_waits_for_its_verdict(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "stopped.jsonl"
    with run_simulator(SimSettings(latency=0.05, slots=CONCURRENCY)) as simulator:
        arguments = command(pictures, output, simulator)
        end_after(40, arguments, simulator, tmp_path, signal.SIGINT)
        assert not output.exists()
        assert persqa(*arguments, cwd=tmp_path).returncode == 0
        assert simulator.stats()["answered"] == counts(output)["attempts"]
    assert counts(output)["good"] == ROWS
    assert counts(output)["doubts"]["unverified"] == counts(output)["verification"]["verdicts"]["failed"]

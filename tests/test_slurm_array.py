"""The worked example of a Slurm array, started with the variables that Slurm sets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.run.test_shards import ROWS, write_rows
from tests.support.commands import make_program

SCRIPT = Path(__file__).parent.parent / "scripts" / "slurm_array.sh"


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """In a folder whose ``persqa`` is this checkout's."""
    command = folder / "bin" / "persqa"
    command.parent.mkdir(exist_ok=True)
    descriptor = make_program(command)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SHARE", "PERSQA_"))}
    environment = {**kept, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(SCRIPT.parents[1])}
    return subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=folder,
        env=environment | variables,
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def flags(server: Simulator) -> tuple[str, ...]:
    return ("--base-url", server.base_url, "--model", "persqa-simulator", "--no-probes")


def test_a_task_makes_its_shard_with_its_share(tmp_path: Path, simulator: Simulator) -> None:
    write_rows(tmp_path)
    variables = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MAX": "3", "SHARE_LIMITS": "1"}
    task = start(tmp_path, "in.jsonl", "qa.jsonl", *flags(simulator), "--rpm", "60000", **variables)
    text, _ = task.communicate(timeout=120)
    assert task.returncode == 1, text  # some rows failed
    fields = json.loads((tmp_path / "qa.shard-2.run.json").read_text())
    assert (fields["identity"]["shard"], fields["limits"]["rpm"], fields["limits_share"]) == ("2/3", 20_000, "2/3")
    assert 0 < fields["counts"]["rows"] < ROWS


def test_without_an_array_it_says_what_is_needed(tmp_path: Path) -> None:
    task = start(tmp_path, "in.jsonl", "qa.jsonl")
    text, _ = task.communicate(timeout=60)
    assert (task.returncode, text) == (2, f"Give an input and an output, and start it as a Slurm array; {HELP}\n")


HELP = "--help tells how."


@pytest.mark.slow
def test_a_signal_before_the_time_limit_leaves_a_run_to_continue(tmp_path: Path) -> None:
    write_rows(tmp_path)
    with run_simulator(SimSettings(latency=2.0)) as server:
        variables = {"SLURM_ARRAY_TASK_ID": "1", "SHARDS": "1"}
        task = start(tmp_path, "in.jsonl", "qa.jsonl", *flags(server), "--concurrency", "1", **variables)
        deadline = time.monotonic() + 60
        while not server.stats()["requests"] and time.monotonic() < deadline:
            time.sleep(0.05)
        task.send_signal(signal.SIGTERM)
        text, _ = task.communicate(timeout=60)
    assert task.returncode == 130, text
    assert (tmp_path / "qa.shard-1.jsonl.checkpoint").exists()

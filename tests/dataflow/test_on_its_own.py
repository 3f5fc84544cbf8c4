"""A program that runs the operator, from outside: killed and started again, at a terminal, interrupted, imported."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.dataflow.conftest import MODEL, storage_of, written

ROWS = 200
WORKERS = 8


def program(server: Simulator, *, progress: bool = False) -> list[str]:
    code = (
        "from persqa_client.dataflow import FileStorage, OpenAIVLMServing, PersQAGenerator\n"
        f"serving = OpenAIVLMServing({server.base_url!r}, model_name={MODEL!r}, max_workers={WORKERS})\n"
        "storage = FileStorage('in.jsonl', cache_path='cache', file_name_prefix='qa')\n"
        f"operator = PersQAGenerator(serving, probes=False, progress={progress})\n"
        "operator.run(storage.step())\n"
    )
    return [sys.executable, "-c", code]


def wait_for(server: Simulator, answers: int, process: subprocess.Popen[bytes]) -> None:
    while server.stats()["answered"] < answers:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
def test_one_that_is_killed_goes_on_and_pays_no_answer_twice(folder: Path) -> None:
    storage_of([{"image": ["red.png"], "id": number} for number in range(ROWS)])
    with run_simulator(SimSettings(latency=0.05, slots=WORKERS)) as server:
        for answers in (20, 60, 120):
            process = subprocess.Popen(program(server))
            wait_for(server, answers, process)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not Path("cache/qa_step1.jsonl").exists()
        subprocess.run(program(server), check=True, timeout=60)
        stats = server.stats()
    assert [row["id"] for row in written()] == list(range(ROWS))
    assert all(", Answer: <mam> " in row["output"] for row in written())
    assert stats["answered"] <= ROWS + 3 * WORKERS


@pytest.mark.slow
def test_ctrl_c_ends_it_soon_with_what_is_under_way_kept(folder: Path) -> None:
    storage_of([{"image": ["red.png"], "id": number} for number in range(ROWS)])
    with run_simulator(SimSettings(latency=0.2, slots=WORKERS)) as server:
        process = subprocess.Popen(program(server), stderr=subprocess.PIPE)
        wait_for(server, 10, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        before = server.stats()["answered"]
        assert "Stopping" in errors.decode()
        assert process.returncode != 0
        subprocess.run(program(server), check=True, timeout=60)
        assert server.stats()["answered"] == ROWS
    assert before < ROWS


@pytest.mark.slow
@pytest.mark.parametrize("progress", [True, False])
def test_a_person_at_a_terminal_sees_how_it_goes_unless_they_want_quiet(folder: Path, progress: bool) -> None:
    storage_of([{"image": ["red.png"], "id": number} for number in range(40)])
    ours, theirs = pty.openpty()
    with run_simulator(SimSettings(latency=0.2, slots=WORKERS)) as server:
        process = subprocess.Popen(
            program(server, progress=progress), stderr=theirs, env={**os.environ, "TERM": "xterm"}
        )
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 4096):
                seen += more
        except OSError:
            pass  # no process has it open any more
        os.close(ours)
        assert process.wait(30) == 0
    assert (b"rows done" in seen) is progress


def test_importing_is_light() -> None:
    """What is heavy is imported by what uses it: the package, its commands and the names of the interface load none."""
    code = (
        "import sys\n"
        "import persqa_client, persqa_client.dataflow, persqa_client.cli.main\n"
        "heavy = 'PIL aiohttp dataflow datasets httpx2 numpy openai pandas pyarrow pydantic'\n"
        "print(sorted(set(heavy.split()) & set(sys.modules)))\n"
        "from persqa_client.dataflow import OpenAIVLMServing\n"
        "print(sorted({'datasets', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))\n"
        "from persqa_client.dataflow import FileStorage, PersQAGenerator\n"
        "print(sorted({'datasets'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["[]", "[]", "[]"]

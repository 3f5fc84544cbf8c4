"""A command and its terminal: letters that it lacks, a signal in the first moment, a defect of our own."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.cli.execute import execute
from persqa_client.cli.exits import EXIT_BUG, tolerate_closed_stream
from persqa_client.config import Endpoint, RunSettings
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.progress import QuietConsole, show_lines
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.commands import PERSQA, lines_in, start

SERVER = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")


def test_a_terminal_that_lacks_letters_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg", "question": "<mam> 在做什么？"}\n', encoding="utf-8")
    command = [*PERSQA, "run", "rows.jsonl", "-o", "照片.jsonl", *SERVER]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    for more in (["--dry-run", "--image-root", "照片"], []):
        told = subprocess.run([*command, *more], cwd=tmp_path, env=ascii_only, capture_output=True, text=True)
        assert "Traceback" not in told.stderr
    assert told.returncode == 3


def test_a_termination_before_anything_is_loaded_is_exit_130(tmp_path: Path) -> None:
    """The command waits for its settings to come through a pipe."""
    os.mkfifo(tmp_path / "run.toml")
    process = start("run", "--config", "run.toml", "rows.jsonl", "-o", "qa.jsonl", *SERVER, cwd=tmp_path)
    with (tmp_path / "run.toml").open("w"):
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in told


class Broken(Run):
    async def execute(self) -> Summary:
        raise ZeroDivisionError("a fault of ours")


def test_a_defect_is_told_as_one_with_its_place_and_how_to_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    run = Broken(RunSettings(input=None, output=tmp_path / "qa.jsonl", endpoint=endpoint), InMemorySource())
    assert execute(run) == EXIT_BUG == 70
    told = capfd.readouterr().err
    assert "ZeroDivisionError: a fault of ours" in told
    assert "this is a bug in persqa_client" in told
    assert "same command again" in told.splitlines()[-1]


ROWS = 12


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.jpg")
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg"}\n' * ROWS)
    return tmp_path


def run_in_shell(rows: Path, base_url: str, streams: str) -> int:
    """The exit code of a run that a shell gives such streams."""
    words = ["run", "rows.jsonl", "-o", "qa.jsonl", "--tag", "bo", "--base-url", base_url, "--model", DEFAULT_MODEL]
    script = f"{shlex.join([*PERSQA, *words])} {streams}"
    return subprocess.run(["bash", "-c", script], cwd=rows, timeout=60, check=False, capture_output=True).returncode


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param("<&-", id="no stdin"),
        pytest.param("<&- >&- 2>&-", id="no streams at all"),
        pytest.param("> >(true)", id="nobody reads stdout"),
        pytest.param("2> >(true)", id="nobody reads stderr, where a warning is told"),
        pytest.param("> /dev/full 2> /dev/full", id="no room for what is told"),
    ],
)
def test_what_becomes_of_the_streams_is_not_the_runs_affair(rows: Path, streams: str) -> None:
    with run_simulator(SimSettings(latency=0)) as server:
        assert run_in_shell(rows, server.base_url, streams) == 0
    assert lines_in(rows / "qa.jsonl") == ROWS


@pytest.mark.parametrize("streams", ["<&-", "<&- >&- 2>&-", "2> >(true)", "2> /dev/full"])
def test_nor_is_it_the_exit_codes(rows: Path, streams: str) -> None:
    assert run_in_shell(rows, "http://127.0.0.1:9/v1", streams) == 3


async def test_progress_that_nobody_reads_falls_silent(tmp_path: Path) -> None:
    """rich would end the process."""
    reader, writer = os.pipe()
    os.close(reader)
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    run = Run(RunSettings(input=None, output=tmp_path / "qa.jsonl", endpoint=endpoint), InMemorySource())
    with os.fdopen(writer, "w") as stream:
        console = QuietConsole(file=stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await show_lines(run, console, interval=0.01)
        assert console.quiet
        with tolerate_closed_stream(stream):
            pass

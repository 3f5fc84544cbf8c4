"""A command and its standard streams, an early signal, and an unexpected exception."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.cli.execute import RUN_REPORT, execute, execute_with_signals
from persqa_client.cli.exits import EXIT_BUG
from persqa_client.cli.messages import tolerate_closed_stream
from persqa_client.config import Endpoint
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.progress import ProgressMeter
from persqa_client.run.progress_display import show_lines
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from persqa_client.storage.tally import Tally
from persqa_client.terminals import QuietConsole
from tests.support.commands import PERSQA, lines_in, start

SERVER = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")


@pytest.mark.slow
def test_letters_that_the_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg", "question": "<mam> 在做什么？"}\n', encoding="utf-8")
    command = [*PERSQA, "run", "rows.jsonl", "-o", "照片.jsonl", *SERVER]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    for more in (["--dry-run", "--image-root", "照片"], []):
        result = subprocess.run([*command, *more], cwd=tmp_path, env=ascii_only, capture_output=True, text=True)
        assert "Traceback" not in result.stderr
    assert result.returncode == 3


def test_sigterm_before_the_imports_is_exit_130(tmp_path: Path) -> None:
    """The command waits for the config file, which is a pipe."""
    os.mkfifo(tmp_path / "run.toml")
    process = start("run", "--config", "run.toml", "rows.jsonl", "-o", "qa.jsonl", *SERVER, cwd=tmp_path)
    with (tmp_path / "run.toml").open("w"):
        process.send_signal(signal.SIGTERM)
        _, result = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in result


class Broken(Run):
    async def execute(self) -> Summary:
        raise ZeroDivisionError("a bug")


def test_an_unexpected_exception_is_exit_70_with_a_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    run = Broken(RunSettings(input=None, output=tmp_path / "qa.jsonl", endpoint=endpoint), InMemorySource())
    assert execute(run, RUN_REPORT) == EXIT_BUG == 70
    result = capfd.readouterr().err
    assert "ZeroDivisionError: a bug" in result
    assert "this is a bug in persqa_client" in result
    assert "same command again" in result.splitlines()[-1]


class Held(Run):
    """Ends at the second stop."""

    def __init__(self) -> None:
        endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
        super().__init__(RunSettings(input=None, output=None, endpoint=endpoint), InMemorySource())
        self.stops: asyncio.Queue[None] = asyncio.Queue()

    def stop(self) -> None:
        self.stops.put_nowait(None)

    async def execute(self) -> Summary:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            await self.stops.get()
        return Summary("interrupted", Tally(), 0.0)


async def test_each_signal_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    await execute_with_signals(Held(), shows_progress=False)
    assert capsys.readouterr().err.splitlines() == [
        "Stopping after the requests in flight. A second signal stops immediately.",
        "Stopping immediately.",
    ]


ROWS = 12


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.jpg")
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg"}\n' * ROWS)
    return tmp_path


def run_in_shell(rows: Path, base_url: str, streams: str) -> int:
    """The exit code of a run with redirected streams."""
    words = ["run", "rows.jsonl", "-o", "qa.jsonl", "--tag", "bo", "--base-url", base_url, "--model", DEFAULT_MODEL]
    script = f"{shlex.join([*PERSQA, *words])} {streams}"
    return subprocess.run(["bash", "-c", script], cwd=rows, timeout=60, check=False, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "streams",
    [
        pytest.param("<&-", id="no stdin", marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", id="no streams at all", marks=pytest.mark.slow),
        pytest.param("> >(true)", id="closed stdout", marks=pytest.mark.slow),
        pytest.param("2> >(true)", id="closed stderr, with a warning", marks=pytest.mark.slow),
        pytest.param("> /dev/full 2> /dev/full", id="full device"),
    ],
)
def test_closed_or_full_streams_do_not_affect_the_run(rows: Path, streams: str) -> None:
    with run_simulator(SimSettings(latency=0)) as server:
        assert run_in_shell(rows, server.base_url, streams) == 0
    assert lines_in(rows / "qa.jsonl") == ROWS


@pytest.mark.slow
@pytest.mark.parametrize(
    "streams",
    ["<&- >&- 2>&-", *(pytest.param(more, marks=pytest.mark.slow) for more in ("<&-", "2> >(true)", "2> /dev/full"))],
)
def test_closed_or_full_streams_do_not_affect_the_exit_code(rows: Path, streams: str) -> None:
    assert run_in_shell(rows, "http://127.0.0.1:9/v1", streams) == 3


def test_a_reader_that_has_ended_does_not_change_the_exit_code(tmp_path: Path) -> None:
    """The text is still in the buffer when the command ends."""
    (tmp_path / "mine.txt").write_text("What is it?\n")
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writer, "w") as closed:
        command = [*PERSQA, "bank", "check", "mine.txt"]
        result = subprocess.run(
            command, cwd=tmp_path, env=buffered, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (2, "Error: 1 problem. A run does not start with this bank.\n")


async def test_progress_stops_if_its_output_is_closed(tmp_path: Path) -> None:
    """rich itself would exit the process."""
    reader, writer = os.pipe()
    os.close(reader)
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    run = Run(RunSettings(input=None, output=tmp_path / "qa.jsonl", endpoint=endpoint), InMemorySource())
    with os.fdopen(writer, "w") as stream:
        console = QuietConsole(file=stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await show_lines(ProgressMeter(run, 0.0), console.print, interval=0.01)
        assert console.quiet
        with tolerate_closed_stream(stream):
            pass

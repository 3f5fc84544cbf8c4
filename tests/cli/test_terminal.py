"""A command and its terminal: letters that it lacks, a signal in the first moment, a defect of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from persqa_client.cli.exits import DEFECT
from persqa_client.cli.running import execute
from persqa_client.config import Endpoint, RunSettings
from persqa_client.inputs.sources import ListedSource
from persqa_client.runs import Run
from persqa_client.summary import Summary
from tests.commands import PERSQA, start

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
    run = Broken(RunSettings(input=None, output=tmp_path / "qa.jsonl", endpoint=endpoint), ListedSource())
    assert execute(run) == DEFECT == 70
    told = capfd.readouterr().err
    assert "ZeroDivisionError: a fault of ours" in told
    assert "this is a defect of this program" in told
    assert "give the same command again" in told.splitlines()[-1]

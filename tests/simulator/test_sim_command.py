"""The command ``persqa sim``."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from persqa_client.cli.sim import sim
from tests.support.commands import Command

app = typer.Typer()
app.command()(sim)

SERVE = """
import sys, typer
from persqa_client.cli.sim import sim
sys.stdout.reconfigure(line_buffering=True)
typer.run(sim)
"""


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "persqa sim --latency" in result.output


def test_the_command_loads_the_server_only_when_it_runs() -> None:
    code = (
        "import sys, persqa_client.cli.sim; sys.exit(any(name in sys.modules for name in ('aiohttp', 'PIL', 'orjson')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "503"], "should look like 503=0.05"),
        (["--fault", "sunspots=1"], "no fault 'sunspots'"),
        (["--link-mbps", "0"], "link_mbps is 0"),
        (["--keep-pictures", "/dev/null"], "/dev/null is not a writable folder"),
    ],
)
def test_a_wrong_setting_is_exit_code_2(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    words = ["--port", "0", "--model", "a", "--model", "b", "--latency", "0"]
    process = Command(SERVE, words, tmp_path)
    assert "simulator" in process.stdout.readline()
    address = process.stdout.readline().split()[2]
    models = httpx.get(f"{address}/models", trust_env=False).json()["data"]
    process.send_signal(number)
    rest, _ = process.communicate(timeout=10)
    assert [model["id"] for model in models] == ["a", "b"]
    assert process.returncode == 0
    assert rest == "0 requests, 0 answered, 0 refused.\n"

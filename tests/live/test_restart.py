"""A real server that dies in the middle of a run and comes back."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.live.commands import (
    MANY_MINUTES,
    Finished,
    command_line,
    environment,
    look,
    output_of,
    sample_rows,
    write_rows,
)
from tests.live.endpoints import OwnServer

ROWS = 400
ALREADY = 40
"""Rows that are answered when the server is killed; the rest is in flight or not yet read."""


def wait_for_rows(process: subprocess.Popen[str], partial: Path, count: int) -> None:
    """Until so many rows are written; fails where the run ends first."""
    while not partial.exists() or partial.read_bytes().count(b"\n") < count:
        assert process.poll() is None, f"the run ended before {count} rows were written"
        time.sleep(0.02)


def run_through_a_crash(server: OwnServer, input: Path) -> Finished:
    """A run whose server is killed with -9 after some rows and started again at the same address."""
    flags = server.endpoint.wordy_flags
    with (input.with_name("said.txt")).open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command_line(input, flags),
            env=environment(server.environ),
            stdout=said,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            wait_for_rows(process, output_of(input).with_name("qa.jsonl.partial"), ALREADY)
            server.kill()
            assert process.poll() is None, "the run was over before the server died"
            server.start()
            process.wait(MANY_MINUTES)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        return look(input, process.returncode, said.read())


@pytest.mark.own_server
def test_a_run_survives_its_server_and_loses_nothing(own_server: OwnServer, tmp_path: Path) -> None:
    input = write_rows(tmp_path, sample_rows(ROWS))

    done = run_through_a_crash(own_server, input)

    assert done.code == 0, done.said
    assert [row["id"] for row in done.good] == [f"row-{number}" for number in range(ROWS)]
    assert done.failed == []
    assert "waiting:" in done.said, "the run never noticed that its server was away"

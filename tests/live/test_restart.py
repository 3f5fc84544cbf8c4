"""Real servers that die in the middle of a run: one that comes back, and one of two."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import lines_in
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
MANY_ROWS = 1500
"""So many that no more than some of them are under way at two servers when half are written."""
ALREADY = 40
"""Rows that are answered when the server is killed; the rest is in flight or not yet read."""


def wait_for_rows(process: subprocess.Popen[str], partial: Path, count: int) -> None:
    """Until so many rows are written; fails where the run ends first."""
    while lines_in(partial) < count:
        assert process.poll() is None, f"the run ended before {count} rows were written"
        time.sleep(0.02)


def run_through_a_crash(
    server: OwnServer, input: Path, flags: list[str], *, after: int = ALREADY, back: bool = True
) -> Finished:
    """A run whose server is killed with -9 after some rows and, if it is to come ``back``, started again at the same
    address."""
    with (input.with_name("said.txt")).open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command_line(input, flags),
            env=environment(server.environ),
            stdout=said,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            wait_for_rows(process, output_of(input).with_name("qa.jsonl.partial"), after)
            server.kill()
            assert process.poll() is None, "the run was over before the server died"
            if back:
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

    done = run_through_a_crash(own_server, input, own_server.endpoint.wordy_flags)

    assert done.code == 0, done.said
    assert [row["id"] for row in done.good] == [f"row-{number}" for number in range(ROWS)]
    assert done.failed == []
    assert "waiting:" in done.said, "the run never noticed that its server was away"


@pytest.mark.own_server
def test_one_of_two_servers_dies_at_half_way_and_no_row_is_lost_or_fails(
    own_server: OwnServer, second_server: OwnServer, tmp_path: Path
) -> None:
    input = write_rows(tmp_path, sample_rows(MANY_ROWS))
    first, second = own_server.endpoint, second_server.endpoint
    # Few at once, so that few rows can overtake one that is slow: half of them are then written before the end.
    flags = [*first.wordy_flags, "--base-url", second.base_url, "--concurrency", "32"]

    done = run_through_a_crash(second_server, input, flags, after=MANY_ROWS // 2, back=False)

    assert done.code == 0, done.said
    assert [row["id"] for row in done.good] == [f"row-{number}" for number in range(MANY_ROWS)]
    assert done.failed == []
    told = done.facts["endpoints"]
    assert [entry["base_url"] for entry in told] == [first.base_url, second.base_url]
    assert all(entry["answers"] > 0 and entry["failed_rows"] == 0 for entry in told)
    assert [entry["outages"] for entry in told] == [0, 1]

"""Real servers that die in the middle of a run: one that comes back, and one of two."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.live.commands import MANY_MINUTES, Finished, command_line, environment, look, sample_rows, write_rows
from tests.live.endpoints import TinyVLLMServer

ROWS = 160
CONCURRENCY = ["--concurrency", "32"]
"""So few that most rows are neither answered nor under way when a server is killed."""
ALREADY = 40
"""Answers that there are then."""


def answered(servers: Sequence[TinyVLLMServer]) -> float:
    """Requests that these servers have answered so far, by their own count."""
    return sum(map(answered_by, servers))


def answered_by(server: TinyVLLMServer) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as reply:
        text = reply.read().decode()
    return sum(map(float, re.findall(r"^vllm:request_success_total\S* (\S+)", text, re.MULTILINE)))


def wait_for_answers(process: subprocess.Popen[str], servers: Sequence[TinyVLLMServer], count: float) -> None:
    """Not for written rows: one that is slow holds up all behind it. Fails where the run ends first."""
    while answered(servers) < count:
        assert process.poll() is None, f"the run ended before {count:.0f} requests were answered"
        time.sleep(0.05)


def run_through_a_crash(
    server: TinyVLLMServer,
    input: Path,
    flags: list[str],
    *others: TinyVLLMServer,
    after: int = ALREADY,
    back: bool = True,
) -> Finished:
    """A run whose server is killed with -9 after some answers of its own and of the ``others``, and, if it is to come
    ``back``, started again at the same address."""
    servers = [server, *others]
    before = answered(servers)
    with (input.with_name("said.txt")).open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command_line(input, flags),
            env=environment(server.environ),
            stdout=said,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            wait_for_answers(process, servers, before + after)
            assert process.poll() is None, "the run was over before the server died"
            # It returns when all that the server had is tidied up; meanwhile the run goes on, perhaps to its end.
            server.kill()
            if back:
                server.start()
            process.wait(MANY_MINUTES)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        return look(input, process.returncode, said.read())


@pytest.mark.own_server
def test_a_run_survives_its_server_and_loses_nothing(own_server: TinyVLLMServer, tmp_path: Path) -> None:
    input = write_rows(tmp_path, sample_rows(ROWS))

    done = run_through_a_crash(own_server, input, [*own_server.endpoint.wordy_flags, *CONCURRENCY])

    done.assert_answered(ROWS)
    assert "Waiting for the server (" in done.said, "the run never noticed that its server was away"


@pytest.mark.own_server
def test_one_of_two_servers_dies_at_half_way_and_no_row_is_lost_or_fails(
    own_server: TinyVLLMServer, second_server: TinyVLLMServer, tmp_path: Path
) -> None:
    input = write_rows(tmp_path, sample_rows(2 * ROWS))
    first, second = own_server.endpoint, second_server.endpoint
    flags = [*first.wordy_flags, "--base-url", second.base_url, *CONCURRENCY]

    done = run_through_a_crash(second_server, input, flags, own_server, after=ROWS, back=False)

    done.assert_answered(2 * ROWS)
    endpoints = done.facts["endpoints"]
    assert [entry["base_url"] for entry in endpoints] == [first.base_url, second.base_url]
    assert all(entry["answers"] > 0 for entry in endpoints)
    # The other server may miss a health check while it takes over, which costs no row.
    assert endpoints[1]["outages"] >= 1

"""A server of one's own, with real processes: started, waited for, ended, and nothing of it left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from persqa_client import ServerFailed, SettingsError, VLLMServer
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.vllm_server.server import find_free_port
from tests.vllm_server.processes import MARK, fake_vllm, find_marked, find_remaining

NAME = "some/model"


def make(mode: str, mark: str, **more: Any) -> VLLMServer:
    return VLLMServer(NAME, vllm_command=fake_vllm(mode), env={MARK: mark}, **more)


def models(base_url: str) -> list[str]:
    with urllib.request.urlopen(f"{base_url}/models", timeout=10) as reply:
        return [card["id"] for card in json.load(reply)["data"]]


def test_it_answers_inside_the_block_and_is_gone_after_it(mark: str) -> None:
    with make("sim", mark) as server:
        assert server.is_alive()
        assert models(server.base_url) == [server.model] == [NAME]
        assert find_marked(mark).keys() & {server.pid}
        log = server.log_path
        assert log is not None
        assert log.exists()
    assert not find_marked(mark), "it returns when all are gone"
    assert not server.is_alive()
    assert server.pid is None
    assert not log.exists(), "a temporary log goes when all went well"


def test_requests_use_the_served_name(mark: str) -> None:
    with make("sim", mark, served_model_name="other") as server:
        assert models(server.base_url) == [server.model] == ["other"]


def test_children_in_sessions_of_their_own_and_orphans_end_with_it(mark: str) -> None:
    with make("family", mark):
        sleepers = [line for line in find_marked(mark).values() if "time.sleep" in line]
        assert len(sleepers) == 2
    assert not find_marked(mark)


def test_it_can_be_started_twice_and_stopped_twice(mark: str, tmp_path: Path) -> None:
    server = make("sim", mark, log_path=tmp_path / "server.log")
    server.stop()
    first = server.start().pid
    assert server.start().pid == first, "it is up already"
    server.stop()
    server.stop()
    assert server.start().pid != first
    server.stop()
    assert not find_marked(mark)
    assert (tmp_path / "server.log").read_text().count("Listening on") == 2, "a log that was asked for stays"


def test_one_that_dies_at_the_start_tells_its_last_words(mark: str) -> None:
    server = make("words", mark)
    with pytest.raises(ServerFailed) as caught:
        server.start()
    assert caught.value.message.startswith(
        "vllm serve some/model ended with exit code 3 before it was ready: "
        "ValueError: No available memory for the cache blocks. Its whole log: "
    )
    assert len(caught.value.log) == 3
    assert caught.value.log[1] in str(caught.value)
    assert not find_marked(mark)
    assert server.log_path is not None
    assert "cache blocks" in server.log_path.read_text(), "the log of one that failed stays"
    server.log_path.unlink()


@pytest.mark.parametrize("mode", ["silent", "stubborn"])
def test_one_that_is_never_ready_is_ended_in_the_end(mark: str, mode: str, tmp_path: Path) -> None:
    server = make(mode, mark, startup_timeout=1.0, log_path=tmp_path / "log", shutdown_timeout=1.0)
    with pytest.raises(ServerFailed, match="was not ready within 1 s"):
        server.start()
    assert not find_marked(mark)


def test_progress_says_what_is_waited_for_and_how_long(mark: str, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    told = re.compile(r"Waiting for vllm serve some/model to be ready, (\d+) s \(Loading weights\)")
    seconds: list[int] = []

    def listen(line: str) -> None:
        if (found := told.fullmatch(line)) is not None:
            seconds.append(int(found[1]))
        if len(seconds) == 2:
            raise Enough

    with pytest.raises(Enough):
        make("silent", mark, log_path=tmp_path / "log", on_progress=listen).start()
    assert 0 < seconds[0] < seconds[1]
    assert not find_marked(mark), "what its caller can't bear ends it, too"


def test_an_asked_for_port_that_is_taken_is_said_so_before_anything_starts(mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        port = thief.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} is taken"):
            make("sim", mark, port=port).start()
    assert not find_marked(mark)


def test_an_asked_for_port_is_had(mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with make("sim", mark, port=port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}/v1"


def test_a_port_that_is_taken_after_it_was_chosen_is_left_for_another(mark: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with make("robbed", mark, extra_args=["--marker", str(tmp_path / "robbed")], log_path=log) as server:
        assert models(server.base_url) == [NAME]
    told = log.read_text()
    stolen = told.partition("The port ")[2].partition(" is taken.")[0]
    assert stolen.isdigit()
    assert stolen != str(server.port)
    assert not find_marked(mark)


def test_where_every_port_is_taken_in_time_it_gives_up(mark: str, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="3 free ports were taken by other programs"):
        make("robbed", mark, log_path=tmp_path / "log").start()
    assert (tmp_path / "log").read_text().count(" is taken.") == 3
    assert not find_marked(mark)


def test_an_asked_for_port_that_is_lost_to_another_is_said_so(mark: str, tmp_path: Path) -> None:
    """By a stranger that answers there in the server's place, well as it is."""
    port, strangers = find_free_port(), ExitStack()
    server = make("silent", mark, port=port, log_path=tmp_path / "log")

    def listen(line: str) -> None:
        strangers.enter_context(run_simulator(SimSettings(), port))

    server.on_progress = listen
    with strangers, pytest.raises(SettingsError, match=f"Port {port} is taken"):
        server.start()
    assert not find_marked(mark)


def test_a_program_that_can_not_be_run_is_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "vllm"
    broken.write_text("no program\n")
    broken.chmod(0o755)
    with pytest.raises(SettingsError, match="can't be run: Exec format error"):
        VLLMServer(NAME, vllm_command=[str(broken)]).start()


def test_the_death_of_one_that_was_up_is_seen_and_told(mark: str, tmp_path: Path) -> None:
    with make("family", mark, log_path=tmp_path / "log") as server:
        assert server.failure() is None
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        failure = server.failure(wait=10)
        assert failure is not None
        assert (
            "was ended by SIGKILL (somebody killed it, or the system did for want of memory) while it was in use"
            in str(failure)
        )
        assert not server.is_alive()
        assert not find_remaining(mark), "its children are ended by the guardian, before anybody stops the server"
    assert server.failure() is None, "one that was stopped has not failed"

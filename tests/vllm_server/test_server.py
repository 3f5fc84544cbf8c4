"""Start and stop of a server, with real processes."""

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


def test_it_serves_within_the_block_only(mark: str) -> None:
    with make("sim", mark) as server:
        assert server.is_alive()
        assert models(server.base_url) == [server.model] == [NAME]
        assert find_marked(mark).keys() & {server.pid}
        log = server.log_path
        assert log is not None
        assert log.exists()
    assert not find_marked(mark), "it returns when all have ended"
    assert not server.is_alive()
    assert server.pid is None
    assert not log.exists(), "the temporary log is removed"


def test_requests_use_the_served_name(mark: str) -> None:
    with make("sim", mark, served_model_name="other") as server:
        assert models(server.base_url) == [server.model] == ["other"]


def test_children_in_other_sessions_and_orphans_end_with_it(mark: str) -> None:
    with make("healthy", mark):
        sleepers = [line for line in find_marked(mark).values() if "time.sleep" in line]
        assert len(sleepers) == 2
    assert not find_marked(mark)


@pytest.mark.slow
def test_it_can_be_started_twice_and_stopped_twice(mark: str, tmp_path: Path) -> None:
    server = make("sim", mark, log_path=tmp_path / "server.log")
    server.stop()
    first = server.start().pid
    assert server.start().pid == first, "it runs already"
    server.stop()
    server.stop()
    assert server.start().pid != first
    server.stop()
    assert not find_marked(mark)
    assert (tmp_path / "server.log").read_text().count("Listening on") == 2, "a given log stays"


def test_an_exit_at_the_start_is_reported_with_its_log(mark: str) -> None:
    server = make("fail", mark)
    with pytest.raises(ServerFailed) as caught:
        server.start()
    assert "exit code 3 before it was ready: ValueError: No available memory" in caught.value.message
    assert str(server.log_path) in caught.value.message
    assert len(caught.value.log) == 3
    assert caught.value.log[1] in str(caught.value)
    assert not find_marked(mark)
    assert server.log_path is not None
    assert "cache blocks" in server.log_path.read_text(), "the log of a failed server stays"
    server.log_path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["silent", "ignore_sigterm"])
def test_a_server_that_is_never_ready_is_stopped(mark: str, mode: str, tmp_path: Path) -> None:
    server = make(mode, mark, startup_timeout=1.0, log_path=tmp_path / "log", shutdown_timeout=1.0)
    with pytest.raises(ServerFailed, match="was not ready within 1 s"):
        server.start()
    assert not find_marked(mark)


def test_progress_has_the_activity_and_the_seconds(mark: str, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    progress = re.compile(r"Waiting for vllm serve some/model to be ready, (\d+) s \(Loading weights\)")
    seconds: list[int] = []

    def listen(line: str) -> None:
        if (found := progress.fullmatch(line)) is not None:
            seconds.append(int(found[1]))
        if len(seconds) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        make("silent", mark, log_path=tmp_path / "log", on_progress=listen).start()
    assert 0 < seconds[0] < seconds[1]
    assert not find_marked(mark), "an exception of the callback stops it, too"


def test_a_given_port_in_use_is_reported_before_the_start(mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} is in use"):
            make("sim", mark, port=port).start()
    assert not find_marked(mark)


def test_a_given_port_is_used(mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with make("healthy", mark, port=port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}/v1"


@pytest.mark.slow
def test_a_port_taken_after_it_was_chosen_is_replaced(mark: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with make("port_taken", mark, extra_args=["--marker", str(tmp_path / "marker")], log_path=log) as server:
        assert models(server.base_url) == [NAME]
    text = log.read_text()
    lost_port = text.partition("The port ")[2].partition(" is taken.")[0]
    assert lost_port.isdigit()
    assert lost_port != str(server.port)
    assert not find_marked(mark)


@pytest.mark.slow
def test_it_gives_up_if_every_port_is_taken(mark: str, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="3 free ports"):
        make("port_taken", mark, log_path=tmp_path / "log").start()
    assert (tmp_path / "log").read_text().count(" is taken.") == 3
    assert not find_marked(mark)


def test_a_given_port_lost_to_another_program_is_reported(mark: str, tmp_path: Path) -> None:
    """The other program answers /health there in place of the server."""
    port, others = find_free_port(), ExitStack()
    server = make("silent", mark, port=port, log_path=tmp_path / "log")

    def listen(line: str) -> None:
        others.enter_context(run_simulator(SimSettings(), port))

    server.on_progress = listen
    with others, pytest.raises(SettingsError, match=f"Port {port} is in use"):
        server.start()
    assert not find_marked(mark)


def test_a_file_that_is_no_program_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "vllm"
    broken.write_text("no program\n")
    broken.chmod(0o755)
    with pytest.raises(SettingsError, match="can't be run: Exec format error"):
        VLLMServer(NAME, vllm_command=[str(broken)]).start()


def test_the_end_of_a_ready_server_is_reported(mark: str, tmp_path: Path) -> None:
    with make("healthy", mark, log_path=tmp_path / "log") as server:
        assert server.failure() is None
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        failure = server.failure(wait=10)
        assert failure is not None
        assert failure.code == "server_died"
        assert "SIGKILL" in failure.message
        assert not server.is_alive()
        assert not find_remaining(mark), "the guardian ends its children at once"
    assert server.failure() is None, "a stopped server has not failed"

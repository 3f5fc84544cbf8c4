"""The server and its children end when the process that started them ends, in whatever way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from persqa_client import ServerFailed, VLLMServer
from tests.vllm_server.processes import MARK, fake_vllm, find_marked, find_remaining

OWNER_CODE = """
import os, signal, sys, time
from persqa_client import VLLMServer
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
server = VLLMServer("some/model", vllm_command={command!r}).start()
print("started", flush=True)
{then}
"""


def start_owner(mark: str, folder: Path, then: str) -> subprocess.Popen[str]:
    """A process that has started a server and goes on with the code ``then``. The server's log is in ``folder``."""
    code = OWNER_CODE.format(command=fake_vllm("healthy"), then=then)
    owner = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, MARK: mark, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "started\n"
    return owner


def find_server_processes(mark: str) -> list[str]:
    """The command lines of guardian, server and children, without the owner and its forks."""
    return [line for line in find_marked(mark).values() if "import VLLMServer" not in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    "then",
    [
        "",
        pytest.param("sys.exit(3)", marks=pytest.mark.slow),
        pytest.param("raise ValueError", marks=pytest.mark.slow),
        "os._exit(4)",
    ],
)
def test_the_server_ends_with_the_interpreter(mark: str, tmp_path: Path, then: str) -> None:
    owner = start_owner(mark, tmp_path, then)
    owner.communicate(timeout=30)
    # After os._exit, the guardian ends the server, and the owner does not wait for that.
    assert not (find_remaining(mark) if "_exit" in then else find_marked(mark))


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        signal.SIGKILL,
    ],
)
def test_a_signal_to_the_owner_ends_the_server(mark: str, tmp_path: Path, number: signal.Signals) -> None:
    owner = start_owner(mark, tmp_path, "time.sleep(600)")
    owner.send_signal(number)
    owner.communicate(timeout=30)
    assert not find_remaining(mark)


@pytest.mark.slow
def test_ctrl_c_in_a_block_ends_the_server_and_removes_its_log(mark: str, tmp_path: Path) -> None:
    owner = start_owner(mark, tmp_path, "with server: time.sleep(600)")
    owner.send_signal(signal.SIGINT)
    owner.communicate(timeout=30)
    assert not find_marked(mark)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_forked_child_of_a_killed_owner_does_not_keep_the_server(mark: str, tmp_path: Path) -> None:
    """The child inherits the pipe to the guardian and keeps it open."""
    fork = "if os.fork() == 0:\n    os.environ.clear()\n    time.sleep(600)\ntime.sleep(600)"
    owner = start_owner(mark, tmp_path, fork)
    while len(find_marked(mark)) - len(find_server_processes(mark)) < 2:
        time.sleep(0.01)
    owner.kill()
    owner.wait()
    assert owner.stdout is not None
    owner.stdout.close()
    deadline = time.monotonic() + 60
    while find_server_processes(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not find_server_processes(mark)


@pytest.mark.slow
def test_a_forked_child_does_not_stop_the_server(mark: str, tmp_path: Path) -> None:
    then = (
        "child = os.fork()\n"
        "if child == 0:\n    server.stop(); sys.exit(0)\n"
        "os.waitpid(child, 0); print(server.is_alive(), server.log_path.exists(), flush=True); server.stop()"
    )
    owner = start_owner(mark, tmp_path, then)
    output, _ = owner.communicate(timeout=30)
    assert output == "True True\n"
    assert not find_marked(mark)


def test_a_server_outlives_the_thread_that_started_it(mark: str) -> None:
    server = VLLMServer("some/model", vllm_command=fake_vllm("sim"), env={MARK: mark})
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert server.is_alive()
    server.stop()
    assert not find_marked(mark)


@pytest.mark.slow
def test_the_server_ends_if_the_guardian_is_killed(mark: str) -> None:
    server = VLLMServer("some/model", vllm_command=fake_vllm("sim"), env={MARK: mark}).start()
    (guardian,) = [pid for pid, line in find_marked(mark).items() if "vllm_server.guardian" in line]
    os.kill(guardian, signal.SIGKILL)
    assert not find_remaining(mark), "Linux signals the server when its parent ends"
    failure = server.failure(wait=10)
    assert failure is not None
    log = server.log_path
    server.stop()
    assert log is not None
    log.unlink()


@pytest.mark.slow
def test_a_second_ctrl_c_kills_a_server_that_ignores_sigterm(mark: str, tmp_path: Path) -> None:
    then = (
        f"server = VLLMServer('m', vllm_command={fake_vllm('ignore_sigterm')!r}, shutdown_timeout=500)\nserver.start()"
    )
    code = OWNER_CODE.split("server = ")[0] + then
    environ = {**os.environ, MARK: mark, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE)
    while len([line for line in find_marked(mark).values() if "time.sleep" in line]) < 1:
        time.sleep(0.01)
    owner.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert owner.poll() is None, "it waits for the server"
    owner.send_signal(signal.SIGINT)
    owner.communicate(timeout=30)
    assert not find_remaining(mark)
    assert not list(tmp_path.iterdir()), "its log is removed, too"


def test_arguments_reach_the_server_unchanged(mark: str, tmp_path: Path) -> None:
    words = ["a b", "'quoted'", json.dumps({"a": "ü"}), ""]
    seen: list[str] = []
    server = VLLMServer(
        "some/model",
        vllm_command=fake_vllm("silent"),
        env={MARK: mark},
        extra_args=["--odd", *words],
        startup_timeout=1.5,
        log_path=tmp_path / "log",
        on_progress=lambda line: seen.append(Path(f"/proc/{server.pid}/cmdline").read_text()),
    )
    with pytest.raises(ServerFailed):
        server.start()
    assert seen[0].split("\0")[-6:] == ["--odd", *words, ""]

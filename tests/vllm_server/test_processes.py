"""Killed process trees leave no process and no shared memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from persqa_client import VLLMServer
from persqa_client.vllm_server.guardian import RESOURCE_TRACKER, kill_tree
from tests.vllm_server.processes import MARK, fake_vllm, find_marked, find_remaining, wait_for_marked

SHARED = Path("/dev/shm")
SLEEP = "import time; time.sleep(600)"
TREE_CODE = f"""
import subprocess, sys, time
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=1_000_000)
subprocess.Popen([sys.executable, "-c", "{SLEEP}"], start_new_session=True)
print(memory.name, flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory has no files on this system")


def start_python(mark: str, code: str, *words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, MARK: mark}
    return subprocess.Popen([sys.executable, "-c", code, *words], env=environ, stdout=subprocess.PIPE, text=True)


def test_a_killed_tree_leaves_no_shared_memory(mark: str) -> None:
    """Python's resource tracker is part of the tree and gets time to clean up."""
    root = start_python(mark, TREE_CODE)
    assert root.stdout is not None
    memory = SHARED / root.stdout.readline().strip()
    assert memory.is_file()
    wait_for_marked(mark, 3)
    kill_tree(root.pid)
    assert not find_marked(mark)
    assert not memory.exists()
    root.communicate()


def test_a_resource_tracker_that_does_not_end_is_killed_too(mark: str) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEP}', '{RESOURCE_TRACKER}'])"
    root = start_python(mark, code)
    wait_for_marked(mark, 2)
    kill_tree(root.pid)
    assert not find_marked(mark)
    root.communicate()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_ignores_sigterm_leaves_no_shared_memory(mark: str, tmp_path: Path, how: str) -> None:
    server = VLLMServer(
        "some/model",
        vllm_command=fake_vllm("shared_memory"),
        env={MARK: mark},
        shutdown_timeout=0.5,
        log_path=tmp_path / "log",
    )
    with server:
        memory = SHARED / (tmp_path / "log").read_text().split("Shared memory: ")[1].split()[0]
        assert memory.is_file()
        if how == "killed":
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            assert not find_remaining(mark)
    assert not find_marked(mark)
    assert not memory.exists()

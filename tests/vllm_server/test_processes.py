"""Trees of processes that are killed: nobody is left, and nothing that they shared in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from persqa_client import VLLMServer
from persqa_client.vllm_server.guardian import TIDIER, kill_tree
from tests.vllm_server.processes import MARK, fake_vllm, find_marked, find_remaining

SHARED = Path("/dev/shm")
SLEEP = "import time; time.sleep(600)"
FAMILY = f"""
import subprocess, sys, time
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=1_000_000)
subprocess.Popen([sys.executable, "-c", "{SLEEP}"], start_new_session=True)
print(memory.name, flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory has no files here")


def start(mark: str, code: str, *words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, MARK: mark}
    return subprocess.Popen([sys.executable, "-c", code, *words], env=environ, stdout=subprocess.PIPE, text=True)


def test_a_killed_tree_leaves_no_shared_memory(mark: str) -> None:
    """Python's own tidier is part of the tree, and is left alone until it has tidied up."""
    root = start(mark, FAMILY)
    assert root.stdout is not None
    memory = SHARED / root.stdout.readline().strip()
    assert memory.is_file()
    assert len(find_marked(mark)) == 3
    kill_tree(root.pid, 30)
    assert not find_marked(mark)
    assert not memory.exists()
    root.communicate()


def test_a_tidier_that_does_not_end_is_killed_too(mark: str) -> None:
    root = start(mark, f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEP}', '{TIDIER}'])")
    while len(find_marked(mark)) < 2:
        pass
    kill_tree(root.pid, 30)
    assert not find_marked(mark)
    root.communicate()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_deaf_server_leaves_no_shared_memory(mark: str, tmp_path: Path, how: str) -> None:
    server = VLLMServer(
        "some/model",
        vllm_command=fake_vllm("sharing"),
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

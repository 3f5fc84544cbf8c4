"""A server's process with file descriptors beyond those that ``select`` can wait for."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from persqa_client.vllm_server.guardian import is_readable
from persqa_client.vllm_server.process import ManagedProcess

FD_SETSIZE = 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    """Every new descriptor is beyond ``FD_SETSIZE``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * FD_SETSIZE:
        pytest.skip("the hard limit of this machine is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * FD_SETSIZE), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < FD_SETSIZE:
        opened.append(os.dup(opened[0]))
    try:
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_process_is_started_watched_and_stopped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        process = ManagedProcess(command, os.environ, log, grace=5.0)
        try:
            assert process.pid
            assert process.poll() is None
        finally:
            process.stop()
    assert process.poll() is not None


@pytest.mark.usefixtures("many_files")
def test_a_high_descriptor_can_be_waited_for() -> None:
    reading, writing = os.pipe()
    try:
        assert reading >= FD_SETSIZE
        assert not is_readable(reading, 0.0)
        os.write(writing, b"x")
        assert is_readable(reading, 0.0)
        os.read(reading, 1)
        os.close(writing)
        assert is_readable(reading, 0.0), "the end, too"
    finally:
        os.close(reading)

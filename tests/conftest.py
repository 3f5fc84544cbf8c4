"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import respx
from hypothesis import HealthCheck, settings

from persqa_client.endpoints.session import Session
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.endpoints import make_session
from tests.vllm_server.processes import find_marked

MEMORY = Path("/dev/shm")


def keep_files_in_memory() -> None:
    """Nearly every run of a test syncs its files. Not if scripts in memory can't be started."""
    if MEMORY.is_dir() and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(MEMORY).free > 2 * 10**9:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_configure() -> None:
    """A shell that starts the tests in its background has Ctrl-C ignored, and what a test starts would inherit that."""
    # A busy machine is no defect. Half as many examples as by default, since each run draws others.
    settings.register_profile("brief", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("brief")
    keep_files_in_memory()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mark() -> Iterator[str]:
    """For the processes of one test; what it leaves behind is ended after it."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in find_marked(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """An endpoint that answers at once."""
    with run_simulator(SimSettings(latency=0.0)) as server:
        yield server


@pytest_asyncio.fixture
async def session(respx_mock: respx.MockRouter) -> AsyncIterator[Session]:
    """A session whose requests go to respx."""
    async with make_session(max_attempts=3, concurrency=64) as session:
        yield session


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Like ``tmp_path``, in memory if the system has files there: for tests that sync or make thousands of files."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter. Restores root's rights after a test that drops them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        was_root = os.geteuid() == 0
        try:
            yield folder
        finally:
            if was_root:
                os.seteuid(0)
            for path in folder.iterdir():
                path.chmod(0o755)

"""What the tests share."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.serving.processes import marked


def pytest_configure() -> None:
    """A shell that starts the tests in its background has Ctrl-C ignored, and what a test starts would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mark() -> Iterator[str]:
    """For the processes of one test; what it leaves behind is ended after it."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)

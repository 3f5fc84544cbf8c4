"""What the tests share."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.serving.processes import marked


@pytest.fixture
def mark() -> Iterator[str]:
    """For the processes of one test; what it leaves behind is ended after it."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)

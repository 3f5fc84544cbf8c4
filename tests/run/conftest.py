"""Fixtures for tests of runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.0)) as server:
        yield server

"""A Ray cluster of three nodes on this machine, each with one CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ray.clusters import start_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with start_cluster(nodes=3) as cluster:
        yield cluster

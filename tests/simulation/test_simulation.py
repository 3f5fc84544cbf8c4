"""Random worlds on a virtual clock: what always holds, however the endpoints fail. More seeds: scripts/simulate.py."""

from __future__ import annotations

import pytest

from tests.simulation.client_run import simulate
from tests.simulation.world import draw_world


@pytest.mark.parametrize("seed", [1, 4, 35])
def test_a_seed_gives_the_same_events_each_time(seed: int) -> None:
    first, second = simulate(draw_world(seed)), simulate(draw_world(seed))
    assert first.trace == second.trace
    assert len(first.trace) > len(first.world.rows)

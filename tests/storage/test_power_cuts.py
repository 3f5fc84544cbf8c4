"""A run resumes to the same bytes from whatever a power failure leaves, in the middle of any of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.power_cut import lay_out, watch_disk
from tests.storage.scenario import SCENARIOS, read_folder
from tests.storage.test_crashes import BEFORE, prepare
from tests.storage.test_listing_crashes import SCENARIOS as LISTED

DEEP_SEEDS = range(6)


def check_states(
    folder: Path, run: Callable[..., object], resume: Callable[[Path], object], *, seed: int | None, every: int
) -> int:
    """Returns the number of states."""
    history = watch_disk(folder / "whole", run)
    expected = read_folder(folder / "whole")
    count = 0
    for count, state in enumerate(history.iterate_states(seed, every), 1):
        copy = lay_out(folder / "copy", state)
        resume(copy)
        assert read_folder(copy) == expected, (count, {name: data and len(data) for name, data in state.items()})
        shutil.rmtree(copy)
    return count


@pytest.mark.parametrize("scenario", BEFORE)
def test_a_run_resumes_after_a_power_failure(scenario: str, memory_path: Path) -> None:
    prepare(scenario, memory_path / "whole")
    run = SCENARIOS[scenario]
    assert check_states(memory_path, run, lambda folder: run(folder, order=9), seed=None, every=9) > 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", DEEP_SEEDS)
@pytest.mark.parametrize("scenario", BEFORE)
def test_a_run_resumes_after_any_power_failure(scenario: str, seed: int, memory_path: Path) -> None:
    """Each file may have something else left, at every moment."""
    prepare(scenario, memory_path / "whole")
    run = SCENARIOS[scenario]
    count = check_states(memory_path, run, lambda folder: run(folder, order=seed), seed=seed or None, every=1)
    assert count > 100


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scenario", LISTED)
def test_a_run_with_a_listing_resumes_after_a_power_failure(scenario: str, every: int, memory_path: Path) -> None:
    before, run = LISTED[scenario]
    (memory_path / "whole").mkdir()
    if before is not None:
        before(memory_path / "whole")
    count = check_states(memory_path, run, lambda folder: run(folder, backwards=True), seed=None, every=every)
    assert count > 8

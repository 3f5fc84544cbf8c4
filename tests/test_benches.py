"""The benches of scripts/ measure what they say."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def concurrency(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("benches.concurrency")


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("benches.common")


@pytest.mark.slow
def test_a_run_that_lasts_gives_its_rate(concurrency: Any, common: Any, tmp_path: Path) -> None:
    with common.run_simulator("--slots", 4, "--latency", 0.2) as (url, _):
        result = concurrency.measure_run(url, common.SIMULATED_MODEL, tmp_path, "4", 2)
    assert 10 <= result.rate <= 21
    assert (result.rejected, result.lost) == (0, 0)


@pytest.mark.slow
def test_a_run_that_is_stopped_gives_no_rate(concurrency: Any, common: Any, tmp_path: Path) -> None:
    """Fifty bad answers in a row stop it."""
    with (
        common.run_simulator("--latency", 0.01, "--fault", "no_tag=1") as (url, _),
        pytest.raises(RuntimeError, match=r"^The run ended before (its first row|5 seconds)"),
    ):
        concurrency.measure_run(url, common.SIMULATED_MODEL, tmp_path, "8", 5)

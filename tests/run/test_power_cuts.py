"""A recheck and a merge end in the same files after whatever a power failure leaves of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.run.merge import merge_runs
from persqa_client.run.recheck import recheck_run
from persqa_client.simulator.server import Simulator
from tests.run.recheck_runs import finish_run, mix
from tests.run.test_shards import go, write_rows
from tests.storage.power_cut import lay_out, watch_disk
from tests.storage.scenario import read_folder

# Moments of which one is tried; the seed of what is left of each file.
DEPTHS = [(3, None), *(pytest.param(1, seed, marks=pytest.mark.slow) for seed in (None, 1, 2, 3))]


def read_without_lock(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in read_folder(folder).items() if not name.endswith(".lock")}


@pytest.mark.parametrize(("every", "seed"), DEPTHS)
def test_a_recheck_is_completed_or_undone_after_a_power_failure(
    every: int, seed: int | None, memory_path: Path
) -> None:
    finish_run(memory_path / "whole", mix())
    before = read_without_lock(memory_path / "whole")
    history = watch_disk(memory_path / "whole", lambda folder: recheck_run(folder / "qa.jsonl"))
    after = read_without_lock(memory_path / "whole")
    assert before != after
    count = 0
    for count, state in enumerate(history.iterate_states(seed, every), 1):
        copy = lay_out(memory_path / "copy", state)
        recheck_run(copy / "qa.jsonl")
        assert read_without_lock(copy) == after, count
        shutil.rmtree(copy)
    assert count > 10


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    rows = write_rows(folder)
    for number in (1, 2):
        go(simulator, rows, folder / f"part-{number}.jsonl", questions=2, shard=f"{number}/2")
    (folder / "part-1.decisions.jsonl").write_text('{"row": 1}\n')
    return folder


def merge(folder: Path) -> None:
    merge_runs(sorted(folder.glob("part-?.jsonl")), folder / "qa.jsonl")


def read_merged(folder: Path) -> dict[str, Any]:
    """Without the paths of the shards, which are those of the folder."""
    found: dict[str, Any] = {name: data for name, data in read_without_lock(folder).items() if name.startswith("qa.")}
    found["qa.run.json"] = {**json.loads(found["qa.run.json"]), "merged": None}
    return found


@pytest.mark.parametrize(("every", "seed"), DEPTHS)
def test_a_merge_is_completed_or_begun_again_after_a_power_failure(
    every: int, seed: int | None, shards: Path, memory_path: Path
) -> None:
    shutil.copytree(shards, memory_path / "whole")
    history = watch_disk(memory_path / "whole", merge)
    after = read_merged(memory_path / "whole")
    count = 0
    for count, state in enumerate(history.iterate_states(seed, every), 1):
        copy = lay_out(memory_path / "copy", state)
        try:
            merge(copy)
        except SettingsError:
            assert (copy / "qa.run.json").exists(), "it was at its end"
        assert read_merged(copy) == after, count
        shutil.rmtree(copy)
    assert count > 10

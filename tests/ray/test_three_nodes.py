"""A run on three nodes gives the files of a run in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client.simulator.server import Simulator
from tests.ray.clusters import draw_pictures, run_words
from tests.support.commands import persqa

pytestmark = pytest.mark.slow
ROWS = 60


def test_the_output_is_that_of_one_process(cluster: Any, simulator: Simulator, tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures", ROWS)
    (pictures / "0007.png").write_bytes(b"no picture")
    words = run_words(cluster, simulator.base_url)
    first = persqa(*words, "--json", cwd=tmp_path, timeout=120)
    assert first.returncode == 1, first.stderr
    result = json.loads(first.stdout)
    assert (result["state"], result["rows"], result["failed"]) == ("finished", ROWS, 1)
    # Four for each node.
    assert len(list(tmp_path.glob("qa.shard-*-of-012.run.json"))) == 12
    again = persqa(*words, cwd=tmp_path, timeout=120)
    assert (again.returncode, "nothing to do" in again.stderr) == (1, True), again.stderr
    run_here(words, tmp_path)
    for ending in ("jsonl", "failed.jsonl"):
        assert (tmp_path / f"qa.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()


def run_here(words: list[str], folder: Path) -> None:
    """The same run with the local engine."""
    local = [*words[: words.index("--engine")]]
    local[local.index("qa.jsonl")] = "whole.jsonl"
    assert persqa(*local, cwd=folder).returncode == 1

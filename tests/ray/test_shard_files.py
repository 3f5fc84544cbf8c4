"""Names of the shards' files, and how many shards a run has."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.shards import Shard
from persqa_client.ray.shard_files import choose_shards, find_begun_shards, shard_output


@pytest.mark.parametrize(
    ("output", "shard", "name"),
    [
        ("qa.jsonl", Shard(3, 16), "qa.shard-003-of-016.jsonl"),
        ("qa", Shard(1, 2), "qa.shard-001-of-002"),
        ("qa.v2.ndjson", Shard(12, 2000), "qa.v2.shard-0012-of-2000.ndjson"),
    ],
)
def test_the_shards_lie_beside_the_output_and_are_found_again(
    output: str, shard: Shard, name: str, tmp_path: Path
) -> None:
    path = shard_output(tmp_path / output, shard)
    assert path == tmp_path / name
    assert find_begun_shards(tmp_path / output) is None
    path.with_name(f"{path.name}.checkpoint").touch()
    (tmp_path / "other.shard-001-of-007.jsonl").touch()
    assert find_begun_shards(tmp_path / output) == shard.total


def test_shards_of_two_runs_are_refused(tmp_path: Path) -> None:
    for total in (2, 3):
        shard_output(tmp_path / "qa.jsonl", Shard(1, total)).touch()
    with pytest.raises(SettingsError, match="2 and 3 shards"):
        find_begun_shards(tmp_path / "qa.jsonl")


def test_a_run_keeps_its_number_of_shards() -> None:
    output = Path("qa.jsonl")
    assert choose_shards(None, None, 3, output) == 12
    assert choose_shards(5, None, 3, output) == 5
    assert choose_shards(None, 8, 3, output) == choose_shards(8, 8, 3, output) == 8
    with pytest.raises(SettingsError, match="begun with 8 shards, and --shards is 5"):
        choose_shards(5, 8, 3, output)
    with pytest.raises(SettingsError, match="100,000"):
        choose_shards(100_001, None, 3, output)

"""Runs over shards of an input give together what one run over the whole input gives."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.shards import Shard, iterate_rows
from persqa_client.inputs.sources import NamedLine
from persqa_client.run.merge import merge_runs
from persqa_client.run.recheck import recheck_run
from persqa_client.run.row_count import count_shard
from persqa_client.run.summary import Summary, list_results
from persqa_client.simulator.server import Simulator
from persqa_client.types import START_POSITION
from tests.support.cases import each_case
from tests.support.commands import persqa

ROWS = 24
SHARDS = 3


def write_rows(folder: Path) -> Path:
    """Rows with blank lines between them, of which some fail."""
    for number in range(4):
        Image.new("RGB", (40, 30), (60 * number, 0, 0)).save(folder / f"{number}.png")
    rows = [{"id": number, "image": f"{number % 5}.png"} for number in range(ROWS)]
    lines = [json.dumps(row) + ("\n\n" if row["id"] == 2 else "\n") for row in rows]
    path = folder / "in.jsonl"
    path.write_text("".join([*lines, "no row\n"]))
    return path


def go(simulator: Simulator, rows: Path, output: Path, **flags: Any) -> Summary:
    return generate(
        rows, output, base_url=simulator.base_url, model="persqa-simulator", probes=False, concurrency=4, **flags
    )


@pytest.mark.parametrize("questions", [1, 2])
def test_shards_have_the_lines_of_the_whole_run(questions: int, tmp_path: Path, simulator: Simulator) -> None:
    rows = write_rows(tmp_path)
    whole = go(simulator, rows, tmp_path / "whole.jsonl", questions=questions)
    assert whole.tally.failed_total
    parts = [
        go(simulator, rows, tmp_path / f"part-{number}.jsonl", questions=questions, shard=f"{number}/{SHARDS}")
        for number in range(1, SHARDS + 1)
    ]
    assert sum(part.tally.rows for part in parts) == whole.tally.rows == ROWS + 1
    for ending in ("jsonl", "failed.jsonl"):
        texts = [(tmp_path / f"part-{number}.{ending}").read_text() for number in range(1, SHARDS + 1)]
        together = sorted(line for text in texts for line in text.splitlines())
        assert together == sorted((tmp_path / f"whole.{ending}").read_text().splitlines())
    again = go(simulator, rows, tmp_path / "part-1.jsonl", questions=questions, shard=f"1/{SHARDS}")
    assert again.state == "already"


def ids_in(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_shard_is_a_part_of_the_limited_rows_and_grows_with_the_limit(tmp_path: Path, simulator: Simulator) -> None:
    rows = write_rows(tmp_path)
    for limit in (4, 10):
        go(simulator, rows, tmp_path / f"{limit}.jsonl", limit=limit)
        for number in (1, 2):
            # The second limit extends the run of the first one.
            go(simulator, rows, tmp_path / f"part-{number}.jsonl", limit=limit, shard=f"{number}/2")
        assert sorted([*ids_in(tmp_path / "part-1.jsonl"), *ids_in(tmp_path / "part-2.jsonl")]) == ids_in(
            tmp_path / f"{limit}.jsonl"
        )


def test_a_dry_run_shows_the_rows_of_the_shard_alone(tmp_path: Path) -> None:
    rows = write_rows(tmp_path)
    flags = ("--dry-run", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    shown = [persqa("run", rows, "--shard", f"{number}/2", *flags, cwd=tmp_path).stdout for number in (1, 2)]
    first = [re.findall(r"--- line (\d+):", text) for text in shown]
    assert all(len(numbers) == 3 for numbers in first)
    assert not set(first[0]) & set(first[1])
    rows.write_text('{"image": "1.png"}\n')
    results = [persqa("run", rows, "--shard", f"{number}/2", *flags, cwd=tmp_path) for number in (1, 2)]
    empty = max(results, key=lambda result: result.returncode)
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "None of the rows is in the shard" in empty.stderr


def test_shards_may_write_beside_the_files_of_a_pattern(tmp_path: Path, simulator: Simulator) -> None:
    """The second one does not read what the first one has written, and both have read the same rows."""
    write_rows(tmp_path)
    for number in (1, 2):
        go(simulator, tmp_path / "*.jsonl", tmp_path / f"part-{number}.jsonl", shard=f"{number}/2")
    assert (
        merge_runs([tmp_path / "part-1.jsonl", tmp_path / "part-2.jsonl"], tmp_path / "qa.jsonl").tally.rows == ROWS + 1
    )


def test_a_run_keeps_its_shard(tmp_path: Path, simulator: Simulator) -> None:
    rows, output = write_rows(tmp_path), tmp_path / "part.jsonl"
    go(simulator, rows, output, shard="1/3")
    with pytest.raises(SettingsError, match='shard was "1/3" in this run and is "2/3" now'):
        go(simulator, rows, output, shard="2/3")
    with pytest.raises(SettingsError, match='shard was "1/3" in this run and is not set now'):
        go(simulator, rows, output)


def test_a_shard_without_rows_is_a_finished_run(tmp_path: Path, simulator: Simulator) -> None:
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"image": "missing.png"}\n')
    summaries = [go(simulator, rows, tmp_path / f"{number}.jsonl", shard=f"{number}/2") for number in (1, 2)]
    assert sorted(summary.tally.rows for summary in summaries) == [0, 1]
    assert {summary.state for summary in summaries} == {"finished"}
    assert all((tmp_path / f"{number}.jsonl").read_bytes() == b"" for number in (1, 2))


def test_the_summary_and_the_run_file_tell_the_share_of_the_limits(tmp_path: Path, simulator: Simulator) -> None:
    summary = go(simulator, write_rows(tmp_path), tmp_path / "qa.jsonl", rpm=60_000, limits_share="1/2")
    limits = "share 1/2 of the given ones: 2 requests at once, 30,000 requests per minute"
    assert ("limits", limits) in list_results(summary)
    fields = json.loads((tmp_path / "qa.run.json").read_text())
    assert (fields["limits"]["rpm"], fields["limits_share"]) == (30_000, "1/2")


def test_a_recheck_without_details_reads_the_rows_of_the_shard(tmp_path: Path, simulator: Simulator) -> None:
    rows, output = write_rows(tmp_path), tmp_path / "part.jsonl"
    summary = go(simulator, rows, output, shard="2/3")
    (tmp_path / "part.details.jsonl").unlink()
    report = recheck_run(output, dry_run=True)
    assert (report.questions, report.tally.succeeded) == (summary.tally.tasks, summary.tally.succeeded)


@each_case(("limit", "number"), [(None, 1), (None, 2), (6, 1), (6, 2)])
def test_the_progress_counts_the_rows_of_the_shard(limit: int | None, number: int, tmp_path: Path) -> None:
    source, shard = FileSource(write_rows(tmp_path)), Shard(number, 2)
    expected = sum(1 for _ in iterate_rows(source, limit, shard))
    assert 0 < expected < ROWS
    stopped = threading.Event()
    assert count_shard([source], limit, shard, stopped) == expected
    stopped.set()
    assert count_shard([source], limit, shard, stopped) is None


def test_a_shard_of_unusable_rows_alone_fails_them(tmp_path: Path, simulator: Simulator) -> None:
    """The other shards may have usable ones. A run over all of these rows would be refused."""
    lines = [f'{{"image": "{number}.png"}}' for number in range(12)]
    shard = Shard(1, 2)
    missing = [line for line in lines if shard.includes(NamedLine(line.encode(), START_POSITION, None))]
    assert len(missing) > 2
    rows = tmp_path / "in.jsonl"
    rows.write_text("\n".join(missing))
    with pytest.raises(RunStopped):
        go(simulator, rows, tmp_path / "qa.jsonl")
    summary = go(simulator, rows, tmp_path / "part.jsonl", shard="1/2")
    assert (summary.tally.rows, dict(summary.tally.failed)) == (len(missing), {"image_missing": len(missing)})

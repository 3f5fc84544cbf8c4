"""Starts of a run whose shards are all finished, which need no cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persqa_client.config import Endpoint
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.shards import Shard
from persqa_client.ray.coordinator import JobState
from persqa_client.ray.job import RayOptions, RayRun
from persqa_client.ray.shard_files import list_shards, shard_output
from persqa_client.run.run_input import refuse_empty_source
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator
from persqa_client.storage.tally import Tally
from tests.ray.test_reports import make_report
from tests.run.test_shards import ROWS, go, write_rows

TOTAL = 2


@pytest.fixture
def rows(tmp_path: Path, simulator: Simulator) -> Path:
    """An input of which all shards are finished; some of its rows have failed."""
    rows = write_rows(tmp_path)
    for shard in list_shards(TOTAL):
        work_on(shard, rows, simulator)
    return rows


def output_of(rows: Path) -> Path:
    return rows.with_name("qa.jsonl")


def work_on(shard: Shard, rows: Path, simulator: Simulator, **flags: Any) -> None:
    go(simulator, rows, shard_output(output_of(rows), shard), shard=str(shard), **flags)


async def execute(rows: Path, simulator: Simulator, merges: bool = True, **flags: Any) -> Summary:
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    settings = make_run_settings([endpoint], flags, input=rows, output=output_of(rows))
    run = RayRun(settings, open_inputs([rows], "image"), RayOptions((str(rows),), merges=merges))
    summary = await run.execute()
    assert run.summary == summary
    return summary


async def test_finished_shards_are_merged_once(rows: Path, simulator: Simulator) -> None:
    sent = simulator.stats()["requests"]
    first, again = await execute(rows, simulator), await execute(rows, simulator)
    assert (first.state, again.state) == ("finished", "already")
    assert first.tally.rows == again.tally.rows == ROWS + 1
    assert simulator.stats()["requests"] == sent


async def test_without_a_merge_the_shards_are_named(rows: Path, simulator: Simulator) -> None:
    summary = await execute(rows, simulator, merges=False)
    assert (summary.state, summary.tally.rows) == ("already", ROWS + 1)
    assert "qa.shard-001-of-002.jsonl to qa.shard-002-of-002.jsonl" in summary.findings[-1]
    assert not output_of(rows).exists()


async def test_changed_shards_are_merged_anew(rows: Path, simulator: Simulator) -> None:
    before = await execute(rows, simulator)
    failed = before.tally.failed_total
    assert failed
    (rows.parent / "4.png").write_bytes((rows.parent / "0.png").read_bytes())
    for shard in list_shards(TOTAL):
        work_on(shard, rows, simulator, retry_failed=True)
    after = await execute(rows, simulator)
    assert (after.state, after.tally.failed_total) == ("finished", 1), "a line that is no row stays"
    assert len((rows.parent / "qa.1.jsonl").read_bytes().splitlines()) == before.tally.succeeded


async def test_the_merge_alone_is_a_finished_run(rows: Path, simulator: Simulator) -> None:
    await execute(rows, simulator)
    for path in rows.parent.glob("*qa.shard-*"):
        path.unlink()
    assert (await execute(rows, simulator)).state == "already"
    with pytest.raises(SettingsError, match="seed"):
        await execute(rows, simulator, seed=5)
    with pytest.raises(SettingsError, match="leave out --engine ray to go on"):
        await execute(rows, simulator, retry_failed=True)


async def test_what_unfinished_shards_have_used_counts_before_they_go_on(tmp_path: Path, simulator: Simulator) -> None:
    rows = write_rows(tmp_path)
    one, two = list_shards(TOTAL)
    work_on(one, rows, simulator)
    with pytest.raises(RunStopped, match="max_tokens_total is 1"):
        work_on(two, rows, simulator, max_tokens_total=1)
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    settings = make_run_settings([endpoint], {}, input=rows, output=output_of(rows))
    run = RayRun(settings, open_inputs([rows], "image"), RayOptions((str(rows),)))
    work = run._find_work(TOTAL)
    assert list(work.waiting) == [two]
    used = [Tally.from_json(work.earlier[shard].tally).prompt_tokens for shard in (one, two)]
    assert min(used) > 0
    run.follow(JobState(), work.earlier)
    assert run.progress.spending.prompt_tokens == sum(used)
    with pytest.raises(RunStopped, match=r"The run has used .* tokens, and --max-tokens-total is"):
        await execute(rows, simulator, max_tokens_total=sum(used))
    # The first report of its worker has the same counts again.
    run.follow(JobState({two: make_report(shard=two)}), work.earlier)
    assert run.progress.spending.prompt_tokens == used[0] + make_report().prompt_tokens


def test_a_shard_that_begins_after_an_answer_joins_a_running_run(tmp_path: Path, simulator: Simulator) -> None:
    rows, (one, two) = write_rows(tmp_path), list_shards(TOTAL)
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    settings = make_run_settings([endpoint], {}, input=rows, output=output_of(rows))
    run = RayRun(settings, open_inputs([rows], "image"), RayOptions((str(rows),)))
    assert not run.make_task(one).joins
    report = replace(make_report(shard=one), outcomes=Counter(image_missing=2))
    run.follow(JobState({one: report}), {})
    assert not run.make_task(two).joins, "no endpoint has answered yet"
    run.follow(JobState({one: replace(report, outcomes=Counter(accepted=1))}), {})
    assert run.make_task(two).joins


async def test_another_number_of_shards_and_another_run_are_refused(rows: Path, simulator: Simulator) -> None:
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    settings = make_run_settings([endpoint], {}, input=rows, output=output_of(rows))
    run = RayRun(settings, open_inputs([rows], "image"), RayOptions((str(rows),), shards=3))
    with pytest.raises(SettingsError, match="begun with 2 shards, and --shards is 3"):
        await run.execute()
    go(simulator, rows, output_of(rows))
    with pytest.raises(SettingsError, match="a run without shards"):
        await execute(rows, simulator)


async def test_a_warning_that_the_workers_repeat_is_told_once(tmp_path: Path, simulator: Simulator) -> None:
    write_rows(tmp_path)
    only, output = Shard(1, 1), tmp_path / "qa.jsonl"
    go(simulator, tmp_path, shard_output(output, only), shard=str(only))
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    settings = make_run_settings([endpoint], {}, input=tmp_path, output=output)
    told: list[str] = []
    source = open_inputs([tmp_path], "image")
    refuse_empty_source(source)  # as the command does, which lists the folder
    run = RayRun(settings, source, RayOptions((str(tmp_path),)), warn=told.append)
    await run.execute()
    assert any("are skipped" in text for text in told), told
    run.follow(JobState(warnings=[*told, "The disk is slow."]), {})
    assert len(told) == len(set(told))
    assert told[-1] == "The disk is slow."

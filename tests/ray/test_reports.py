"""What the processes of a run tell each other, and how it is put together."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from pathlib import Path

import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import MaskedError, RunStopped, SettingsError, StorageError, UnusableInput
from persqa_client.inputs.shards import Shard
from persqa_client.ray.cluster import choose_node
from persqa_client.ray.coordinator import Coordinator
from persqa_client.ray.reports import ShardEnd, ShardReport, add_endpoints, add_reports, describe_error_end
from persqa_client.ray.worker import ShardTask, check_node, run_shard
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import EndpointStats

SHARD = Shard(2, 3)


def make_report(worker: str = "w", shard: Shard = SHARD, done: int = 5, earlier: int = 2) -> ShardReport:
    return ShardReport(
        worker,
        shard,
        done=done,
        earlier=earlier,
        failed=1,
        earlier_failed=0,
        prompt_tokens=100,
        completion_tokens=10,
        outcomes=Counter(accepted=done - earlier - 1, empty=1),
        traffic=TrafficCounts(sent=9),
        permits=4,
        phase="Answering",
    )


@pytest.mark.parametrize(
    "error",
    [
        RunStopped("wrong_key", "The key is refused."),
        UnusableInput("image_missing", "None of the rows can be asked about."),
        StorageError("no space is left"),
        SettingsError("the setting seed has changed"),
    ],
)
def test_an_error_of_a_worker_reaches_the_driver(error: MaskedError) -> None:
    end: ShardEnd = pickle.loads(pickle.dumps(describe_error_end(SHARD, error, "on the node gpu1")))
    found = end.make_error()
    assert type(found) is type(error)
    assert str(error) in str(found)
    if isinstance(error, RunStopped):
        assert isinstance(found, RunStopped)
        assert (found.code, str(found)) == (error.code, str(error))
    else:
        assert "on the node gpu1" in str(found)


def test_the_progress_is_that_of_all_shards() -> None:
    progress = RunProgress()
    reports = [make_report(), make_report("v", Shard(3, 3), done=10, earlier=0)]
    add_reports(progress, reports, [])
    assert (progress.earlier, progress.done, progress.failed) == (2, 13, 2)
    assert progress.outcomes == Counter(accepted=11, empty=2)
    assert (progress.spending.prompt_tokens, progress.spending.failed) == (200, 2)
    assert progress.phase == "Answering"
    ended = dataclasses.replace(reports[0], has_ended=True, phase="Finishing the files")
    starting = dataclasses.replace(reports[1], phase="Starting")
    add_reports(progress, [starting, ended], [])
    assert (progress.done, progress.phase) == (13, "Starting")


def test_the_counts_of_an_endpoint_are_added() -> None:
    one, two = EndpointStats("http://a/v1", 3, 1, 10, 1, 1), EndpointStats("http://b/v1", 1, 0, 5, 1)
    assert add_endpoints([one, two, one]) == (EndpointStats("http://a/v1", 6, 2, 20, 2, 1), two)


async def test_the_latest_report_of_a_shard_counts() -> None:
    coordinator = Coordinator(Limits(concurrency=4), endpoints=0)
    for worker in ("a", "a", "b"):
        await coordinator.report(make_report(worker))
    await coordinator.stop(1)
    instructions = await coordinator.report(make_report("b", done=6))
    assert instructions.stops == 1
    assert (await coordinator.look()).latest[SHARD].done == 6


def test_a_node_without_the_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    settings = make_run_settings([endpoint], {"shard": "1/2"}, output="qa.jsonl")
    marker = Path(".qa.jsonl.ray")
    marker.write_text("mark")
    task = ShardTask(settings, ("photos",), str(tmp_path), marker, "mark")
    check_node(task)
    for changed, message in [
        (ShardTask(settings, ("photos",), str(tmp_path), marker, "another"), "is another one here. With --engine ray"),
        (ShardTask(settings, ("photos",), str(tmp_path / "no"), marker, "mark"), "can't be used (No such file"),
    ]:
        with pytest.raises(SettingsError) as caught:
            check_node(changed)
        assert message in str(caught.value)


def test_a_node_with_another_version_is_named() -> None:
    """Whatever that version sends."""
    end = run_shard(SHARD, "0.0.0", b"no pickle", None)
    found = end.make_error()
    assert isinstance(found, SettingsError)
    assert "and 0.0.0 where the run was started: install one version on all nodes" in str(found)


def test_the_emptiest_node_gets_the_next_shard() -> None:
    assert choose_node({"a": 1, "b": 0, "c": 2}, own="b") == "b"
    assert choose_node({"a": 1, "b": 1, "c": 1}, own="a") == "b"

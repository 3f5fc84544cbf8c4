"""The timeline of a run: what a sample has, how long the file gets, and that an error of it does not stop the run."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.traffic_counts import DURATION_BOUNDS
from persqa_client.engines.row_loop import RunProgress
from persqa_client.inputs.files import FileSource
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.run.timeline import (
    TimelineSample,
    parse_starts,
    read_timeline,
    render_sample,
    seconds_to_next_sample,
    take_sample,
)
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.run.test_progress import MODEL, make_run, picture

__all__ = ["picture"]
NONE = [0] * (len(DURATION_BOUNDS) + 1)


def make_latency(**counts: int) -> list[int]:
    latency = list(NONE)
    for name, count in counts.items():
        latency[int(name.removeprefix("n"))] = count
    return latency


FIRST = TimelineSample(1.04, 10, 1, 8, 16, 8.0, 2.0, 1000, 50, {"busy": 2}, {"busy": 3}, make_latency(n4=6, n7=4))
SECOND = TimelineSample(2.0, 20, 1, 8, 16, None, None, 2000, 90, {"busy": 2}, {"busy": 3}, make_latency(n4=6, n7=9))


def test_a_sample_has_what_is_new_of_the_counts_by_reason_and_duration() -> None:
    assert json.loads(render_sample(FIRST, TimelineSample(0.0))) == {
        "t": 1.0,
        "done": 10,
        "failed": 1,
        "in_flight": 8,
        "limit": 16,
        "running": 8,
        "waiting": 2,
        "tokens": [1000, 50],
        "retries": {"busy": 2},
        "refusals": {"busy": 3},
        "latency": {"4": 6, "7": 4},
    }
    assert json.loads(render_sample(SECOND, FIRST)) == {
        "t": 2.0,
        "done": 20,
        "failed": 1,
        "in_flight": 8,
        "limit": 16,
        "tokens": [2000, 90],
        "latency": {"7": 5},
    }


def test_samples_are_read_as_they_were() -> None:
    mark = (
        b'{"tool":"persqa_client","timeline":1,"started":"%s","latency_bounds":'
        + json.dumps(list(DURATION_BOUNDS)).encode()
    )
    lines = [mark.replace(b"%s", b"2026-01-02T03:04:05Z") + b"}", render_sample(FIRST, TimelineSample(0.0))]
    lines += [render_sample(SECOND, FIRST), b'{"t":3.0,"do', b"null", b'{"t":"x"}']
    lines += [mark.replace(b"%s", b"2026-01-02T04:00:00Z") + b"}", render_sample(FIRST, TimelineSample(0.0))]
    unknown, one, two = parse_starts(lines)
    assert unknown.samples == []
    assert (one.started, two.started) == ("2026-01-02T03:04:05Z", "2026-01-02T04:00:00Z")
    assert [sample.done for sample in one.samples] == [10, 20]
    assert (one.samples[1].latency, one.samples[1].retries) == (SECOND.latency, {"busy": 2})
    assert two.samples[0].latency == FIRST.latency


WRONG = (float("inf"), float("nan"), 10**400, -1, "x", [1], True, {"a": "b"}, {"a": float("inf")}, {"99": 1}, {"-1": 1})


def test_lines_that_are_damaged_are_left_out() -> None:
    sample = json.loads(render_sample(FIRST, TimelineSample(0.0)))
    first, last = ({**sample, "t": seconds} for seconds in (1.0, 3.0))
    damaged = [{**sample, "t": 2.0, name: value} for name in sample for value in WRONG]
    # Reasons may have any name.
    damaged = [each for each in damaged if {"99": 1} not in (each["retries"], each["refusals"])]
    damaged = [each for each in damaged if {"-1": 1} not in (each["retries"], each["refusals"])]
    damaged += [{**sample, "t": 2.0, "tokens": [1, value]} for value in WRONG]
    damaged += [{**sample, "t": 0.5}, {**sample, "t": 2.0, "latency": {"4": float("inf")}}]
    mark = {"tool": "persqa_client", "timeline": 1, "latency_bounds": DURATION_BOUNDS}
    lines = [json.dumps(each).encode() for each in (mark, first, *damaged, last)]
    start = [*parse_starts(lines)][1]
    assert [each.seconds for each in start.samples] == [1.0, 3.0]


def test_durations_in_other_classes_are_left_out() -> None:
    lines = [b'{"tool":"persqa_client","timeline":1,"latency_bounds":[1]}', render_sample(FIRST, TimelineSample(0.0))]
    assert [*parse_starts(lines)][1].samples[0].latency == NONE


def test_a_day_has_less_than_two_megabytes() -> None:
    """Also if answers take any time, and are refused for many reasons."""
    reasons = Counter({f"reason_{number}": 10**9 for number in range(9)})
    for latency, more in ((make_latency(n4=10**6), {}), ([10**6] * len(NONE), reasons)):
        sample = TimelineSample(86_400.0, 10**7, 10**6, 512, 512, 512.0, 512.0, 10**10, 10**9, more, more, latency)
        length = len(render_sample(sample, TimelineSample(0.0)))
        seconds = written = 0.0
        while seconds < 86_400:
            written += length
            seconds += seconds_to_next_sample(seconds, length)
        assert written < 2.0e6
    assert (seconds_to_next_sample(0, 200), seconds_to_next_sample(299, 200)) == (1, 1)
    assert (seconds_to_next_sample(300, 190), seconds_to_next_sample(300, 380)) == (10, 20)


def make_file_run(server: Simulator, folder: Path, picture: Path, rows: int, **settings: object) -> Run:
    lines = (json.dumps({"image": str(picture), "id": number}) + "\n" for number in range(rows))
    (folder / "in.jsonl").write_text("".join(lines))
    base = RunSettings(
        input=folder / "in.jsonl",
        output=folder / "qa.jsonl",
        endpoint=Endpoint(base_url=server.base_url, model=MODEL),
        limits=Limits(concurrency=2),
        probes=False,
    )
    warnings: list[str] = []
    run = Run(base.model_copy(update=settings), FileSource(folder / "in.jsonl"), warn=warnings.append)
    run.warnings = warnings  # type: ignore[attr-defined]
    return run


async def test_each_start_has_a_mark_and_its_samples(picture: Path, tmp_path: Path) -> None:
    with run_simulator(SimSettings()) as server:
        for rows in (2, 3):
            await make_file_run(server, tmp_path, picture, rows).execute()
    starts = read_timeline(tmp_path / "qa.timeline.jsonl")
    assert not (tmp_path / "qa.timeline.jsonl.partial").exists()
    assert [start.samples[-1].done for start in starts] == [2, 1]
    last = starts[0].samples[-1]
    assert (last.failed, last.limit, sum(last.latency)) == (0, 2, 2)
    assert last.completion_tokens > 0
    assert all(start.started.endswith("Z") for start in starts)


async def test_a_run_does_not_need_its_timeline(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "qa.timeline.jsonl.partial").mkdir()
    with run_simulator(SimSettings()) as server:
        run = make_file_run(server, tmp_path, picture, 2)
        summary = await run.execute()
    assert summary.tally.succeeded == 2
    assert [warning for warning in run.warnings if "timeline" in warning] == [  # type: ignore[attr-defined]
        f"There is no timeline from now on, which the run does not need: {tmp_path}/qa.timeline.jsonl.partial exists "
        "and is not a timeline: move it, or choose another -o"
    ]


async def test_a_run_without_an_output_has_no_timeline(picture: Path, tmp_path: Path) -> None:
    with run_simulator(SimSettings()) as server:
        await make_run(server.base_url, picture, 2).execute()
    assert os.listdir(tmp_path) == [picture.name]


async def test_samples_are_taken_while_a_run_works(picture: Path, tmp_path: Path) -> None:
    with run_simulator(SimSettings(latency=0.4)) as server:
        run = make_file_run(server, tmp_path, picture, 8)
        await run.execute()
    (start,) = read_timeline(tmp_path / "qa.timeline.jsonl")
    assert len(start.samples) >= 3
    assert start.samples[0].done == 0
    assert 0 < start.samples[1].done < 8
    assert start.samples[1].in_flight > 0


@pytest.mark.parametrize("reports", [True, False])
async def test_the_queue_of_the_server_is_sampled_if_it_is_known(reports: bool, picture: Path) -> None:
    from persqa_client.limits.server_metrics import ServerMetrics

    run = make_run("http://127.0.0.1:9/v1", picture, 1)
    if reports:
        run.pool.sessions[0].concurrency_limit.record_metrics(ServerMetrics(running=3, waiting=1))
    sample = take_sample(RunProgress(), run.pool, 1.0)
    await run.pool.aclose()
    assert (sample.running, sample.waiting) == ((3, 1) if reports else (None, None))
    await asyncio.sleep(0)

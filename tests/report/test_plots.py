"""The series of the plots: rates between samples, few points for any length, and processes one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from persqa_client.report.plots import MAX_POINTS, make_timeline_json, round_figure
from persqa_client.run.timeline import NO_LATENCY, TimelineSample, TimelineStart


def count_latency(count: int, place: int = 10) -> tuple[int, ...]:
    return (*NO_LATENCY[:place], count, *NO_LATENCY[place + 1 :])


def make_samples(seconds: Sequence[float], rate: float = 2.0) -> list[TimelineSample]:
    return [
        TimelineSample(
            each,
            done=round(rate * each),
            in_flight=8,
            limit=16,
            retries={"busy": round(each)},
            latency=count_latency(round(rate * each)),
        )
        for each in seconds
    ]


def test_rates_are_those_between_two_points() -> None:
    samples = make_samples([0, 1, 2])
    more = {"retries": {"busy": 2, "lost": 1}, "latency": count_latency(14)}
    samples.append(TimelineSample(4, done=14, in_flight=3, limit=16, **more))  # type: ignore[arg-type]
    found = make_timeline_json([TimelineStart("", samples)])
    assert found is not None
    assert found["seconds"] == [0, 1, 2, 4]
    assert found["rate"] == [None, 2, 2, 5]
    assert found["in_flight"] == [8, 8, 8, 3]
    assert found["retries"] == [None, 60, 60, 30]
    assert found["reasons"] == {"retries": {"busy": 2, "lost": 1}, "refusals": {}}
    assert "running" not in found
    assert found["latency"]["answers"] == 14
    assert found["p50"][0] is None
    assert found["p50"][1] <= found["p95"][1] <= found["p99"][1]


def test_the_last_sample_of_a_process_has_no_rate_of_its_own_if_it_follows_at_once() -> None:
    samples = make_samples([0, 1, 2])
    samples.append(TimelineSample(2.1, done=7, in_flight=0, limit=16))
    found = make_timeline_json([TimelineStart("", samples)])
    assert found is not None
    assert found["seconds"] == [0, 1, 2.1]
    assert found["rate"] == [None, 2, 4.545]
    assert found["in_flight"] == [8, 8, 0]


def test_the_processes_of_a_run_follow_each_other() -> None:
    starts = [TimelineStart("one", make_samples([0, 10])), TimelineStart("two", make_samples([0, 5]))]
    found = make_timeline_json(starts)
    assert found is not None
    assert found["seconds"] == [0, 10, 10, 15]
    assert found["rate"] == [None, 2, None, 2]
    assert found["starts"] == [[2, "two"]]
    assert found["latency"]["answers"] == 30


@pytest.mark.parametrize(("starts", "samples"), [(1, 601), (1, 20_000), (7, 3_000), (900, 3)])
def test_there_are_few_points(starts: int, samples: int) -> None:
    found = make_timeline_json([TimelineStart("", make_samples(range(samples))) for _ in range(starts)])
    assert found is not None
    assert MAX_POINTS / 3 <= len(found["seconds"]) <= MAX_POINTS
    assert {len(found[name]) for name in ("rate", "limit", "p99")} == {len(found["seconds"])}
    rates = [rate for rate in found["rate"] if rate is not None]
    assert rates == pytest.approx([2] * len(rates), rel=0.01)


def test_a_run_without_samples_has_no_plots() -> None:
    assert make_timeline_json([]) is None
    assert make_timeline_json([TimelineStart("", make_samples([0]))]) is None
    assert make_timeline_json([TimelineStart("", make_samples([0, 0]))]) is None


@pytest.mark.parametrize(("value", "shown"), [(0.123456, 0.1235), (12.0, 12), (123_456.7, 123_457), (0, 0)])
def test_figures_are_short(value: float, shown: float) -> None:
    assert round_figure(value) == shown

"""Turns the timeline of a run into the series of the page's plots: at most 600 points, whatever the length of the run.

Pure. Times are seconds of work: the processes of a run follow each other without the time between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from persqa_client.run.timeline import NO_LATENCY, TimelineSample, TimelineStart, find_latency
from persqa_client.types import Json

MAX_POINTS = 600
# Shares of the answers in the plot of their durations.
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MINUTE = 60.0
# The last sample of a process may follow the one before at once; a rate of so short a time says nothing.
MIN_SECONDS = 0.5
SERIES = ("rate", "in_flight", "limit", "running", "waiting", "retries", "refusals", *PERCENTILES)


def make_timeline_json(starts: Sequence[TimelineStart]) -> Json | None:
    """None if nothing was recorded. A series without a value is left out; a point without a value is None.

    ``starts``: number of the first point and time of day of each process after the first. No line leads to that point.
    """
    starts = [start for start in starts if start.samples[-1].seconds > start.samples[0].seconds]
    if not starts:
        return None
    total = sum(start.samples[-1].seconds for start in starts)
    points: list[Json] = []
    offset = 0.0
    for start in starts:
        points.append(make_point(start.samples[0], start.samples[0], offset) | {"started": start.started})
        points += make_points(start.samples, offset, total / max(1, MAX_POINTS - 3 * len(starts)))
        offset += start.samples[-1].seconds
    points = points[:: -(-len(points) // MAX_POINTS)]
    series = {name: [point[name] for point in points] for name in ("seconds", *SERIES)}
    return {
        **{name: values for name, values in series.items() if any(value is not None for value in values)},
        "starts": [[number, point["started"]] for number, point in enumerate(points) if number and "started" in point],
        "latency": describe_latency(starts),
        "reasons": {
            "retries": dict(sum((Counter(start.samples[-1].retries) for start in starts), Counter())),
            "refusals": dict(sum((Counter(start.samples[-1].refusals) for start in starts), Counter())),
        },
    }


def make_points(samples: Sequence[TimelineSample], offset: float, width: float) -> Iterator[Json]:
    """One for each ``width`` seconds in which there is a sample."""
    kept = [samples[0]]
    kept += [
        later
        for earlier, later in pairwise(samples)
        if int(later.seconds // width) > int(earlier.seconds // width) or later is samples[-1]
    ]
    if len(kept) > 2 and kept[-1].seconds - kept[-2].seconds < MIN_SECONDS:
        del kept[-2]
    for earlier, later in pairwise(kept):
        if later.seconds > earlier.seconds:
            yield make_point(earlier, later, offset)


def make_point(earlier: TimelineSample, later: TimelineSample, offset: float) -> Json:
    seconds = later.seconds - earlier.seconds
    known = find_latency(later.latency, earlier.latency, tuple(PERCENTILES.values()))
    percentiles: Sequence[float | None] = known or [None] * len(PERCENTILES)
    values: dict[str, float | None] = {
        "seconds": offset + later.seconds,
        "rate": (later.done - earlier.done) / seconds if seconds else None,
        "in_flight": later.in_flight,
        "limit": later.limit,
        "running": later.running,
        "waiting": later.waiting,
        "retries": rate_per_minute(later.retries, earlier.retries, seconds),
        "refusals": rate_per_minute(later.refusals, earlier.refusals, seconds),
        **dict(zip(PERCENTILES, percentiles, strict=True)),
    }
    return {name: None if value is None else round_figure(value) for name, value in values.items()}


def rate_per_minute(later: Mapping[str, int], earlier: Mapping[str, int], seconds: float) -> float | None:
    return MINUTE * (sum(later.values()) - sum(earlier.values())) / seconds if seconds else None


def describe_latency(starts: Sequence[TimelineStart]) -> Json | None:
    counts = NO_LATENCY
    for start in starts:
        counts = tuple(own + added for own, added in zip(counts, start.samples[-1].latency, strict=True))
    found = find_latency(counts, NO_LATENCY, tuple(PERCENTILES.values()))
    if found is None:
        return None
    return {"answers": sum(counts), **dict(zip(PERCENTILES, map(round_figure, found), strict=True))}


def round_figure(value: float) -> float:
    """Rounds to four digits, more than a plot shows; whole numbers stay."""
    rounded = float(f"{value:.4g}") if abs(value) < 1000 else round(value)
    return int(rounded) if rounded == int(rounded) else rounded

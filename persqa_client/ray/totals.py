"""Puts what the shards of a run tell together: their progress, and the counts of their endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from persqa_client.engines.row_loop import ANSWERING, RunProgress
from persqa_client.ray.reports import ShardReport
from persqa_client.run.summary import EndpointStats
from persqa_client.storage.checkpoint import FinishedRun
from persqa_client.storage.tally import Tally


def join_texts(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for each in texts for text in each))


def add_endpoints(stats: Sequence[EndpointStats]) -> tuple[EndpointStats, ...]:
    """The counts of each endpoint over all shards."""
    found: dict[str, EndpointStats] = {}
    for each in stats:
        before = found.get(each.base_url)
        found[each.base_url] = each if before is None else join_stats(before, each)
    return tuple(found.values())


def join_stats(one: EndpointStats, other: EndpointStats) -> EndpointStats:
    return EndpointStats(
        one.base_url,
        one.answers + other.answers,
        one.failed_rows + other.failed_rows,
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        max(one.outages, other.outages),
        one.left_out or other.left_out,
    )


def add_reports(progress: RunProgress, reports: Sequence[ShardReport], finished: Iterable[FinishedRun]) -> None:
    """Makes the progress that of all shards. ``finished``: those that had ended before this start."""
    tallies = [Tally.from_json(run.tally) for run in finished]
    progress.earlier = sum(tally.tasks for tally in tallies) + sum(report.earlier for report in reports)
    progress.earlier_failed = sum(t.failed_total for t in tallies) + sum(r.earlier_failed for r in reports)
    progress.done = sum(report.done - report.earlier for report in reports)
    progress.failed = sum(report.failed - report.earlier_failed for report in reports)
    progress.outcomes = reduce(add, (report.outcomes for report in reports), Counter[str]())
    spending = progress.spending
    spending.prompt_tokens = sum(t.prompt_tokens for t in tallies) + sum(r.prompt_tokens for r in reports)
    spending.completion_tokens = sum(t.completion_tokens for t in tallies) + sum(r.completion_tokens for r in reports)
    spending.failed = progress.failed
    phases = [report.phase for report in reports if not report.has_ended]
    if ANSWERING in phases:
        progress.phase = ANSWERING
    elif phases:
        progress.phase = phases[-1]


def name_final_limits(base_urls: Sequence[str], permits: Sequence[int]) -> list[str]:
    """The concurrency that ``auto`` has found for each endpoint, for all workers together."""
    prefixes = [f"{url}: " if len(base_urls) > 1 else "" for url in base_urls]
    return [
        f"{prefix}final concurrency: {each} (--concurrency auto)"
        for prefix, each in zip(prefixes, permits, strict=False)
    ]

"""The invariants that a report of a simulated run is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from persqa_client.limits.adaptive_limit import INITIAL_LIMIT
from persqa_client.outcomes import Record
from tests.simulation.client_run import Report
from tests.simulation.endpoint import EndpointSettings
from tests.simulation.oracle import answers, capacity, find_common_pauses, may_stop
from tests.simulation.replies import good_text
from tests.simulation.world import RowKind

CODES: dict[RowKind, str] = {
    "rejected": "rejected",
    "stubborn": "no_tag",
    "filtered": "content_filter",
    "killer": "engine_dead",
}
# Replies of the model that a row needs, besides its failures.
WORK: dict[RowKind, int] = {"cured": 2, "cut": 2, "stubborn": 2}
# The pace is measured until so many replies are left, per slot, or per request in flight at an endpoint that freezes:
# the last rows wait for the slowest retry, or for a time-out.
TAIL = 2
MIN_PACE = 0.85


def find_violations(report: Report) -> list[str]:
    return [
        *find_endless_runs(report),
        *find_lost_rows(report),
        *find_wrong_outcomes(report),
        *find_needless_stops(report),
        *find_repeated_answers(report),
        *find_slowness(report),
    ]


def find_endless_runs(report: Report) -> Iterator[str]:
    if report.stuck is not None:
        yield f"endless: {report.stuck}"


def find_lost_rows(report: Report) -> Iterator[str]:
    counts = Counter(row for _, row, _ in report.outcomes)
    if lost := [row for row in report.world.rows if not counts[row]]:
        yield f"lost: rows {lost}"
    if doubled := [row for row, count in counts.items() if count > 1]:
        yield f"doubled: rows {doubled}"


def find_wrong_outcomes(report: Report) -> Iterator[str]:
    wrong: dict[str, list[int]] = {}
    for _, row, outcome in report.outcomes:
        kind = report.world.rows[row].kind
        if isinstance(outcome, Record):
            if kind in CODES:
                wrong.setdefault(f"answered though {kind}", []).append(row)
            elif outcome.answer != good_text(row):
                wrong.setdefault("answered with another row's answer", []).append(row)
        elif outcome.code != CODES.get(kind):
            wrong.setdefault(f"{kind} row failed as {outcome.code}", []).append(row)
    for what, rows in wrong.items():
        yield f"{what}: {len(rows)} ({', '.join(map(str, rows[:6]))}{' …' if len(rows) > 6 else ''})"


def find_needless_stops(report: Report) -> Iterator[str]:
    for stop in report.stops:
        start = next(start for start, end in report.spans if end >= stop.at)
        good = [number for number, one in enumerate(report.world.endpoints) if not may_stop(one, start, stop.at)]
        if good:
            yield f"stopped at {stop.at:.1f} s ({stop.code}) though endpoint {good[0]} could be waited for"


def find_repeated_answers(report: Report) -> Iterator[str]:
    """An answered request may be sent again as a trial: a few times in each bad phase, and when a bad row fails.

    A failure that arrives during a trial needs another one.
    """
    repeats = sum(count - 1 for count in report.world.delivered.values() if count > 1)
    bad_phases = sum(not answers(phase) for one in report.world.endpoints for phase in one.timeline.phases)
    if repeats > 3 * bad_phases + 2 * len(report.world.bad_rows) + 2:
        yield f"{repeats} answers were paid for twice"


def find_slowness(report: Report) -> Iterator[str]:
    work, possible = measure_pace(report)
    if work < MIN_PACE * possible:
        yield f"slow: {work:.0f} replies, where the endpoints could give {possible:.0f}"


def measure_pace(report: Report) -> tuple[float, float]:
    """Replies of the model that the rows needed, and those that the endpoints could give in the same time."""
    replies = needed_replies(report)
    measured = replies[: max(0, len(replies) - TAIL * sum(count_last(one, report) for one in report.world.endpoints))]
    if not measured:
        return 0.0, 0.0
    end = measured[-1]
    pauses = {endpoint.number: find_common_pauses(endpoint.pauses) for endpoint in report.endpoints}
    spans = [(start, min(until, end)) for start, until in report.spans if start < end]
    possible = sum(capacity(report.world, start, until, pauses) for start, until in spans)
    return float(len(measured)), possible


def count_last(settings: EndpointSettings, report: Report) -> int:
    concurrency = report.world.limits.concurrency
    in_flight = concurrency if isinstance(concurrency, int) else INITIAL_LIMIT
    freezes = any(phase.kind == "frozen" for phase in settings.timeline.phases)
    return max(settings.slots, in_flight) if freezes else settings.slots


def needed_replies(report: Report) -> list[float]:
    """The times of the replies that no row would have an outcome without. Those of trials are not."""
    rows = report.world.rows
    left = Counter({number: WORK.get(row.kind, 1) + row.failures for number, row in rows.items()})
    times = []
    for moment, number in sorted(reply for endpoint in report.endpoints for reply in endpoint.worked):
        if left[number] > 0:
            left[number] -= 1
            times.append(moment)
    return times

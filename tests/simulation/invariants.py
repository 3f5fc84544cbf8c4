"""The invariants that a report of a simulated run is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from persqa_client.types import Record
from tests.simulation.client_run import Report
from tests.simulation.oracle import answers, capacity, may_stop
from tests.simulation.replies import good_text
from tests.simulation.world import RowKind

CODES: dict[RowKind, str] = {
    "rejected": "rejected",
    "stubborn": "no_tag",
    "filtered": "content_filter",
    "killer": "engine_dead",
}
# Model answers that a row needs.
WORK: dict[RowKind, int] = {"cured": 2, "cut": 2, "stubborn": 2}
# The share of the rows until whose end the pace is measured: the last ones wait for the slowest retry.
MEASURED_SHARE = 0.9
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
    counts = Counter(row for _, row, _ in report.settled)
    if lost := [row for row in report.world.rows if not counts[row]]:
        yield f"lost: rows {lost}"
    if doubled := [row for row, count in counts.items() if count > 1]:
        yield f"doubled: rows {doubled}"


def find_wrong_outcomes(report: Report) -> Iterator[str]:
    wrong: dict[str, list[int]] = {}
    for _, row, outcome in report.settled:
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
        good = [number for number, one in enumerate(report.world.endpoints) if not may_stop(one, stop.at)]
        if good:
            yield f"stopped at {stop.at:.1f} s ({stop.code}) though endpoint {good[0]} could be waited for"


def find_repeated_answers(report: Report) -> Iterator[str]:
    """An answered request may be sent again as a trial, a few times in each bad phase."""
    repeats = sum(count - 1 for count in report.world.delivered.values() if count > 1)
    bad_phases = sum(not answers(phase) for one in report.world.endpoints for phase in one.timeline.phases)
    if repeats > 3 * bad_phases + 2:
        yield f"{repeats} answers were paid for twice"


def find_slowness(report: Report) -> Iterator[str]:
    work, possible = measure_pace(report)
    if work < MIN_PACE * possible:
        yield f"slow: {work:.0f} answers, where the endpoints could give {possible:.0f}"


def measure_pace(report: Report) -> tuple[float, float]:
    """Model answers that were needed for the rows settled so far, and those that the endpoints could give."""
    settled = report.settled[: int(MEASURED_SHARE * len(report.settled))]
    if not settled:
        return 0.0, 0.0
    work = sum(WORK.get(report.world.rows[row].kind, 1) for _, row, _ in settled)
    end = settled[-1][0]
    possible = sum(capacity(report.world, start, min(until, end)) for start, until in report.spans if start < end)
    return float(work), possible

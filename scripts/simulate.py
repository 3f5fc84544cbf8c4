#!/usr/bin/env python3
"""Runs the client on a virtual clock against endpoints that fail at random times, and checks what must always hold.

usage: scripts/simulate.py [--seeds N] [--start N]      N seeds from --start on; prints those that break an invariant
       scripts/simulate.py --seed N [--trace]           one seed, with every event
       scripts/simulate.py --trouble                    what a minute of trouble costs, beside a run without it
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from persqa_client.config import Limits
from tests.simulation.client_run import Report, simulate
from tests.simulation.endpoint import EndpointSettings, Kind, Phase, Timeline
from tests.simulation.invariants import find_violations, measure_pace
from tests.simulation.replies import Reply, refusal
from tests.simulation.world import ROWS, RowScript, World, draw_world

# Settings of ``--trouble``: rows, slots of each endpoint, and when the trouble begins and how long it lasts, in
# seconds.
TROUBLE_ROWS, SLOTS, BEGIN, LENGTH = 2_000, 8, 30.0, 60.0
TROUBLES: dict[str, tuple[Kind, tuple[Reply, ...]]] = {
    "frozen": ("frozen", ()),
    "tunnel down (530)": ("errors", (Reply(530, b"error code: 1033", label="530"),)),
    "account dry (402), then topped up": ("account", (refusal(402, "Insufficient Balance"),)),
    "HTTP 500": ("errors", (refusal(500, "Internal server error"),)),
    "connections refused": ("down", ()),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, metavar="N")
    parser.add_argument("--start", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows of each run (default: {ROWS})")
    parser.add_argument("--trace", action="store_true", help="print every event of --seed")
    parser.add_argument("--trouble", action="store_true", help="compare runs with and without a minute of trouble")
    options = parser.parse_args()
    if options.trouble:
        return show_troubles()
    if options.seed is not None:
        return show_seed(simulate(draw_world(options.seed, options.rows)), trace=options.trace)
    return run_seeds(range(options.start, options.start + options.seeds), options.rows)


def show_seed(report: Report, *, trace: bool) -> int:
    print(*describe_world(report.world), sep="\n")
    if trace:
        print(*report.trace, sep="\n")
    violations = find_violations(report)
    print(describe_run(report), *violations, sep="\n")
    return 1 if violations else 0


def run_seeds(seeds: range, rows: int) -> int:
    broken = stops = requests = 0
    work = possible = 0.0
    kinds: Counter[str] = Counter()
    for seed in seeds:
        report = simulate(draw_world(seed, rows))
        stops += len(report.stops)
        requests += sum(endpoint.requests.total() for endpoint in report.endpoints)
        done, could = measure_pace(report)
        if could:
            work, possible = work + done, possible + could
        if violations := find_violations(report):
            broken += 1
            kinds.update(violation.partition(":")[0] for violation in violations)
            print(f"seed {seed}: {describe_run(report)}", *violations, sep="\n    ", flush=True)
    for kind, count in kinds.most_common():
        print(f"{count:5,} x {kind}")
    pace = f", {work / possible:.2f} times the pace that is expected at least" if possible else ""
    print(f"{broken} of {len(seeds):,} seeds broke an invariant; {requests:,} requests, {stops:,} stops{pace}")
    return 1 if broken else 0


def show_troubles() -> int:
    """The first endpoint has the trouble. A run that stops is started again when an endpoint answers."""
    print(
        f"{TROUBLE_ROWS:,} rows; each endpoint has {SLOTS} slots and answers after 1 s. The first has {LENGTH:.0f} s "
        f"of trouble, {BEGIN:.0f} s after the start\n\n| trouble | endpoints | rows failed | seconds lost | stops |\n"
        "| --- | --- | --- | --- | --- |"
    )
    failed = 0
    for count in (2, 1):
        calm = simulate(make_troubled_world((), count))
        for name, (kind, replies) in TROUBLES.items():
            report = simulate(make_troubled_world((Phase(BEGIN, kind, replies), Phase(BEGIN + LENGTH)), count))
            lost = report.spans[-1][1] - calm.spans[-1][1]
            stops = ", ".join(f"{stop.code} at {stop.at:.0f} s" for stop in report.stops) or "none"
            print(f"| {name} | {count} | {len(report.failed)} | {lost:.1f} | {stops} |", flush=True)
            failed += len(report.failed) + len(report.open_rows)
    return 1 if failed else 0


def make_troubled_world(phases: tuple[Phase, ...], count: int) -> World:
    first = EndpointSettings(Timeline([Phase(0.0), *phases]), slots=SLOTS, latency=1.0)
    others = [EndpointSettings(Timeline([Phase(0.0)]), slots=SLOTS, latency=1.0) for _ in range(count - 1)]
    rows = {number: RowScript() for number in range(1, TROUBLE_ROWS + 1)}
    return World(seed=0, rows=rows, endpoints=[first, *others], limits=Limits(concurrency=SLOTS, timeout=20.0))


def describe_world(world: World) -> list[str]:
    lines = [f"seed {world.seed}, concurrency {world.limits.concurrency}, timers {world.early:g} s early"]
    for number, settings in enumerate(world.endpoints):
        lines.append(
            f"endpoint {number}: {settings.slots} slots of {settings.latency:.2f} s, noise {settings.noise:.1%}"
            f"{'' if settings.queues else ', refuses what is beyond its slots'}"
        )
        for phase in settings.timeline.phases:
            reply = f" {phase.replies[0].label}" if phase.replies else ""
            lines.append(f"  from {phase.since:6.1f} s: {phase.kind}{reply}")
    odd = {number: script.kind for number, script in world.rows.items() if script.kind != "plain"}
    return [*lines, f"rows that are not plain: {', '.join(f'{number} {kind}' for number, kind in odd.items())}"]


def describe_run(report: Report) -> str:
    stops = "".join(f", stopped at {stop.at:.0f} s ({stop.code})" for stop in report.stops)
    end = report.spans[-1][1] if report.spans else 0.0
    return f"{len(report.outcomes)} rows ended, {len(report.failed)} failed, {end:.0f} s{stops}"


if __name__ == "__main__":
    sys.exit(main())

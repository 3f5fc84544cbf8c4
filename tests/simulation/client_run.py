"""The client's own run over a world: sessions, pool, pipeline and row loop, resumed after each stop."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

from persqa_client.config import Endpoint
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.engines.row_loop import RowLoop, RunProgress
from persqa_client.errors import RunStopped
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import InMemorySource, NamedLine
from persqa_client.outcomes import Outcome, Record
from persqa_client.run.pipeline import Pipeline
from persqa_client.run.plan import RunPlan
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import EndpointStats, collect_endpoint_stats
from persqa_client.storage.transient_ledgers import MemoryLedger
from persqa_client.task_groups import loop_time
from persqa_client.types import BadRow, BoxMark, EncodedImage, LoadedImage, Row, TaskId
from tests.simulation.endpoint import SimulatedEndpoint, http_client, sleep_until
from tests.simulation.oracle import answers
from tests.simulation.replies import picture_of
from tests.simulation.virtual_clock import Stuck, run_virtually
from tests.simulation.world import World

# Virtual seconds after which a run counts as endless.
MAX_SECONDS = 7_200.0
MAX_STOPS = 12


@dataclass(frozen=True, slots=True)
class Stop:
    at: float
    code: str
    message: str


@dataclass(slots=True)
class Report:
    """``outcomes``: the time and outcome of each row, in order; a row that occurs twice was doubled."""

    world: World
    outcomes: list[tuple[float, int, Outcome]] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    # Start and end of each time in which a client ran.
    spans: list[tuple[float, float]] = field(default_factory=list)
    endpoints: list[SimulatedEndpoint] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    stats: list[EndpointStats] = field(default_factory=list)
    # Why the run did not end.
    stuck: str | None = None

    @property
    def failed(self) -> dict[int, str]:
        return {row: outcome.code for _, row, outcome in self.outcomes if not isinstance(outcome, Record)}

    @property
    def open_rows(self) -> list[int]:
        done = {row for _, row, _ in self.outcomes}
        return [row for row in self.world.rows if row not in done]

    def log(self, event: str) -> None:
        self.trace.append(f"{loop_time():10.4f} {event}")


class TimedLedger(MemoryLedger):
    """Notes when each outcome arrives."""

    def __init__(self, report: Report, rows: list[int]) -> None:
        super().__init__(plan().make_renderer())
        self._report = report
        self._rows = rows
        # As after a resume.
        self.tally.succeeded = sum(isinstance(outcome, Record) for _, _, outcome in report.outcomes)

    def store_outcome(self, outcome: Outcome) -> None:
        super().store_outcome(outcome)
        row = self._rows[outcome.task_id.row - 1]
        self._report.outcomes.append((loop_time(), row, outcome))
        self._report.log(f"row {row}: {'answered' if isinstance(outcome, Record) else f'failed: {outcome.code}'}")


class Planner:
    """Rows of one question; nothing is weighed, since no picture is a file."""

    jobs_per_permit = 1

    def includes(self, row: NamedLine) -> bool:
        return True

    def parse(self, number: int, line: bytes, name: str | None = None, path: str | None = None) -> Row | BadRow:
        return parse_line(number, line, image_key="image", output_key="pers_qa")

    def task_ids(self, row: Row | BadRow) -> tuple[TaskId, ...]:
        return (TaskId(row.number),)

    def weigh(self, row: Row | BadRow, task_id: TaskId) -> int:
        return 1


@cache
def plan() -> RunPlan:
    return RunPlan(RunSettings(input=None, output=None, endpoint=Endpoint(base_url="http://e/v1", model="qwen")))


async def load_picture(reference: str, mark: BoxMark | None = None) -> LoadedImage:
    return LoadedImage(EncodedImage(picture_of(int(reference)), "image/jpeg", 640, 480))


def simulate(world: World) -> Report:
    """Runs until every row has an outcome, or until the run is found to be endless."""
    report = Report(world)
    try:
        run_virtually(run_to_the_end(report), early=world.early)
    except Stuck as stuck:
        report.stuck = str(stuck)
    return report


async def run_to_the_end(report: Report) -> None:
    world = report.world
    rng = random.Random(f"endpoints {world.seed}")
    report.endpoints = [
        SimulatedEndpoint(number, settings, world.answer, random.Random(rng.random()), report.log)
        for number, settings in enumerate(world.endpoints)
    ]
    for endpoint in report.endpoints:
        endpoint.start()
    while report.open_rows:
        started = loop_time()
        try:
            await run_once(report, random.Random(rng.random()))
        except RunStopped as stop:
            report.log(f"stopped: {stop.code}: {stop.message}")
            report.stops.append(Stop(loop_time(), stop.code, stop.message))
        finally:
            report.spans.append((started, loop_time()))
        if len(report.stops) > MAX_STOPS or loop_time() > MAX_SECONDS:
            raise Stuck(f"{len(report.stops)} stops in {loop_time():.0f} s, and rows are left")
        if report.open_rows:
            await wait_until_answering(report.endpoints)
            report.log("resumed")


async def wait_until_answering(endpoints: list[SimulatedEndpoint]) -> None:
    while not any(answers(endpoint.phase) for endpoint in endpoints):
        await sleep_until(min(endpoint.phase_end for endpoint in endpoints))


async def run_once(report: Report, rng: random.Random) -> None:
    world, rows = report.world, report.open_rows
    sessions = []
    for endpoint in report.endpoints:
        address = Endpoint(base_url=f"http://endpoint-{endpoint.number}.example/v1", model="qwen")
        session = Session(address, limits=world.limits, http_client=http_client(endpoint))
        session.rng = random.Random(rng.random())
        sessions.append(session)
    async with Pool(sessions, warn=report.log) as pool:
        pipeline = Pipeline(pool.completer, load_picture, plan().make_task_maker("direct"))
        ledger = TimedLedger(report, rows)
        source = InMemorySource([{"id": row, "image": [str(row)]} for row in rows])
        loop = RowLoop(source, ledger, Planner(), pipeline.answer, world.limits, RunProgress(), pool)
        try:
            await loop.run(None)
        finally:
            report.stats += collect_endpoint_stats(pool)
            assert pool.in_use == 0

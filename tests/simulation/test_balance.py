"""Equal endpoints are kept equally busy, also with few pictures, and after one of them was away."""

from __future__ import annotations

import random

import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.engines.row_loop import RowLoop, RunProgress
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.pipeline import Pipeline
from persqa_client.storage.transient_ledgers import MemoryLedger
from persqa_client.types import BoxMark, EncodedImage, LoadedImage
from tests.simulation.client_run import Planner, plan
from tests.simulation.endpoint import EndpointSettings, Phase, SimulatedEndpoint, http_client
from tests.simulation.replies import good_answer
from tests.simulation.scenarios import server, trouble
from tests.simulation.virtual_clock import run_virtually

PICTURES = 8
AUTO = Limits(concurrency="auto")


async def load_picture(reference: str, mark: BoxMark | None = None) -> LoadedImage:
    return LoadedImage(EncodedImage(f"picture {reference}".encode(), "image/jpeg", 640, 480))


async def run_rows(count: int, endpoints: list[EndpointSettings], seed: int) -> list[int]:
    """The answers of each endpoint, to rows that share a few pictures."""
    sessions = []
    for number, settings in enumerate(endpoints):
        endpoint = SimulatedEndpoint(
            number, settings, lambda asked, _: good_answer(asked.row), random.Random(seed + number), lambda event: None
        )
        endpoint.start()
        address = Endpoint(base_url=f"http://endpoint-{number}.example/v1", model="qwen")
        session = Session(address, limits=AUTO, http_client=http_client(endpoint))
        session.rng = random.Random(seed)
        sessions.append(session)
    async with Pool(sessions) as pool:
        source = InMemorySource(
            [
                {"id": row, "image": [str(row % PICTURES)], "question": f"What is in the picture of row {row}?"}
                for row in range(count)
            ]
        )
        ledger = MemoryLedger(plan().make_renderer())
        answer = Pipeline(pool, load_picture, plan().make_task_maker("direct")).answer
        await RowLoop(source, ledger, Planner(), answer, AUTO, RunProgress(), pool).run(None)
        return [session.traffic.answered for session in pool.sessions]


def busy_server(*phases: Phase, slots: int) -> EndpointSettings:
    return server(*phases, slots=slots, spread=0.3)


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) for seed in range(3)])
def test_two_equal_endpoints_answer_equally_many_rows_about_few_pictures(seed: int) -> None:
    one, other = run_virtually(run_rows(1500, [busy_server(slots=64), busy_server(slots=64)], seed))
    assert abs(one - other) <= 0.1 * (one + other) / 2


@pytest.mark.slow
def test_an_endpoint_that_was_away_at_the_start_catches_up() -> None:
    late = busy_server(*trouble("down", seconds=4, begin=1.5), slots=256)
    _, answers = run_virtually(run_rows(5000, [busy_server(slots=256), late], 1))
    assert answers >= 500

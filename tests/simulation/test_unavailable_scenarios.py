"""Endpoints that are away for a while: hangs, restarts, evictions, tunnels and preemptions.

A run waits for them, and continues when they are back; after the longest outage it stops, and can be resumed.
"""

from __future__ import annotations

import pytest

from persqa_client.config import Limits
from tests.simulation.client_run import simulate
from tests.simulation.endpoint import Kind, Phase
from tests.simulation.replies import Reply, html_page, refusal, reply_json
from tests.simulation.scenarios import BEGIN, CONCURRENCY, MANY_ROWS, MAX_OUTAGE, ROWS, Scenario, check, server, trouble
from tests.simulation.world import RowScript, World

# Requests besides those in flight that find out that the endpoint is away: the retries of those, and the trials.
RETRIES, TRIALS = CONCURRENCY, 16
COST = CONCURRENCY + RETRIES + TRIALS

TUNNEL_DOWN = reply_json(
    530,
    {
        "title": "Error 1033: Cloudflare Tunnel error",
        "status": 530,
        "detail": "The host is configured as a Cloudflare Tunnel, but Cloudflare is currently unable to reach it.",
        "error_code": 1033,
        "retryable": True,
        "retry_after": 120,
    },
)
NGROK_OFFLINE = Reply(
    404,
    b"<!DOCTYPE html><html><body>Tunnel example.ngrok.app not found (ERR_NGROK_3200)</body></html>",
    (("content-type", "text/html"),),
    "404 ngrok",
)
ENGINE_DEAD = refusal(
    500, "EngineCore encountered an issue. See stack trace (above) for the root cause.", type="InternalServerError"
)

SCENARIOS = [
    Scenario(
        name="SGLang: hangs after a restart, and reports itself healthy",
        source="https://github.com/sgl-project/sglang/issues/22779",
        endpoints=(server(*trouble("frozen", seconds=70), healthy_when_frozen=True),),
        cost=COST,
    ),
    Scenario(
        name="vLLM: no token any more, metrics and health answer",
        source="https://github.com/vllm-project/vllm/issues/2731",
        endpoints=(server(*trouble("frozen", seconds=45), healthy_when_frozen=True),),
        cost=COST,
    ),
    Scenario(
        name="vLLM: hangs after the first requests",
        source="https://github.com/vllm-project/vllm/issues/17972",
        endpoints=(server(*trouble("frozen", seconds=100, begin=1.5), healthy_when_frozen=True),),
        cost=COST,
    ),
    Scenario(
        name="LMDeploy: a broken picture blocks the server until it is restarted",
        source="https://github.com/InternLM/lmdeploy/issues/2302",
        endpoints=(server(*trouble("frozen", seconds=80)),),
        cost=COST,
    ),
    Scenario(
        name="SGLang: connections aborted, then refused",
        source="https://github.com/sgl-project/sglang/issues/25084",
        endpoints=(server(Phase(BEGIN, "resets"), Phase(BEGIN + 10, "down"), Phase(BEGIN + 40)),),
        cost=COST,
    ),
    Scenario(
        name="nginx ingress: 502 during a rolling update",
        source="https://github.com/kubernetes/ingress-nginx/issues/7097",
        endpoints=(server(*trouble("errors", html_page(502, "502 Bad Gateway"), seconds=15), has_health=False),),
        cost=COST,
    ),
    Scenario(
        name="nginx ingress: 502 while pods are deleted",
        source="https://github.com/kubernetes/ingress-nginx/issues/3639",
        endpoints=(server(*trouble("errors", html_page(502, "502 Bad Gateway"), seconds=4)),),
        cost=COST,
    ),
    Scenario(
        name="Cloudflare: the tunnel is down for a minute",
        source="https://github.com/orchidfiles/ungate/issues/28",
        endpoints=(server(*trouble("errors", TUNNEL_DOWN, seconds=60)),),
        cost=COST,
    ),
    Scenario(
        name="ngrok: the tunnel is offline",
        source="https://github.com/inconshreveable/ngrok/issues/828",
        endpoints=(server(*trouble("errors", NGROK_OFFLINE, seconds=60), has_health=False),),
        cost=COST + 8,
    ),
    Scenario(
        name="Hugging Face endpoint: scaled to zero",
        source="https://github.com/huggingface/huggingface_hub/issues/1605",
        endpoints=(server(*trouble("errors", refusal(503, "503 Service Unavailable"), seconds=90)),),
        # 503 may be load, so every row tries it for the first seconds.
        cost=3 * ROWS,
    ),
    Scenario(
        name="Cortex: a spot instance is taken; what is in flight hangs, what waits gets 503",
        source="https://github.com/cortexlabs/cortex/issues/1447",
        endpoints=(
            server(
                Phase(BEGIN, "frozen"),
                Phase(BEGIN + 25, "errors", (refusal(503, "Service unavailable"),)),
                Phase(BEGIN + 85),
            ),
        ),
        cost=COST,
    ),
    Scenario(
        name="RunPod: a spot instance ends without notice",
        source="https://github.com/skypilot-org/skypilot/issues/5345",
        endpoints=(server(*trouble("down", seconds=110)),),
        cost=COST,
    ),
    Scenario(
        name="vLLM: freezes when out of memory",
        source="https://github.com/vllm-project/vllm/issues/5784",
        endpoints=(server(*trouble("frozen", seconds=60)),),
        cost=COST,
    ),
    Scenario(
        name="vLLM: the engine is dead, the server ends and is started again",
        source="https://github.com/vllm-project/vllm/issues/42362",
        endpoints=(server(Phase(BEGIN, "errors", (ENGINE_DEAD,)), Phase(BEGIN + 3, "down"), Phase(BEGIN + 60)),),
        cost=COST,
    ),
]

LASTING = [
    Scenario(
        name="KServe: ready, although the process of vLLM was killed",
        source="https://github.com/kserve/kserve/issues/3845",
        endpoints=(server(*trouble("frozen", seconds=600), healthy_when_frozen=True),),
        stops=("No answer",),
        cost=COST,
    ),
    Scenario(
        name="Hugging Face: 502 for days",
        source="https://github.com/huggingface/huggingface_hub/issues/3515",
        endpoints=(server(*trouble("errors", html_page(502, "502 Bad Gateway"), seconds=5 * MAX_OUTAGE)),),
        stops=("No answer",),
        cost=COST + 6,
    ),
]


KINDS: list[tuple[Kind, tuple[Reply, ...]]] = [
    ("errors", (refusal(500, "Internal server error"),)),
    ("frozen", ()),
    ("resets", ()),
    ("down", ()),
]
NEVER_HEALTHY = [
    Scenario(
        name=kind,
        source="",
        endpoints=(server(*trouble(kind, *replies, seconds=30), never_healthy=True),),
        rows={ROWS: RowScript("rejected")},
        failed={ROWS: "rejected"},
        cost=COST,
    )
    for kind, replies in KINDS
]


@pytest.mark.parametrize("scenario", NEVER_HEALTHY, ids=str)
def test_an_endpoint_that_never_reports_itself_healthy_is_tried_nonetheless(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_an_endpoint_that_is_away_is_waited_for(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", LASTING, ids=str)
def test_an_endpoint_that_stays_away_stops_the_run(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS + LASTING, ids=str)
def test_beside_another_endpoint_the_run_goes_on(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())


@pytest.mark.parametrize("phase", [Phase(4.6, "errors", (ENGINE_DEAD,)), Phase(4.6, "down")], ids=["dead", "down"])
@pytest.mark.parametrize("slots", [2, *(pytest.param(slots, marks=pytest.mark.slow) for slots in (4, 8))])
def test_rows_whose_failures_are_held_leave_an_endpoint_that_dies_for_good(phase: Phase, slots: int) -> None:
    dying = server(phase, slots=slots, spread=0.3)
    rows = {row: RowScript("cut") for row in range(1, MANY_ROWS, 3)}
    world = World(
        seed=slots,
        rows={row: rows.get(row) or RowScript() for row in range(1, MANY_ROWS + 1)},
        endpoints=[server(slots=slots), dying],
        limits=Limits(concurrency=slots, timeout=20, max_outage=MAX_OUTAGE),
    )
    report = simulate(world)
    assert (report.stuck, report.failed, report.stops) == (None, {}, [])

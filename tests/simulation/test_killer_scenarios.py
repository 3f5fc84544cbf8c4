"""One row kills the engine, with all that is in flight, each time that it is sent.

The others are sent again and answered; the row that is there each time fails.
"""

from __future__ import annotations

import pytest

from tests.simulation.replies import Reply, refusal
from tests.simulation.scenarios import CONCURRENCY, Scenario, check, crashing_server
from tests.simulation.world import RowScript

KILLER = 20
# Crashes until the row fails; each costs what is in flight, the retries that find the server away, and trials.
CRASHES = 12
COST = CRASHES * (2 * CONCURRENCY + 4)

RUNNER_STOPPED = refusal(
    500,
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama "
    "server logs for details",
    type="api_error",
)
ENGINE_DEAD = refusal(500, "EngineCore encountered an issue. See stack trace (above) for the root cause.", code=500)
DEVICE_ASSERT = refusal(500, "CUDA error: device-side assert triggered", type="InternalServerError", code=500)


def killer(
    name: str, source: str, dying: Reply | None, then: str, seconds: float, rows: tuple[int, ...] = (KILLER,)
) -> Scenario:
    return Scenario(
        name=name,
        source=source,
        endpoints=(crashing_server(dying, then, seconds),),  # type: ignore[arg-type]
        rows={row: RowScript("killer") for row in rows},
        failed=dict.fromkeys(rows, "engine_dead|http_500"),
        cost=COST * len(rows),
    )


SCENARIOS = [
    killer(
        "llama-server: segmentation fault at a large picture",
        "https://github.com/ggml-org/llama.cpp/issues/13467",
        None,
        "down",
        8,
    ),
    killer(
        "llama-server: crash at one resolution",
        "https://github.com/ggml-org/llama.cpp/issues/13445",
        None,
        "down",
        4,
    ),
    killer(
        "llama-server: out of memory at a picture of 3 MB",
        "https://github.com/ggml-org/llama.cpp/issues/13414",
        None,
        "down",
        12,
    ),
    killer(
        "llama-server: crash while a slice is encoded",
        "https://github.com/ggml-org/llama.cpp/issues/17422",
        None,
        "resets",
        6,
    ),
    killer(
        "LMDeploy: the server ends without an error at certain pictures",
        "https://github.com/InternLM/lmdeploy/issues/2099",
        None,
        "down",
        20,
    ),
    killer(
        "GPUStack: llama-box aborts at a special picture",
        "https://github.com/gpustack/gpustack/issues/2083",
        None,
        "down",
        10,
    ),
    killer(
        "Ollama: the runner stops at a picture, and is loaded again",
        "https://github.com/ollama/ollama/issues/13549",
        RUNNER_STOPPED,
        "frozen",
        3,
    ),
    killer(
        "Ollama: the runner stops at once",
        "https://github.com/ollama/ollama/issues/12162",
        RUNNER_STOPPED,
        "errors",
        5,
    ),
    killer(
        "vLLM: dead engine at Qwen2.5-VL, three requests fail together",
        "https://github.com/vllm-project/vllm/issues/17276",
        ENGINE_DEAD,
        "errors",
        15,
    ),
    killer(
        "vLLM: dead engine, and two of the rows do it",
        "https://github.com/vllm-project/vllm/issues/43473",
        ENGINE_DEAD,
        "down",
        10,
        (KILLER, KILLER + 25),
    ),
    killer(
        "vLLM: a picture of one pixel stops the engine",
        "https://github.com/vllm-project/vllm/issues/8954",
        ENGINE_DEAD,
        "errors",
        30,
    ),
    killer(
        "vLLM: device-side assert at GLM-OCR, all in flight get 500",
        "https://github.com/vllm-project/vllm/issues/37159",
        DEVICE_ASSERT,
        "down",
        15,
    ),
    killer(
        "vLLM: special tokens in the prompt crash Llama 3.2",
        "https://github.com/vllm-project/vllm/issues/10648",
        None,
        "down",
        25,
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_only_the_row_that_kills_the_engine_fails(scenario: Scenario) -> None:
    report = check(scenario)
    assert report.endpoints[0].crashes <= CRASHES * len(scenario.failed)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_beside_another_endpoint_only_that_row_fails(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())

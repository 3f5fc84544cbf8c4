"""Load and noise: refusals beyond a server's slots, limits of a minute, and errors now and then.

They cost no row, and stop a run only if the server asks for a longer wait than the longest outage, and for longer than
a minute.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.replies import Reply, completion, html_page, refusal, reply_json
from tests.simulation.scenarios import CONCURRENCY, ROWS, Scenario, check, server, trouble

# Requests that are refused for each one that is answered, while twice as many are sent as there are slots.
OVERLOAD_COST = 3 * ROWS


def overload(name: str, source: str, *replies: Reply, slots: int = 4) -> Scenario:
    """The server has fewer slots than the run has requests, and refuses the others."""
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(slots=slots, queues=False, busy_replies=replies),),
        cost=OVERLOAD_COST,
    )


def episode(name: str, source: str, *replies: Reply, seconds: float, slots: int = 0, **settings: Any) -> Scenario:
    """For a while the server refuses what is beyond its slots, or everything."""
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(*trouble("overloaded", *replies, seconds=seconds, slots=slots), **settings),),
        cost=OVERLOAD_COST,
    )


def noise(name: str, source: str, share: float, *replies: Reply) -> Scenario:
    """A share of all requests fails, whatever the load."""
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(noise=share, noise_replies=replies),),
        cost=round(3 * share * ROWS) + 6,
    )


OLLAMA_BUSY = refusal(503, "server busy, please try again. maximum pending requests exceeded")
OVERLOADED_529 = reply_json(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
GEMINI_OVERLOADED = reply_json(
    503,
    {"error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}},
)
AZURE_8_SECONDS = refusal(
    429,
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2023-12-01-preview have exceeded "
    "call rate limit of your current OpenAI S0 pricing tier. Please retry after 8 seconds.",
    code="429",
)
GEMINI_MINUTE = reply_json(
    429,
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing details. Quota exceeded "
            "for metric: generativelanguage.googleapis.com/generate_content_free_tier_input_token_count, limit: 250000 "
            "Please retry in 30.638054576s.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier"}],
        }
    },
)

SCENARIOS = [
    overload("Ollama: pending requests exceeded", "https://github.com/ollama/ollama/issues/4159", OLLAMA_BUSY),
    overload(
        "Ollama: 503 for what is sent at the same time",
        "https://github.com/IBM/prompt-declaration-language/issues/702",
        refusal(503, "Service Unavailable"),
        slots=2,
    ),
    overload(
        "TGI: the model is overloaded",
        "https://github.com/huggingface/text-generation-inference/issues/439",
        reply_json(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    ),
    overload(
        "Azure: the call rate, with a wait of 8 seconds",
        "https://github.com/openai/openai-cookbook/pull/1254",
        AZURE_8_SECONDS.after(8),
    ),
    episode(
        "Azure: high demand, with a wait of 20 seconds",
        "https://github.com/pollinations/pollinations/issues/6260",
        refusal(
            429,
            "The system is currently experiencing high demand and cannot process your request. Please retry after 20 "
            "seconds.",
        ).after(20),
        seconds=30,
    ),
    episode(
        "Anthropic: 529 for minutes",
        "https://github.com/anthropics/claude-code/issues/82500",
        OVERLOADED_529,
        seconds=100,
    ),
    episode(
        "Groq: the flex tier is at capacity",
        "https://github.com/laravel/ai/pull/925",
        refusal(498, "Flex tier capacity exceeded"),
        seconds=20,
        slots=2,
    ),
    episode(
        "Gemini: 503, overloaded",
        "https://github.com/google-gemini/gemini-cli/issues/5191",
        GEMINI_OVERLOADED,
        seconds=40,
        slots=1,
    ),
    episode(
        "OpenAI: 503 with a request id in the message",
        "https://github.com/waylaidwanderer/node-chatgpt-api/issues/34",
        *(
            refusal(
                503,
                "That model is currently overloaded with other requests. You can retry your request, or contact us "
                f"through our help center if the error persists. (Please include the request ID 169bee8{number})",
                type="server_error",
            )
            for number in range(8)
        ),
        seconds=30,
    ),
    episode(
        "OpenRouter: a rate limit of the provider behind it",
        "https://github.com/open-webui/computer/issues/293",
        refusal(
            429,
            "Provider returned error",
            code=429,
            metadata={"raw": "example/model is temporarily rate-limited upstream. Please retry shortly."},
        ),
        seconds=25,
        slots=2,
    ),
    episode(
        "Gemini: a limit of a minute that is worded like a quota",
        "https://github.com/dyad-sh/dyad/issues/1469",
        GEMINI_MINUTE,
        seconds=31,
    ),
    episode(
        "Seldon: 503 while replicas are added",
        "https://github.com/SeldonIO/seldon-core/issues/4562",
        Reply(503, b"", label="503"),
        seconds=8,
        slots=4,
    ),
    noise(
        "Anthropic: a tenth of the connections fails",
        "https://github.com/anthropics/claude-code/issues/82500",
        0.1,
        html_page(502, "502 Bad Gateway"),
        refusal(500, "Connection error."),
    ),
    noise(
        "OpenRouter: no choices now and then",
        "https://github.com/speakeasy-api/gram/pull/3129",
        0.1,
        reply_json(200, {"id": "gen-1", "choices": []}),
    ),
    noise(
        "Bifrost: an answer that ends in an error now and then",
        "https://github.com/maximhq/bifrost/issues/5425",
        0.1,
        completion('{"events": [{"title": "partial', "error", tokens=0),
    ),
    noise(
        "vLLM: a 400 for two requests at the same moment",
        "https://github.com/vllm-project/vllm/pull/30264",
        0.1,
        refusal(400, "Already borrowed", type="BadRequestError", code=400),
    ),
    noise(
        "ModelScope: a 400 for a picture that another service did not check in time",
        "https://github.com/lobehub/lobehub/issues/9749",
        0.1,
        refusal(
            400,
            "Download the media resource timed out during the data inspection process.",
            code="InvalidParameter.DataInspection",
        ),
    ),
    noise(
        "Gemini: a gateway that now and then sends from another country",
        "https://github.com/poenl/gemini-api/issues/4",
        0.1,
        refusal(400, "User location is not supported for the API use.", code=400, status="FAILED_PRECONDITION"),
    ),
    noise(
        "Cloudflare: 524 for requests that take too long",
        "https://github.com/QuantumNous/new-api/issues/4972",
        0.08,
        reply_json(
            524,
            {
                "title": "Error 524: A timeout occurred",
                "status": 524,
                "detail": "The origin web server did not return a complete response within the 120-second Proxy Read "
                "Timeout window.",
            },
        ),
    ),
]

A_DAY = refusal(429, "You have exceeded token rate limit. Please retry after 86400 seconds.").after(86400)


def day_long_wait(source: str, *stops: str, seconds: float) -> Scenario:
    return Scenario(
        name=f"Azure: a wait of a day, for {seconds:g} s",
        source=source,
        endpoints=(server(*trouble("account", A_DAY, seconds=seconds)),),
        stops=stops,
        # Twenty waits in a row may still be noise. Then trials find out.
        cost=5 * CONCURRENCY,
    )


ASKS_FOR_A_DAY = day_long_wait("https://github.com/jasonacox/TinyLLM/issues/17", "86400", seconds=200)
# The limit was one of tokens per minute.
LIMIT_PER_MINUTE = day_long_wait("https://github.com/vanderschaarlab/climb/issues/1", seconds=70)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_load_and_noise_cost_no_row(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_beside_another_endpoint_they_cost_no_row_either(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())


def test_a_wait_beyond_the_longest_outage_stops_the_run() -> None:
    check(ASKS_FOR_A_DAY)


def test_a_wait_of_a_day_for_a_limit_per_minute_stops_nothing() -> None:
    check(LIMIT_PER_MINUTE)

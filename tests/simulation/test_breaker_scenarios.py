"""The same refusal row after row: accounts that run dry, keys that expire, and engines that stay broken.

The server's words are those of the reports. Alone the endpoint stops the run, which is resumed when the endpoint
answers again; beside another one it is left out until then.
"""

from __future__ import annotations

import pytest

from tests.simulation.endpoint import Phase
from tests.simulation.replies import Reply, refusal, reply_json
from tests.simulation.scenarios import CONCURRENCY, MANY_ROWS, Scenario, check, server, trouble

# Refusals in a row until an endpoint is tried, besides the requests that are in flight; and the trials.
STREAK, TRIALS = 20, 8
TOPPED_UP_AFTER = 60.0


def ids(count: int = 3) -> list[str]:
    """Request ids as gateways send them: different in each reply."""
    return [f"8af536f9-6b8b-93b5-bb5f-1597a3f65d{number:02x}" for number in range(count)]


def dry_account(name: str, source: str, words: str, *replies: Reply) -> Scenario:
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(*trouble("account", *replies, seconds=TOPPED_UP_AFTER)),),
        stops=(words,),
        cost=CONCURRENCY + STREAK + TRIALS,
    )


DRY_ACCOUNTS = [
    dry_account(
        "OpenRouter: limit of the key",
        "https://github.com/MCPJam/inspector/issues/1287",
        "Key limit exceeded",
        refusal(403, "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys", code=403),
    ),
    dry_account(
        "DashScope: arrears, with a request id in each body",
        "https://github.com/hsliuping/TradingAgents-CN/issues/170",
        "account is in good standing",
        *(
            reply_json(
                400,
                {
                    "error": {
                        "code": "Arrearage",
                        "param": None,
                        "message": "Access denied, please make sure your account is in good standing.",
                        "type": "Arrearage",
                    },
                    "request_id": request_id,
                },
            )
            for request_id in ids()
        ),
    ),
    dry_account(
        "Fireworks: suspended account",
        "https://github.com/pollinations/pollinations/issues/12136",
        "is suspended",
        refusal(
            412,
            "Account example is suspended, possibly due to reaching the monthly spending limit or failure to pay past "
            "invoices. Please go to https://fireworks.ai/account/billing for more information.",
            param=None,
            code="PRECONDITION_FAILED",
            type="error",
        ),
    ),
    dry_account(
        "Anthropic: credit balance",
        "https://github.com/anthropics/claude-code/issues/66314",
        "credit balance is too low",
        *(
            reply_json(
                400,
                {
                    "type": "error",
                    "error": {
                        "type": "invalid_request_error",
                        "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
                        "Billing to upgrade or purchase credits.",
                    },
                    "request_id": f"req_011CbrFTcXhtiMzr3s6Eoc{number}",
                },
            )
            for number in range(3)
        ),
    ),
    dry_account(
        "Gemini: expired key, in a list",
        "https://github.com/continuedev/continue/issues/11336",
        "API key expired",
        reply_json(
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": "API key expired. Please renew the API key.",
                        "status": "INVALID_ARGUMENT",
                        "details": [{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
                    }
                }
            ],
        ),
    ),
    dry_account(
        "one-api: quota of the user, with a request id in the message",
        "https://github.com/songquanpeng/one-api/issues/1270",
        "user quota is not enough",
        *(
            refusal(
                403,
                f"user quota is not enough (request id: 20240403231725940669800273913{number:02})",
                type="one_api_error",
                param="",
                code="insufficient_user_quota",
            )
            for number in range(10)
        ),
    ),
    dry_account(
        "new-api: quota of the user, in Chinese",
        "https://github.com/QuantumNous/new-api/issues/6929",
        "用户额度不足",
        *(
            refusal(403, f"用户额度不足, 剩余额度: ＄-0.00000{number} (request id: 2026081909331357925358{number})")
            for number in range(2, 6)
        ),
    ),
    dry_account(
        "DashScope: free tier used up",
        "https://github.com/APIParkLab/APIPark/issues/394",
        "free tier of the model has been exhausted",
        *(
            reply_json(
                400,
                {
                    "error": {
                        "message": "The free tier of the model has been exhausted. If you wish to continue access the "
                        'model on a paid basis, please disable the "use free tier only" mode in the management console.'
                    },
                    "request_id": request_id,
                },
            )
            for request_id in ids()
        ),
    ),
    dry_account(
        "DeepSeek: balance",
        "https://github.com/continuedev/continue/issues/9942",
        "Insufficient Balance",
        refusal(402, "Insufficient Balance", type="unknown_error", param=None, code="invalid_request_error"),
    ),
    dry_account(
        "Overdue account as 403",
        "https://github.com/RooCodeInc/Roo-Code/issues/12309",
        "overdue account",
        refusal(403, "Access denied due to overdue account"),
    ),
    dry_account(
        "402 without a word",
        "https://github.com/jina-ai/reader/issues/1255",
        "402",
        Reply(402, b"", label="402"),
    ),
    dry_account(
        "Quota of a reseller",
        "https://github.com/popjane/free_chatgpt_api/issues/76",
        "user quota is not enough",
        *(
            refusal(
                403,
                f"user quota is not enough (request id: 202502091109341748782157279949{number})",
                type="v_api_error",
                param="",
                code="insufficient_user_quota",
            )
            for number in range(10)
        ),
    ),
]

# The engine answers every request with an error until it is restarted, which a run waits for.
BROKEN_ENGINES = [
    Scenario(
        name="vLLM-Omni: CUDA context corrupted by one picture",
        source="https://github.com/vllm-project/vllm-omni/issues/3274",
        endpoints=(
            server(
                *trouble("errors", refusal(500, "CUDA error: an illegal memory access was encountered"), seconds=60),
                has_health=False,
            ),
        ),
        cost=CONCURRENCY + STREAK + TRIALS + 6,
    ),
    Scenario(
        name="TGI: device-side assert in all requests after it",
        source="https://github.com/huggingface/text-generation-inference/issues/965",
        endpoints=(
            server(
                *trouble(
                    "errors",
                    reply_json(
                        424,
                        {
                            "error": "Request failed during generation: Server error: CUDA error: device-side assert "
                            "triggered",
                            "error_type": "generation",
                        },
                    ),
                    seconds=60,
                )
            ),
        ),
        cost=CONCURRENCY + STREAK + TRIALS + 6,
    ),
    Scenario(
        name="LLaVA's worker: restarted after a while",
        source="https://github.com/haotian-liu/LLaVA/issues/892",
        endpoints=(
            server(
                *trouble("errors", refusal(500, "Caught Unknown Error CUDA error: device-side assert"), seconds=100)
            ),
        ),
        cost=CONCURRENCY + STREAK + TRIALS + 10,
    ),
    Scenario(
        name="Kilo: 403 for all models, for a while",
        source="https://github.com/Kilo-Org/kilocode/issues/2072",
        endpoints=(server(*trouble("errors", Reply(403, b"", label="bare 403"), seconds=40)),),
        cost=CONCURRENCY + STREAK + TRIALS + 6,
    ),
]


@pytest.mark.parametrize("scenario", DRY_ACCOUNTS, ids=str)
def test_an_account_that_runs_dry_stops_the_run_and_costs_no_row(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", DRY_ACCOUNTS, ids=str)
def test_beside_another_endpoint_the_run_goes_on(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())


@pytest.mark.parametrize("scenario", BROKEN_ENGINES, ids=str)
def test_an_engine_that_stays_broken_is_waited_for(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", BROKEN_ENGINES, ids=str)
def test_beside_another_endpoint_nothing_waits_for_a_broken_engine(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())


def test_an_endpoint_whose_connections_break_after_a_refusal_can_be_waited_for() -> None:
    no_credit = refusal(402, "No credit.")
    check(
        Scenario(
            name="an endpoint that refuses, then drops connections, and another one that refuses later",
            source="",
            endpoints=(
                server(Phase(4, "account", (no_credit,)), Phase(10, "resets"), Phase(60), slots=2),
                server(*trouble("account", no_credit, begin=25, seconds=20), slots=2),
            ),
            cost=60,
            count=MANY_ROWS,
        )
    )

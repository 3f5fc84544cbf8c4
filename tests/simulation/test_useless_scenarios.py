"""Answers that are no good: row after row, which is the endpoint's fault, or for a few rows, which is their own."""

from __future__ import annotations

import pytest

from tests.simulation.replies import Reply, completion, refusal, reply_json
from tests.simulation.scenarios import BEGIN, CONCURRENCY, ROWS, Scenario, check, server, trouble
from tests.simulation.world import RowScript

# Answers in a row until the endpoint is tried, besides the requests that are in flight; and the trials.
STREAK, TRIALS = 20, 16
COST = CONCURRENCY + STREAK + TRIALS

ALL_THOUGHTS = completion("", "length", tokens=512)
NULL_AND_THOUGHTS = completion(None, "stop", tokens=80, reasoning_content="The picture shows a man in a coat.")
EXCLAMATIONS = completion("!" * 400, "length", tokens=512)
FILTERED_PROMPT = refusal(
    400,
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
    "your prompt and retry. To learn more about our content filtering policies please read our documentation: "
    "https://go.microsoft.com/fwlink/?linkid=2198766",
    type=None,
    param="prompt",
    code="content_filter",
    status=400,
)


def useless(
    name: str, source: str, *replies: Reply, stops: tuple[str, ...], seconds: float = 40, begin: float = BEGIN
) -> Scenario:
    """From a moment on, all answers are useless."""
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(*trouble("useless", *replies, seconds=seconds, begin=begin)),),
        stops=stops,
        cost=COST,
    )


def own_fault(name: str, source: str, rows: range, codes: str, *replies: Reply, cost: int | None = None) -> Scenario:
    """A few rows get useless answers, the others good ones."""
    return Scenario(
        name=name,
        source=source,
        endpoints=(server(),),
        rows={row: RowScript("scripted", replies=replies) for row in rows},
        failed=dict.fromkeys(rows, codes),
        cost=cost or 0,
    )


# The endpoint answers with 200, and refuses in effect: the run stops with the reason.
ROW_AFTER_ROW = [
    useless(
        "gpt-5-mini: the thoughts use up the tokens",
        "https://github.com/pvliesdonk/markdown-vault-mcp/issues/919",
        ALL_THOUGHTS,
        stops=("token",),
    ),
    useless(
        "gpt-5-nano: empty at the limit of tokens",
        "https://github.com/64bit/async-openai/issues/424",
        completion("", "length", tokens=512, reasoning=""),
        stops=("token",),
    ),
    useless(
        "gpt-5-mini: no content at all",
        "https://github.com/jsboige/CoursIA/issues/3571",
        completion(None, "length", tokens=512),
        stops=("token",),
    ),
    useless(
        "Qwen3 at vLLM: the answer is in reasoning_content",
        "https://github.com/QwenLM/Qwen3/issues/1297",
        NULL_AND_THOUGHTS,
        stops=("",),
    ),
    useless(
        "Qwen3 at vLLM: thinking is off, and the answer is in reasoning_content",
        "https://github.com/vllm-project/vllm/issues/17349",
        completion(None, "stop", tool_calls=None, refusal=None, reasoning_content="<mam> wears a coat."),
        stops=("",),
    ),
    useless(
        "Gemma 4 at Ollama: the text is in reasoning",
        "https://github.com/ollama/ollama/issues/15288",
        completion("", "stop", reasoning="The user asks about a coat."),
        stops=("",),
    ),
    useless(
        "vLLM on V100: exclamation marks only",
        "https://github.com/vllm-project/vllm/issues/3998",
        EXCLAMATIONS,
        stops=("",),
    ),
    useless(
        "OpenRouter: a failed upstream looks like an empty answer",
        "https://github.com/earendil-works/pi/issues/8511",
        reply_json(
            200,
            {
                "model": "qwen",
                "choices": [
                    {
                        "message": {"role": "assistant", "content": ""},
                        "finish_reason": "stop",
                        "native_finish_reason": "network_error",
                    }
                ],
            },
        ),
        stops=("",),
    ),
    useless(
        "OpenRouter: content is null, without usage",
        "https://github.com/sunholo-data/ailang/issues/842",
        reply_json(200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
        stops=(),
    ),
    Scenario(
        name="Gemini: empty answers for a moment, fewer than a streak, to rows that are asked twice",
        source="https://github.com/google-gemini/deprecated-generative-ai-python/issues/744",
        endpoints=(server(*trouble("useless", completion("", "stop"), seconds=1.6)),),
        rows={row: RowScript("cured") for row in range(1, ROWS + 1)},
        cost=COST,
    ),
]

# Rows of their own fault: the run goes on, and asks the endpoint with a request that it has answered before.
OWN_FAULT = [
    own_fault(
        "Azure: the filter refuses five neighbours",
        "https://github.com/compl-ai/compl-ai/issues/20",
        range(20, 25),
        "rejected|content_filter",
        FILTERED_PROMPT,
    ),
    own_fault(
        "Azure: the filter refuses thirty neighbours",
        "https://github.com/microsoft/azurechat/issues/351",
        range(15, 45),
        "rejected|content_filter",
        FILTERED_PROMPT,
    ),
    own_fault(
        "VS Code: pictures that the filter of the answer removes",
        "https://github.com/microsoft/vscode/issues/256264",
        range(10, 40),
        "content_filter",
        completion("", "content_filter", tokens=1),
    ),
    own_fault(
        "vLLM: exclamation marks for certain pictures",
        "https://github.com/vllm-project/vllm/issues/14110",
        range(20, 23),
        "truncated|loop|no_tag",
        EXCLAMATIONS,
    ),
    own_fault(
        "Gemini: None for some of the rows, again and again",
        "https://github.com/BerriAI/litellm/issues/10721",
        range(5, 8),
        "no_content|empty",
        completion(None, "stop"),
    ),
]


@pytest.mark.parametrize("scenario", ROW_AFTER_ROW, ids=str)
def test_useless_answers_row_after_row_cost_no_row(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("scenario", ROW_AFTER_ROW, ids=str)
def test_beside_another_endpoint_the_run_goes_on(scenario: Scenario) -> None:
    check(scenario.with_second_endpoint())


@pytest.mark.parametrize("scenario", OWN_FAULT, ids=str)
def test_rows_that_get_no_good_answer_among_others_fail_as_their_own(scenario: Scenario) -> None:
    report = scenario.play()
    assert report.failed.keys() == scenario.failed.keys()
    assert {row: code for row, code in report.failed.items() if code not in scenario.failed[row].split("|")} == {}
    assert report.stops == []
    # At most two asks, a further attempt of each after a trial, and the trials.
    assert report.endpoints[0].requests["good"] <= scenario.count + 3 * len(scenario.failed) + 6

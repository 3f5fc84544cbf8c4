"""Whole runs, with probes, on small servers that behave as servers in public reports did."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image

from persqa_client.endpoints.breaker import plain_request
from persqa_client.errors import RunStopped
from persqa_client.run.summary import Summary
from tests.run.chat_servers import ROWS, Call, completion, each, each_once, good, is_row, openai_error, refuse, run_on
from tests.support.run_folder import RunFolder

ACCOUNT_REFUSALS = {
    # https://discuss.ai.google.dev/t/api-key-expired-please-renew-the-api-key
    "Gemini, expired key": lambda: refuse(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key expired. Please renew the API key.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            }
        ],
    ),
    "DashScope, arrears": lambda: refuse(
        400,
        openai_error(
            "Access denied, please make sure your account is in good standing.", type="Arrearage", code="Arrearage"
        ),
    ),
    "DashScope, free tier": lambda: refuse(
        403, openai_error("The free tier of the model has been exhausted.", code="AllocationQuota.FreeTierOnly")
    ),
    "OpenRouter, key limit": lambda: refuse(
        403, {"error": {"message": "Key limit exceeded (total limit). Manage it using the dashboard", "code": 403}}
    ),
    "Fireworks, suspended": lambda: refuse(
        412, openai_error("Account acme is suspended, possibly due to reaching the monthly spending limit")
    ),
    "Anthropic, credit balance": lambda: refuse(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
    ),
    "new-api, quota with a request id": lambda: refuse(
        403,
        openai_error(
            "用户额度不足, 剩余额度: ＄0.000000 (request id: 2025110711223344556677abCdEf)", type="new_api_error"
        ),
    ),
}


@pytest.mark.parametrize("name", ACCOUNT_REFUSALS)
async def test_an_account_that_runs_dry_stops_the_run_and_fails_no_row(tmp_path: Path, name: str) -> None:
    def respond(call: Call) -> web.Response:
        return ACCOUNT_REFUSALS[name]() if call.number > 15 else good(call)

    folder, end, server = await run_on(respond, tmp_path)
    assert isinstance(end, RunStopped)
    assert not folder.read_lines("out.failed.jsonl")
    assert not folder.read_lines("out.failed.jsonl.partial")
    assert server.rows <= 15 + 20 + 2 * 4 + 2
    folder, end, _ = await run_on(good, tmp_path)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


PASSING_REFUSALS = {
    "404 without a body": each_once(5, lambda: web.Response(status=404)),
    "403 without a body": each_once(10, lambda: web.Response(status=403)),
    # https://community.openai.com/t/we-could-not-parse-the-json-body-of-your-request
    "OpenAI, JSON body": each_once(
        4,
        lambda: refuse(
            400, openai_error("We could not parse the JSON body of your request.", type="invalid_request_error")
        ),
    ),
    "499, cancelled": each_once(
        4,
        lambda: refuse(
            499, [{"error": {"code": 499, "message": "The operation was cancelled.", "status": "CANCELLED"}}]
        ),
    ),
    "402 about requests in flight": each_once(
        6,
        lambda: refuse(402, openai_error("Insufficient balance for the requests in flight, retry when they are done.")),
    ),
}


@pytest.mark.parametrize("name", PASSING_REFUSALS)
async def test_a_passing_refusal_of_a_good_endpoint_is_retried(tmp_path: Path, name: str) -> None:
    folder, end, _ = await run_on(PASSING_REFUSALS[name], tmp_path, max_attempts=5)
    assert isinstance(end, Summary)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


async def test_a_minute_limit_that_is_worded_like_a_quota_is_waited_for(tmp_path: Path) -> None:
    words = "You exceeded your current quota, please check your plan and billing details. (token-limit)"

    def respond(call: Call) -> web.Response:
        if 0.2 < call.seconds < 1.5:
            return refuse(429, openai_error(words, type="insufficient_quota", code="insufficient_quota"))
        return good(call)

    folder, end, _ = await run_on(lambda call: pause(0.02, respond, call), tmp_path)
    assert isinstance(end, Summary)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


async def pause(seconds: float, respond: Callable[[Call], web.Response], call: Call) -> web.Response:
    await asyncio.sleep(seconds)
    return respond(call)


async def test_the_reason_behind_a_gateway_reaches_the_failure_file(tmp_path: Path) -> None:
    refusal = {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": "image dimensions exceed 8000 pixels", "provider_name": "X"},
        }
    }
    folder, _, _ = await run_on(each(5, lambda: refuse(400, refusal)), tmp_path)
    failed = folder.read_lines("out.failed.jsonl")
    assert failed
    assert all("image dimensions exceed 8000 pixels" in row["error"]["message"] for row in failed)


async def test_a_model_that_takes_no_pictures_is_reported_in_the_servers_words(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if call.images:
            return refuse(404, {"error": {"message": "No endpoints found that support image input", "code": 404}})
        return good(call)

    _, end, _ = await run_on(respond, tmp_path)
    assert isinstance(end, RunStopped)
    assert "No endpoints found that support image input" in str(end)


async def test_whole_answers_without_a_finish_reason_are_accepted(tmp_path: Path) -> None:
    folder, _, _ = await run_on(lambda call: web.json_response(completion(call, finish_reason=None)), tmp_path)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


async def test_answers_that_the_server_broke_off_are_asked_for_again(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if is_row(call) and 0.1 < call.seconds < 0.5:
            return web.json_response(completion(call, "<mam> stands beside", "abort"))
        return good(call)

    folder, _, _ = await run_on(lambda call: pause(0.02, respond, call), tmp_path)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


async def test_reasoning_that_uses_up_max_tokens_gets_more_room_once(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if "max_tokens" in call.body:
            words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return refuse(400, openai_error(words, param="max_tokens", code="unsupported_parameter"))
        if is_row(call) and call.body["max_completion_tokens"] < 1500:
            return web.json_response(completion(call, "", "length"))
        return good(call)

    folder, end, server = await run_on(respond, tmp_path)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})
    assert isinstance(end, Summary)
    assert any("max_tokens is raised to 2048" in note for note in end.notes)
    assert server.rows <= ROWS + 2 * 4


async def test_reasoning_without_an_answer_stops_the_run_and_counts_its_tokens(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if not is_row(call) and plain_request().prompt not in call.text:
            return good(call)
        answer = completion(call, "", reasoning_content="The picture shows a red coat.")
        answer["choices"][0]["message"]["content"] = None
        return web.json_response(answer)

    folder, end, _ = await run_on(respond, tmp_path, rows=15, max_outage=0.5)
    assert isinstance(end, RunStopped)
    assert folder.is_empty


async def test_a_picture_that_stops_the_engine_fails_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_rows(ROWS, images=ROWS)
    Image.new("RGB", (333, 222), (9, 9, 9)).save(tmp_path / "17.jpg")
    down_until, crashes = 0.0, 0

    async def respond(call: Call) -> web.Response:
        nonlocal down_until, crashes
        loop = asyncio.get_running_loop()
        while loop.time() < down_until:
            await asyncio.sleep(0.01)
        seen = crashes
        if any(Image.open(io.BytesIO(image)).size == (333, 222) for image in call.images):
            await asyncio.sleep(0.05)
            crashes += 1
            down_until = loop.time() + 0.3
        for _ in range(10):
            if crashes != seen:
                return refuse(500, openai_error("model runner has unexpectedly stopped", type="api_error"))
            await asyncio.sleep(0.005)
        return good(call)

    folder, _, _ = await run_on(respond, tmp_path, concurrency=8)
    assert list(folder.failure_codes) == [17]


@pytest.mark.parametrize("rows", [3, ROWS])
async def test_a_page_that_is_no_api_costs_no_row(tmp_path: Path, rows: int) -> None:
    """A login page that answers 200 to everything."""
    page = "<!DOCTYPE html><html><body>Please sign in</body></html>"
    respond = lambda call: web.Response(text=page, content_type="text/html")  # noqa: E731
    folder, end, _ = await run_on(respond, tmp_path, rows=rows, probes=False, max_outage=0.3)
    assert isinstance(end, RunStopped)
    assert folder.is_empty


@pytest.mark.parametrize("status", [401, 404])
async def test_a_refusal_at_random_during_the_probes_does_not_stop_the_run(tmp_path: Path, status: int) -> None:
    """https://github.com/microsoft/semantic-kernel/issues/1660"""
    calls = 0

    def respond(call: Call) -> web.Response:
        nonlocal calls
        calls += not is_row(call)
        if not is_row(call) and calls % 4 == 0:
            return refuse(status, openai_error("The model `m` does not exist or you do not have access to it."))
        return good(call)

    folder, end, _ = await run_on(respond, tmp_path, max_attempts=5)
    assert isinstance(end, Summary)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})


async def test_a_minute_limit_is_waited_for_during_the_probes(tmp_path: Path) -> None:
    words = "You exceeded your current quota, please check your plan and billing details. (token-limit)"
    calls = 0

    def respond(call: Call) -> web.Response:
        nonlocal calls
        calls += 1
        if 2 < calls < 9:
            return refuse(429, openai_error(words, type="insufficient_quota", code="insufficient_quota"))
        return good(call)

    folder, end, _ = await run_on(respond, tmp_path)
    assert isinstance(end, Summary)
    assert folder.answered_ids == list(range(ROWS))

"""Whole runs, with probes, on small servers that behave as servers in public reports did."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from persqa_client.endpoints.breaker import plain_request
from persqa_client.errors import RunStopped
from persqa_client.run.summary import Summary
from tests.support.endpoints import serve_handler
from tests.support.run_folder import RunFolder

ROWS = 40
GOOD = "<mam> stands beside a wooden door in a red coat."
TIMEOUT = 60.0

Json = dict[str, Any]


@dataclass
class Call:
    """A chat request: its body, its number, and seconds since the first one."""

    body: Json
    number: int
    seconds: float

    @property
    def images(self) -> list[bytes]:
        parts = [
            part
            for message in self.body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
        ]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url" and part.get("image_url")]
        return [base64.b64decode(url.partition(",")[2]) for url in urls]

    @property
    def text(self) -> str:
        texts = []
        for message in self.body["messages"]:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts += [part["text"] for part in parts if part["type"] == "text"]
        return " ".join(texts)


Respond = Callable[[Call], Awaitable[web.Response] | web.Response]


def colour_of(image: bytes) -> str:
    red, green, blue = Image.open(io.BytesIO(image)).convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    names = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 210), "yellow": (240, 220, 40)}
    return min(names, key=lambda name: sum(abs(a - b) for a, b in zip(names[name], (red, green, blue), strict=True)))


def completion(call: Call, text: str | None = None, finish_reason: str | None = "stop", **fields: Any) -> Json:
    """An answer, which names the colour of the probes' pictures."""
    if text is None:
        colours = [colour_of(image) for image in call.images]
        text = f"It is {colours[0]}." if "<mam>" not in call.text and colours else GOOD
    tokens = 30 + len(call.text) // 4 + 80 * len(call.images)
    message = {"role": "assistant", "content": text, **fields}
    return {
        "model": call.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 12},
    }


def good(call: Call) -> web.Response:
    return web.json_response(completion(call))


def is_row(call: Call) -> bool:
    return "<mam>" in call.text


@dataclass
class Server:
    respond: Respond
    calls: int = 0
    rows: int = 0
    began: float | None = None
    bodies: list[Json] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
        if request.method == "GET":
            return web.Response(status=404)
        body = await request.json()
        now = asyncio.get_running_loop().time()
        call = Call(body, self.rows, 0.0)
        if is_row(call):
            self.began = now if self.began is None else self.began
            self.rows += 1
        call.number, call.seconds = self.rows, now - (self.began or now)
        self.calls += 1
        response = self.respond(call)
        return response if isinstance(response, web.Response) else await response


async def run_on(
    respond: Respond, tmp_path: Path, *, rows: int = ROWS, **settings: Any
) -> tuple[RunFolder, Summary | RunStopped, Server]:
    folder, server = RunFolder(tmp_path), Server(respond)
    if not (tmp_path / "in.jsonl").exists():
        folder.write_rows(rows, images=rows, with_question=True)
    async with serve_handler(server.handle) as url:
        run = folder.make_run(f"{url}/v1", model="m", **{"probes": True, "concurrency": 4, **settings})
        try:
            async with asyncio.timeout(TIMEOUT):
                return folder, await run.execute(), server
        except RunStopped as stop:
            return folder, stop, server


def refuse(status: int, body: Any) -> web.Response:
    return web.json_response(body, status=status)


def openai_error(message: str, **fields: Any) -> Json:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}


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


def each(nth: int, make: Callable[[], web.Response]) -> Respond:
    return lambda call: make() if is_row(call) and call.number % nth == 0 else good(call)


PASSING_REFUSALS = {
    "404 without a body": each(5, lambda: web.Response(status=404)),
    "403 without a body": each(10, lambda: web.Response(status=403)),
    # https://community.openai.com/t/we-could-not-parse-the-json-body-of-your-request
    "OpenAI, JSON body": each(
        4,
        lambda: refuse(
            400, openai_error("We could not parse the JSON body of your request.", type="invalid_request_error")
        ),
    ),
    "499, cancelled": each(
        4,
        lambda: refuse(
            499, [{"error": {"code": 499, "message": "The operation was cancelled.", "status": "CANCELLED"}}]
        ),
    ),
    "402 about requests in flight": each(
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

"""A server that fails for a while, or is busy, loses no feature by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.config import UNKNOWN_MODEL, Endpoint, Limits
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.probing.capabilities import ServerCapabilities, list_warnings, resolve_strategy
from persqa_client.probing.features import probe_constraints, probe_prefills
from persqa_client.probing.only_model import find_only_model
from persqa_client.probing.probe import identify_server, probe_server
from persqa_client.probing.probe_session import ProbeSession
from tests.probing.test_probe_features import make_local_session
from tests.support.endpoints import CHAT_URL, error_response, make_session, ok_response, serve_handler

ATTEMPTS = 5
RESTARTED = "image preprocessing worker restarted"

Fails = Callable[[dict[str, Any], int], bool]


def constraining(request: httpx.Request) -> bool:
    return "structured_outputs" in json.loads(request.content)


def prefilling(request: httpx.Request) -> bool:
    body = json.loads(request.content)
    return "continue_final_message" in body or body["messages"][-1].get("partial") is not None


async def probe_failing_server(fails: Fails, **how: Any) -> ServerCapabilities:
    """A server that obeys ``structured_outputs`` and ``continue_final_message``, and answers 500 if ``fails``."""
    count = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal count
        if request.method == "GET":
            return web.json_response({"data": []})
        body, count = await request.json(), count + 1
        if fails(body, count):
            return web.json_response({"error": {"message": RESTARTED}}, status=500)
        continued = "continue_final_message" in body
        text = "persqa-123456" if "structured_outputs" in body else " with hello." if continued else "Hello."
        usage = {"prompt_tokens": 30 if continued else 35, "completion_tokens": 4}
        return web.json_response({"choices": [{"message": {"content": text}}], "usage": usage})

    limits = Limits(max_attempts=ATTEMPTS, max_outage=30.0)
    async with serve_handler(handle) as url, make_local_session(f"{url}/v1", "m", limits=limits) as session:
        return await probe_server(session, **how)


async def test_a_needed_constraint_is_tested_until_the_server_answers() -> None:
    found = await probe_failing_server(lambda _, count: count < 150, strategy="constrain")
    assert found.constraint == "structured_outputs"
    assert resolve_strategy(found, "constrain") == "constrain"


async def test_a_needed_prefill_is_tested_until_the_server_answers() -> None:
    found = await probe_failing_server(lambda _, count: count < 150, strategy="prefill")
    assert found.prefill == "continue_final_message"


async def test_a_constraint_that_is_not_needed_stays_unknown_with_a_warning() -> None:
    found = await probe_failing_server(lambda body, _: True, strategy="auto")
    assert set(found.constraints.values()) == {"failed"}
    assert resolve_strategy(found, "auto") == "direct"
    _, warning = list_warnings([found], ["http://a/v1"])
    assert "answers are not constrained" in warning


async def test_a_needed_constraint_that_stays_unknown_stops_the_run_in_the_end() -> None:
    found = ServerCapabilities(constraints={"structured_outputs": "failed", "guided_regex": "refused"})
    with pytest.raises(RunStopped, match="answered no test") as caught:
        resolve_strategy(found, "constrain")
    assert caught.value.code == "no_constraint"
    with pytest.raises(RunStopped, match="answered no test") as caught:
        resolve_strategy(ServerCapabilities(prefills={"partial": "failed"}), "prefill")
    assert caught.value.code == "no_prefill"


@pytest.mark.parametrize("failures", [1, ATTEMPTS, ATTEMPTS + 2])
async def test_a_constraint_that_fails_for_a_while_is_obeyed(respx_mock: respx.MockRouter, failures: int) -> None:
    left = failures

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal left
        if not constraining(request):
            return ok_response("Hello.")
        left -= 1
        return error_response(500, "Restarting.") if left >= 0 else ok_response("persqa-123456")

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=ATTEMPTS) as session:
        assert (await probe_constraints(ProbeSession.of(session)))["structured_outputs"] == "obeyed"


async def test_a_constraint_that_always_fails_while_others_are_answered_is_refused(
    respx_mock: respx.MockRouter,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(500, "No grammar backend.") if constraining(request) else ok_response("Hello.")

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=ATTEMPTS) as session:
        found = await probe_constraints(ProbeSession.of(session))
    assert found == {"structured_outputs": "refused", "guided_regex": "ignored", "json_schema": "ignored"}


@pytest.mark.parametrize("fails_plain", [False, True])
async def test_prefills_that_fail(respx_mock: respx.MockRouter, fails_plain: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(500, "Out of order.") if fails_plain or prefilling(request) else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=1) as session:
        found = await probe_prefills(ProbeSession.of(session))
    assert set(found.values()) == {"failed" if fails_plain else "refused"}


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (503, RunStopped, "Loading model"),
        (429, RunStopped, "Loading model"),
        (500, RunStopped, "Loading model"),
        *[(status, RunStopped, "name the model with --model") for status in (429, 500, 501, 502, 503)],
        (404, SettingsError, r"the endpoint lists none.*/v1/models answers 404.*--base-url"),
    ],
)
async def test_a_busy_server_is_not_said_to_have_no_models(status: int, error: type[Exception], reason: str) -> None:
    """Without a name, the run needs the list. With one, it waits at its first request."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Loading model"}}, status=status, headers={"Retry-After": "0"})

    async with serve_handler(handle) as url:
        with pytest.raises(error, match=reason):
            await find_only_model(Endpoint(base_url=f"{url}/v1", model=UNKNOWN_MODEL), timeout=10.0)
        async with make_local_session(f"{url}/v1", "m") as session:
            assert (await identify_server(session)).models == ()

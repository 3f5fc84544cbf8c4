"""Identifying a server, and probing its constraints."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.cli.doctor import list_findings
from persqa_client.config import Endpoint
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.features import PROBE_PATTERN, probe_constraints
from persqa_client.probing.probe import find_obeyed_form, identify_server, shortest_context
from persqa_client.probing.probe_session import ProbeSession
from tests.support.endpoints import (
    BASE_URL,
    CHAT_URL,
    FAST_BACKOFF,
    error_response,
    make_session,
    ok_response,
    serve_handler,
)

SECRET = "a1b2c3d4e5f6g7h8"
CARD = {"id": "qwen", "owned_by": "vllm", "max_model_len": 4096}


def mock_models(respx_mock: respx.MockRouter, *answers: httpx.Response | Exception) -> respx.Route:
    respx_mock.get("http://gpu.example/version").mock(return_value=httpx.Response(200, json={"version": "0.32.0"}))
    return respx_mock.get(f"{BASE_URL}/models").mock(side_effect=list(answers))


@pytest.mark.respx(assert_all_called=False)
async def test_a_server_is_identified_by_its_models_and_version(respx_mock: respx.MockRouter) -> None:
    mock_models(respx_mock, httpx.Response(200, json={"data": [CARD, {"id": "other"}, None]}))
    async with make_session() as session:
        server = await identify_server(session)
    assert server == ServerCapabilities(("qwen", "other"), "vllm", "0.32.0", 4096)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
@pytest.mark.respx(assert_all_called=False)
async def test_a_server_without_a_list_of_models_is_accepted(respx_mock: respx.MockRouter, status: int) -> None:
    mock_models(respx_mock, httpx.Response(status, text="<html>no list</html>"))
    async with make_session() as session:
        assert await identify_server(session) == ServerCapabilities()


@pytest.mark.respx(assert_all_called=False)
async def test_a_wrong_key_stops_the_run_before_any_image_is_sent(respx_mock: respx.MockRouter) -> None:
    mock_models(respx_mock, error_response(401))
    async with make_session() as session:
        with pytest.raises(RunStopped) as caught:
            await identify_server(session)
    assert caught.value.code == "wrong_key"


LISTED = {"id": "qwen", "owned_by": "vllm"}


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"data": [LISTED]}, ("qwen",)),
        ([LISTED], ("qwen",)),
        (
            {"data": [LISTED, {}, {"id": None}, {"id": 7}, {"id": ""}, "text", 1, None, {"id": "other"}]},
            ("qwen", "other"),
        ),
        *[({"data": data}, ()) for data in (1, True, "abc", 1.5, None, {}, {"a": 1}, {"id": "qwen"})],
        *[(body, ()) for body in (1, True, "abc", None, [], {}, [1], {"models": [{"name": "qwen"}]})],
    ],
)
@pytest.mark.respx(assert_all_called=False)
async def test_a_list_of_models_may_have_any_form(
    respx_mock: respx.MockRouter, body: object, models: tuple[str, ...]
) -> None:
    mock_models(respx_mock, httpx.Response(200, json=body))
    async with make_session() as session:
        assert (await identify_server(session)).models == models


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (8192, 8192),
        ("8192", 8192),
        (8192.0, 8192),
        *[(sent, None) for sent in (0, -1, True, "8k", "", [8192], {"tokens": 8192}, 1e300, 2**62, "9" * 5000, None)],
    ],
)
@pytest.mark.respx(assert_all_called=False)
async def test_the_context_of_a_model_is_a_number_or_unknown(
    respx_mock: respx.MockRouter, sent: object, read: int | None
) -> None:
    mock_models(respx_mock, httpx.Response(200, json={"data": [{"id": "qwen", "max_model_len": sent}]}))
    async with make_session() as session:
        server = await identify_server(session)
        findings = dict(list_findings(session.endpoint, server, []))
    assert shortest_context([server]) == read
    assert findings["context"].startswith(f"{read:,}" if read else "unknown")


@pytest.mark.parametrize("value", [5, True, ["x"], {"a": 1}])
@pytest.mark.respx(assert_all_called=False)
async def test_texts_of_a_model_are_texts_or_unknown(respx_mock: respx.MockRouter, value: object) -> None:
    respx_mock.get("http://gpu.example/version").respond(json={"version": value})
    card = {"id": "qwen", "owned_by": value, "root": value, "parent": value}
    respx_mock.get(f"{BASE_URL}/models").respond(json={"data": [card]})
    async with make_session() as session:
        assert await identify_server(session) == ServerCapabilities(("qwen",))


@pytest.mark.parametrize("settings", [{"api_key": SECRET}, {"headers": {"authorization": f"Bearer {SECRET}"}}])
async def test_a_list_of_models_shows_no_secret(settings: dict[str, Any]) -> None:
    card = {"id": "qwen", "owned_by": f"令牌{SECRET}", "root": f"/{SECRET}", "parent": SECRET}

    async def repeat(request: web.Request) -> web.Response:
        return web.json_response({"data": [card, {"id": f"for {SECRET}"}], "version": f"1_{SECRET}"})

    async with serve_handler(repeat) as url:
        endpoint = Endpoint.model_validate({"base_url": f"{url}/v1", "model": "qwen", **settings})
        async with Session(endpoint) as session:
            server = await identify_server(session)
    assert SECRET not in repr(server)
    assert server.models == ("qwen", "for …")


def obey_field(field: str | None) -> Any:
    """A server that obeys one constraint field and ignores the others."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return ok_response("persqa-123456" if field in body else "Hello!")

    return answer


@pytest.mark.parametrize("field", ["structured_outputs", "guided_regex", None])
async def test_an_obeyed_constraint_is_detected(respx_mock: respx.MockRouter, field: str | None) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=obey_field(field))
    async with make_session() as session:
        probe = ProbeSession.of(session)
        assert find_obeyed_form(await probe_constraints(probe)) == field
        assert probe.profile.dialect.describe_changes() == []


async def test_refused_constraints_leave_no_trace_in_the_dialect(respx_mock: respx.MockRouter) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        named = next((name for name in ("structured_outputs", "guided_regex") if name in body), None)
        return (
            error_response(400, f"Unrecognized request argument supplied: {named}") if named else ok_response("Hello!")
        )

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session() as session:
        probe = ProbeSession.of(session)
        assert set((await probe_constraints(probe)).values()) == {"refused", "ignored"}
        assert probe.profile.dialect.describe_changes() == []


async def test_other_refusals_during_a_probe_are_kept(respx_mock: respx.MockRouter) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "seed" in json.loads(request.content):
            return error_response(400, "Unsupported parameter: 'seed'.", param="seed", code="unsupported_parameter")
        return ok_response("Hello!")

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session() as session:
        probe = ProbeSession.of(session)
        await probe_constraints(probe)
        assert probe.profile.dialect.dropped == {"seed"}
        assert session.profile.dialect.dropped == frozenset()


async def test_a_failed_probe_counts_as_refused(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=error_response(400, "No."))
    async with make_session() as session:
        assert set((await probe_constraints(ProbeSession.of(session))).values()) == {"refused"}


def test_the_probe_pattern_matches_no_ordinary_answer() -> None:
    assert re.fullmatch(PROBE_PATTERN, "persqa-123456")
    assert not re.fullmatch(PROBE_PATTERN, "Hello!")


async def test_the_list_of_models_is_retried_after_a_broken_connection() -> None:
    tries = list[str]()

    async def shaky(request: web.Request) -> web.Response:
        tries.append(request.path)
        if request.path == "/v1/models" and tries.count(request.path) < 3:
            assert request.transport
            request.transport.abort()
        return web.json_response({"data": [{"id": "qwen"}]})

    async with (
        serve_handler(shaky) as url,
        Session(Endpoint(base_url=f"{url}/v1", model="qwen"), backoff=FAST_BACKOFF) as session,
    ):
        assert (await identify_server(session)).models == ("qwen",)
    assert tries.count("/v1/models") == 3


@pytest.mark.parametrize("status", [200, 401])
async def test_a_url_without_v1_is_corrected_before_any_image_is_sent(status: int) -> None:
    async def only_under_v1(request: web.Request) -> web.Response:
        return web.json_response({"data": []}, status=status if request.path.startswith("/v1/") else 404)

    async with (
        serve_handler(only_under_v1) as url,
        Session(Endpoint(base_url=url, model="qwen"), backoff=FAST_BACKOFF) as session,
    ):
        with pytest.raises(RunStopped) as caught:
            await identify_server(session)
    assert caught.value.code == "wrong_url"
    assert f"--base-url {url}/v1" in caught.value.message

"""What is said about refused credentials fits where they come from, and quotes the server."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiohttp import web

from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped
from persqa_client.probing.probe import identify_server
from tests.client.attempts import BODY, failure
from tests.support.endpoints import completion_response, serve_handler

AZURE = "Access denied due to invalid subscription key. Use a correct regional API endpoint for your resource."
SOURCES = [
    ({}, "the server requires a key and none was sent; name the variable that holds the key with --api-key-env."),
    (
        {"api_key": "wrong-key"},
        "the key is wrong or expired; name the variable that holds the right key with --api-key-env.",
    ),
    (
        {"api_key": "wrong-key", "headers": {"x-team": "vision"}},
        "the key is wrong or expired; name the variable that holds the right key with --api-key-env.",
    ),
    (
        {"api_key": "wrong-key", "api_key_command": "echo wrong-key"},
        "the key that --api-key-command printed is wrong or expired; run the command by hand to check it.",
    ),
    (
        {"headers": {"api-key": "wrong-key"}},
        "the value of --header api-key is wrong or expired; check the value of its variable, or name the variable that "
        "holds a key with --api-key-env.",
    ),
    (
        {"headers": {"authorization": "Basic d3Jvbmcta2V5"}},
        "the value of --header authorization is wrong or expired; check the value of its variable.",
    ),
]


def client_with(url: str, settings: Mapping[str, object]) -> Client:
    return Client(Endpoint.model_validate({"base_url": f"{url}/v1", "model": "qwen", **settings}))


@pytest.mark.parametrize(("settings", "advice"), SOURCES)
async def test_every_request_says_the_same_about_refused_credentials(
    settings: Mapping[str, object], advice: str
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "401", "message": AZURE}}, status=401)

    async with serve_handler(refuse) as url:
        endpoint = Endpoint.model_validate({"base_url": f"{url}/v1", "model": "qwen", **settings})
        async with Session(endpoint) as session:
            posted = (await failure(session.client)).message
            with pytest.raises(RunStopped) as listed:
                await identify_server(session)
    assert posted == listed.value.message
    assert posted == f"Authentication failed (401 Unauthorized): {AZURE.rstrip('.')}: {advice}"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"api_key": "wrong-key"}, "check --api-key-env."),
        ({"api_key": "wrong-key", "api_key_command": "echo wrong-key"}, "check --api-key-command."),
        ({"headers": {"api-key": "wrong-key"}}, "check --header api-key."),
    ],
)
async def test_a_key_that_another_status_refuses_is_named_by_its_flag(
    settings: Mapping[str, object], named: str
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "invalid_api_key", "message": "No."}}, status=400)

    async with serve_handler(refuse) as url, client_with(url, settings) as client:
        assert (await failure(client)).message.endswith(named)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_key_that_expires_is_renewed_whatever_the_status(status: int) -> None:
    keys = ["first-key"]

    async def handle(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {keys[-1]}":
            return completion_response()
        error = {"code": "invalid_api_key", "message": "The key has expired."}
        return web.json_response({"error": error}, status=status)

    settings = {"api_key": "first-key", "api_key_command": "echo second-key"}
    async with serve_handler(handle) as url, client_with(url, settings) as client:
        await client.send(BODY)
        keys.append("second-key")
        assert (await client.send(BODY)).text


async def test_a_new_key_that_is_refused_too_is_explained() -> None:
    keys = ["first-key"]

    async def handle(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {keys[-1]}":
            return completion_response()
        return web.json_response({"error": {"message": "The project was closed."}}, status=401)

    settings = {"api_key": "first-key", "api_key_command": "echo second-key"}
    async with serve_handler(handle) as url, client_with(url, settings) as client:
        await client.send(BODY)
        keys.append("a third one")
        message = (await failure(client)).message
    assert "The project was closed: the key that --api-key-command printed is wrong or expired" in message

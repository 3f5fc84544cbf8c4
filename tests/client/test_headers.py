"""What a request carries, and to whom, as it arrives over real sockets."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from persqa_client.client.request import Body
from persqa_client.client.transport import ChatOpenAI, Client
from persqa_client.config import Endpoint
from persqa_client.types import EncodedImage, RetryAction
from tests.client.attempts import BODY, client_of, failure, recording
from tests.client.local_proxy import HOST
from tests.support.endpoints import completion_response, serve_handler

KEY = "for.this+host/alone"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Credentials of another host, in every variable that the SDK reads."""
    secrets = [f"foreign-secret-{number}" for number in range(6)]
    names = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_WEBHOOK_SECRET")
    for name, secret in zip(names, secrets, strict=False):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Foreign: {secrets[5]}\nAuthorization: Bearer {secrets[5]}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    return secrets


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
async def test_no_credentials_of_the_environment_are_sent(environment: list[str], key: str | None) -> None:
    """The key is sent in one header. Without a key there is no such header."""
    heads = list[dict[str, str]]()
    async with serve_handler(recording(heads)) as url, client_of(f"{url}/v1", key=key) as client:
        await client.send(BODY)
        await client.get(f"{url}/v1/models")
    post, get = heads
    for head in heads:
        assert head.get("authorization") == (f"Bearer {key}" if key else None)
        assert not any(secret in f"{name}{value}" for secret in environment for name, value in head.items())
        assert KEY not in "".join(value for name, value in head.items() if name != "authorization")
        assert "openai-organization" not in head
        assert "openai-project" not in head
        assert head["user-agent"] == "persqa-client"
    assert set(post) - {"x-stainless-retry-count", "content-length", "content-type"} <= set(get) | {"content-type"}
    assert post["content-type"] == "application/json"


async def test_the_body_is_sent_unchanged() -> None:
    seen = list[bytes]()

    async def handle(request: web.Request) -> web.Response:
        seen.append(await request.read())
        return completion_response()

    body = b'{"model" : "qwen",\n "n":1.50, "picture": "' + b"A" * 300_000 + b'"}'
    async with serve_handler(handle) as url, client_of(f"{url}/v1") as client:
        completion = await client.send(body)
    assert seen == [body]
    assert completion.text == "<mam> wears a hat."


async def test_an_image_is_sent_in_pieces_with_a_content_length() -> None:
    """By the first request, which the SDK builds, and by copies of it."""
    heads, seen = list[dict[str, str]](), list[bytes]()

    async def handle(request: web.Request) -> web.Response:
        heads.append({name.lower(): value for name, value in request.headers.items()})
        seen.append(await request.read())
        return completion_response()

    body = Body((b'{"picture": "', EncodedImage(bytes(300_001), "image/jpeg", 1, 1), b'"}'))
    async with serve_handler(handle) as url, client_of(f"{url}/v1") as client:
        for _ in range(3):
            await client.send(body)
    assert seen == [bytes(body)] * 3
    assert [head["content-length"] for head in heads] == [str(len(body))] * 3
    assert not any("transfer-encoding" in head for head in heads)


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
async def test_copied_requests_are_those_that_the_sdk_would_build(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    heads = list[dict[str, str]]()

    async def send_three(url: str) -> None:
        async with client_of(f"{url}/v1", key=key) as client:
            for _ in range(3):
                await client.send(BODY)

    async with serve_handler(recording(heads)) as url:
        await send_three(url)
        monkeypatch.delattr(ChatOpenAI, "_build_request")
        await send_three(url)
    assert heads == [heads[0]] * 6
    assert heads[0].get("authorization") == (f"Bearer {key}" if key else None)


async def test_requests_at_once_carry_each_their_own_images() -> None:
    seen = list[bytes]()

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(await request.read())
        assert request.content_length == len(seen[-1])
        return completion_response()

    images = [EncodedImage(bytes([number]) * 200_001, "image/jpeg", 1, 1) for number in range(8)]
    bodies = [Body((b'{"picture": "', image, b'", "and": "', image, b'"}')) for image in images]
    async with serve_handler(handle) as url, client_of(f"{url}/v1") as client:
        await asyncio.gather(*(client.send(body) for body in bodies))
    assert sorted(seen) == sorted(map(bytes, bodies))


@pytest.mark.usefixtures("host_is_loopback")
async def test_cookies_are_not_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer's cookie would tie all requests to one replica. (From an IP address, none is ever kept.)"""
    monkeypatch.setenv("NO_PROXY", "*")
    cookies = list[str | None]()

    async def handle(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        response = completion_response()
        response.set_cookie("route", "replica-1")
        return response

    async with serve_handler(handle) as url:
        named = url.replace("127.0.0.1", HOST)
        async with client_of(f"{named}/v1") as client:
            for _ in range(2):
                await client.send(BODY)
                await client.get(f"{named}/health")
    assert cookies == [None] * 4


async def test_neither_key_nor_body_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve_handler(recording([])) as url, client_of(f"{url}/v1", key=KEY) as client:
        await client.send(BODY)
    assert KEY not in caplog.text
    assert BODY.decode() not in caplog.text


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_an_echoed_key_is_redacted(status: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"You sent {request.headers['Authorization']}."}}, status=status)

    async with serve_handler(echo) as url, client_of(f"{url}/v1", key=KEY) as client:
        decision = await failure(client)
    assert KEY not in f"{decision!r} {client.context!r}"


async def test_an_echoed_key_without_its_scheme_is_redacted() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"The key {KEY} has no rights here."}})

    async with serve_handler(echo) as url, client_of(f"{url}/v1", key=KEY) as client:
        decision = await failure(client)
    assert "has no rights here" in decision.message
    assert KEY not in repr(decision)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """The key and the images go only to the host of the base URL."""
    heads = list[dict[str, str]]()

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": f"{other}/v1/chat/completions?state=1"})

    async with (
        serve_handler(recording(heads)) as other,
        serve_handler(elsewhere) as url,
        client_of(f"{url}/v1", key=KEY) as client,
    ):
        decision = await failure(client)
        assert (await client.get(f"{url}/v1/models"))[0] == status
    assert heads == []
    assert (decision.action, decision.code) == (RetryAction.STOP, "redirected")
    assert f"{other}/v1/chat/completions;" in decision.message


AZURE = {"api-key": "azure-secret-1", "X-Team": "7"}


def azure_client(url: str) -> Client:
    return Client(Endpoint.model_validate({"base_url": url, "model": "qwen", "headers": AZURE}), timeout=5.0)


async def test_further_headers_and_the_query_go_with_every_request() -> None:
    heads, targets = list[dict[str, str]](), list[str]()

    async def handle(request: web.Request) -> web.Response:
        heads.append({name.lower(): value for name, value in request.headers.items()})
        targets.append(f"{request.method} {request.raw_path}")
        return completion_response()

    async with serve_handler(handle) as url:
        base_url = f"{url}/openai/deployments/x?api-version=2024-10-21&a=%20b"
        async with azure_client(base_url) as client:
            for _ in range(2):
                await client.send(BODY)
            await client.get(f"{client.endpoint.base_url}/models")
            assert await client.alive()
    query, path = "?api-version=2024-10-21&a=%20b", "/openai/deployments/x"
    assert targets == [
        f"POST {path}/chat/completions{query}",
        f"POST {path}/chat/completions{query}",
        f"GET {path}/models{query}",
        f"GET {path}/health{query}",
    ]
    for head in heads:
        assert (head["api-key"], head["x-team"]) == ("azure-secret-1", "7")
        assert "authorization" not in head


async def test_a_header_may_replace_a_default_one() -> None:
    heads = list[dict[str, str]]()
    headers = {"User-Agent": "mine", "authorization": "Basic abc"}
    async with serve_handler(recording(heads)) as url:
        endpoint = Endpoint.model_validate({"base_url": f"{url}/v1", "model": "qwen", "headers": headers})
        async with Client(endpoint) as client:
            await client.send(BODY)
            await client.get(f"{url}/v1/models")
    assert [(head["user-agent"], head["authorization"]) for head in heads] == [("mine", "Basic abc")] * 2


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_the_value_of_a_header_is_in_no_message(status: int) -> None:
    """The server repeats it, in an error and in an answer that is none."""

    async def repeat(request: web.Request) -> web.Response:
        said = "x" * 380 + f" {request.headers['api-key']} of team {request.headers['X-Team']}"
        return web.json_response({"error": {"message": said}}, status=status)

    async with serve_handler(repeat) as url, azure_client(f"{url}/v1") as client:
        decision = await failure(client)
        _, body = await client.get(f"{url}/v1/models")
    shown = f"{decision.message} {decision.raw}" + (body.decode() if status != 200 else "")
    assert "azure" not in shown, "not even its beginning, where the message is cut off"
    assert "azure-secret" not in repr(client.endpoint)


async def test_a_refused_header_is_named_as_such() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "No."}}, status=401)

    async with serve_handler(refuse) as url, azure_client(f"{url}/v1") as client:
        decision = await failure(client)
    assert decision.code == "wrong_key"
    assert "the value of --header api-key or X-Team is wrong or expired" in decision.message


async def test_further_headers_do_not_follow_a_redirect() -> None:
    heads = list[dict[str, str]]()

    async with serve_handler(recording(heads)) as elsewhere:

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": f"{elsewhere}/v1/chat/completions"})

        async with serve_handler(redirect) as url, azure_client(f"{url}/v1") as client:
            assert (await failure(client)).code == "redirected"
    assert heads == []

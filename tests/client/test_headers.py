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
async def test_a_later_sdk_without_the_overridden_methods_sends_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str | None
) -> None:
    heads, seen = list[dict[str, str]](), list[bytes]()

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(await request.read())
        return await recording(heads)(request)

    body = Body((BODY[:4], BODY[4:]))

    async def send_four(url: str) -> None:
        async with client_of(f"{url}/v1?token=sesame", key=key) as client:
            for content in (BODY, body) * 2:
                await client.send(content)

    caplog.set_level("INFO")
    async with serve_handler(handle) as url:
        await send_four(url)
        for name in ("_send_request", "_build_request"):
            monkeypatch.delattr(ChatOpenAI, name)
            await send_four(url)
    assert seen == [BODY] * 12
    # Without ``_build_request``, only a body of pieces is sent without its length.
    assert [number for number, head in enumerate(heads) if head.get("transfer-encoding") == "chunked"] == [9, 11]
    for head in heads:
        head.pop("transfer-encoding", None)
        head.pop("content-length", None)
    assert heads == [heads[0]] * 12
    assert heads[0].get("authorization") == (f"Bearer {key}" if key else None)
    assert "sesame" not in caplog.text


async def test_a_closed_client_sends_nothing() -> None:
    async with serve_handler(recording([])) as url:
        client = client_of(f"{url}/v1")
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.send(BODY)


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

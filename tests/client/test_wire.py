"""All requests but the first: as the SDK made that one, with their failures told apart as its are."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from persqa_client.client.request import Body
from persqa_client.client.transport import goes_straight
from persqa_client.types import EncodedImage, RetryAction
from tests.client.attempts import BODY, client_of, failure
from tests.support.endpoints import Handler, completion_response, serve_handler

KEY = "for-this-host-alone"
PER_CONNECTION = {"host", "content-length", "accept-encoding", "connection"}
"""Headers that a transport sets by itself, and the SDK's may set otherwise."""


def first_well(then: Handler) -> Handler:
    """Answers the first request; what follows is another matter."""
    seen = list[bytes]()

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(await request.read())
        return completion_response() if len(seen) == 1 else await then(request)

    return handle


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return completion_response()


async def abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return completion_response()


async def cut(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Length": "500"})
    await reply.prepare(request)
    await reply.write(b'{"choices": [')
    return await hang_up(request)


@pytest.mark.parametrize("then", [hang_up, abort, cut])
async def test_a_broken_connection_is_transient(then: Handler) -> None:
    async with serve_handler(first_well(then)) as url, client_of(f"{url}/v1") as client:
        await client.send(BODY)
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.RETRY, "connection_lost")


async def test_the_wall_time_of_an_attempt_ends_it() -> None:
    ended = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await ended.wait()
        return completion_response()

    async with serve_handler(first_well(wait)) as url, client_of(f"{url}/v1", timeout=0.4) as client:
        await client.send(BODY)
        verdict = await failure(client)
        ended.set()
    assert (verdict.action, verdict.code) == (RetryAction.RETRY, "timeout")


async def test_a_server_that_is_gone_is_away() -> None:
    async with serve_handler(first_well(hang_up)) as url:
        client = client_of(f"{url}/v1")
        await client.send(BODY)
    async with client:
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.AWAIT_RECOVERY, "refused")


@pytest.mark.parametrize(
    ("status", "act"),
    [(429, RetryAction.WAIT), (500, RetryAction.RETRY), (400, RetryAction.FAIL), (307, RetryAction.STOP)],
)
async def test_a_refusal_is_told_with_its_headers_and_words(status: int, act: RetryAction) -> None:
    """A redirect is a refusal, too: nothing is sent elsewhere."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        headers = {"Retry-After": "7", "Location": "http://elsewhere.invalid/v1"}
        return web.json_response({"error": {"message": "so it is"}}, status=status, headers=headers)

    async with serve_handler(first_well(refuse)) as url, client_of(f"{url}/v1") as client:
        await client.send(BODY)
        verdict = await failure(client)
    assert (verdict.action, verdict.status) == (act, status)
    assert verdict.retry_after == (7 if act is RetryAction.WAIT else None)
    assert ("elsewhere.invalid" if act is RetryAction.STOP else "so it is") in verdict.message


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
async def test_a_later_request_has_the_headers_of_the_first(key: str | None) -> None:
    heads = list[dict[str, str]]()

    async def note(request: web.Request) -> web.StreamResponse:
        heads.append({name.lower(): value for name, value in request.headers.items()})
        return completion_response()

    async with serve_handler(note) as url, client_of(f"{url}/v1", key=key) as client:
        for _ in range(3):
            await client.send(BODY)
    first, *later = [{name: value for name, value in head.items() if name not in PER_CONNECTION} for head in heads]
    assert later == [first, first]
    assert first.get("authorization") == (f"Bearer {key}" if key else None)


async def test_requests_at_once_carry_each_its_own_pictures() -> None:
    """Also those that start before the first is answered."""
    seen = list[bytes]()

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(await request.read())
        assert request.content_length == len(seen[-1])
        return completion_response()

    pictures = [EncodedImage(bytes([number]) * 200_001, "image/jpeg", 1, 1) for number in range(8)]
    bodies = [Body((b'{"picture": "', picture, b'", "and": "', picture, b'"}')) for picture in pictures]
    async with serve_handler(note) as url, client_of(f"{url}/v1") as client:
        await asyncio.gather(*(client.send(body) for body in bodies))
    assert sorted(seen) == sorted(map(bytes, bodies))


def test_where_a_proxy_may_stand_between_requests_do_not_go_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert goes_straight("https://api.openai.com/v1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert not goes_straight("https://api.openai.com/v1")
    assert goes_straight("http://127.0.0.1:8000/v1")

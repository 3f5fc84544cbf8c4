"""Our errors have no cause or context from the SDK or aiohttp: those exceptions hold the key and the images."""

from __future__ import annotations

import base64
import random
import traceback
from collections.abc import Iterator

import pytest
from aiohttp import web

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.breaker import plain_request
from persqa_client.endpoints.session import Session
from persqa_client.errors import AttemptError, PersQAError, RowError, RunStopped
from persqa_client.types import EncodedImage, Request
from tests.client.attempts import client_of
from tests.support.endpoints import FAST_BACKOFF, completion_response, serve_handler

KEY = "my-Own.Key+42"
DATA = random.Random(1).randbytes(600)
PICTURE = base64.b64encode(DATA).decode()


def iter_chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error with all its causes and contexts, also those that a traceback would not print."""
    if error is not None:
        yield error
        yield from iter_chain(error.__cause__)
        yield from iter_chain(error.__context__)


def assert_clean(error: BaseException) -> None:
    assert all(isinstance(link, PersQAError) for link in iter_chain(error)), list(iter_chain(error))
    printed = "".join(traceback.format_exception(error))
    assert KEY not in printed
    assert PICTURE[:40] not in printed


async def echo(request: web.Request) -> web.Response:
    """Responds with the status in its path, and an error that repeats the request and the key. A trial is answered."""
    sent_text = (await request.text()).replace('"', "'")
    if request.method == "GET" or plain_request().prompt in sent_text:
        return completion_response()
    status = int(request.path.split("/")[1])
    text = f'{{"error": {{"message": "{request.headers.get("Authorization")} sent {sent_text}"}}}}'
    return web.Response(status=status, text=text)


async def prose(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.headers.get('Authorization')} sent {await request.text()}")


async def hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


BODY = f'{{"url": "data:image/jpeg;base64,{PICTURE}"}}'.encode()


@pytest.mark.parametrize("status", [200, 400, 401, 422, 429, 500, 502])
async def test_an_attempts_error_does_not_carry_an_echoed_request(status: int) -> None:
    async with serve_handler(echo) as url, client_of(f"{url}/{status}/v1", key=KEY) as client:
        with pytest.raises(AttemptError) as caught:
            await client.send(BODY)
    assert_clean(caught.value)


@pytest.mark.parametrize("handler", [prose, hang_up])
async def test_an_attempt_without_json_or_response_has_a_clean_error(
    handler: object,
) -> None:
    assert callable(handler)
    async with serve_handler(handler) as url, client_of(f"{url}/v1", key=KEY) as client:
        with pytest.raises(AttemptError) as caught:
            await client.send(BODY)
        assert_clean(caught.value)
        if handler is hang_up:
            with pytest.raises(AttemptError) as caught:
                await client.get(f"{url}/health")
            assert_clean(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"), [(200, RowError), (400, RowError), (500, RowError), (401, RunStopped), (402, RunStopped)]
)
async def test_a_failed_requests_error_is_clean(status: int, kind: type[PersQAError]) -> None:
    request = Request("s", (EncodedImage(DATA, "image/jpeg", 2, 2),), "q", seed=1)
    async with serve_handler(echo) as url:
        endpoint = Endpoint.model_validate({"base_url": f"{url}/{status}/v1", "model": "qwen", "api_key": KEY})
        limits = Limits(max_attempts=2)
        async with Session(endpoint, limits=limits, backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF) as session:
            with pytest.raises(kind) as caught:
                await session.complete(request)
    assert_clean(caught.value)

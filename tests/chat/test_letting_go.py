"""What an answered request leaves behind: nothing of its pictures, without the garbage collector's help."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from aiohttp import web

from persqa_client.chat.sessions import Session
from persqa_client.config import Endpoint
from persqa_client.types import Picture, Request
from tests.chat.talking import QUICK, answer, serving

ROUNDS = 4


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def left_over() -> int:
    """How many pictures are there still when the requests that had them are over."""
    calls = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        await request.read()
        # Every other attempt fails in passing, so that trials go on after a failure, too.
        return web.Response(status=500) if calls % 2 else answer()

    pictures: list[weakref.ref[Picture]] = []
    async with serving(handle) as url, Session(Endpoint(base_url=f"{url}/v1", model="m"), backoff=QUICK) as session:
        for number in range(ROUNDS):
            picture = Picture(bytes([number]) * 100_000, "image/jpeg", 1, 1)
            pictures.append(weakref.ref(picture))
            request = Request("s", (picture,), "q", seed=number)
            assert (await session.complete(request)).attempts == 2
            del picture, request
        return sum(kept() is not None for kept in pictures)


async def test_an_answered_request_leaves_no_picture() -> None:
    # The last may still be held by a task of the transport that is about to end.
    assert await left_over() <= 1

"""Once a request is over, its images are freed without the garbage collector."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from aiohttp import web

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.breaker import plain_request
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.types import EncodedImage, Request
from tests.support.endpoints import FAST_BACKOFF, completion_response, serve_handler

ROUNDS = 4


@pytest.fixture(autouse=True)
def gc_disabled() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def count_kept_images(statuses: Sequence[int], attempts: int) -> int:
    """How many images are still in memory after their requests. The server responds with ``statuses`` in turn."""
    coming = itertools.cycle(statuses)

    async def handle(request: web.Request) -> web.Response:
        if request.method == "GET" or plain_request().prompt.encode() in await request.read():
            return completion_response()
        status = next(coming)
        return completion_response() if status == 200 else web.Response(status=status)

    pictures: list[weakref.ref[EncodedImage]] = []
    limits = Limits(max_attempts=attempts)
    async with (
        serve_handler(handle) as url,
        Session(
            Endpoint(base_url=f"{url}/v1", model="m"), limits=limits, backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF
        ) as session,
    ):
        for number in range(ROUNDS):
            picture = EncodedImage(bytes([number]) * 100_000, "image/jpeg", 1, 1)
            pictures.append(weakref.ref(picture))
            with suppress(RowError):
                await session.complete(Request("s", (picture,), "q", seed=number))
            del picture
        return sum(kept() is not None for kept in pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statuses", "attempts"),
    [([200], 1), ([500, 200], 2), ([400], 1), ([500], 1), ([500], 3), ([429, 400], 1)],
    ids=["answered", "after a failure", "refused", "failed", "failed thrice", "refused after pressure"],
)
async def test_a_finished_request_frees_its_images(statuses: list[int], attempts: int) -> None:
    # A task of aiohttp that is about to end may still hold the last one.
    assert await count_kept_images(statuses, attempts) <= 1

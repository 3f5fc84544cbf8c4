"""A session that sends each image once and then references it by its uuid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import respx

from persqa_client.client.dialect import Dialect
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.types import EncodedImage, Request
from tests.support.endpoints import CHAT_URL, error_response, make_session, ok_response, queue_responses, sent_body

MISS = error_response(
    400, "Cache miss for image at index 0 but data is not provided.", type="BadRequestError", code=400
)
SEEN = EncodedImage(b"\xff\xd8one", "image/jpeg", 4, 4, uuid="persqa-1")
OTHER = EncodedImage(b"\xff\xd8two", "image/jpeg", 4, 4, uuid="persqa-2")


def make_request(*pictures: EncodedImage, question: str = "What is <mam> wearing?") -> Request:
    return Request("You look closely.", pictures, question, seed=7)


def sent_images(route: respx.Route, call: int = -1) -> list[tuple[str | None, bool]]:
    """For each image of a request: its uuid, and whether its bytes were sent."""
    parts: list[dict[str, Any]] = sent_body(route, call)["messages"][1]["content"][:-1]
    return [(part.get("uuid"), part["image_url"] is not None) for part in parts]


@pytest_asyncio.fixture
async def uuid_session(respx_mock: respx.MockRouter) -> AsyncIterator[Session]:
    """A session with a server that keeps images."""
    async with make_session(max_attempts=2) as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        yield session


async def test_an_image_is_sent_once_and_then_referenced(uuid_session: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, ok_response(), ok_response(), ok_response())
    for pictures in ((SEEN,), (SEEN,), (OTHER, SEEN)):
        await uuid_session.complete(make_request(*pictures))
    assert sent_images(route, 0) == [("persqa-1", True)]
    assert sent_images(route, 1) == [("persqa-1", False)]
    assert sent_images(route, 2) == [("persqa-2", True), ("persqa-1", False)]
    assert (
        uuid_session.profile.uploads.images_sent,
        uuid_session.profile.uploads.uuids_sent,
        uuid_session.profile.uploads.cache_misses,
    ) == (2, 2, 0)


async def test_an_image_without_a_uuid_is_sent_each_time(uuid_session: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, ok_response(), ok_response())
    for _ in range(2):
        await uuid_session.complete(make_request(replace(SEEN, uuid=None)))
    assert sent_images(route) == [(None, True)]


@pytest.mark.parametrize("statuses", [(400,), (400, 400)])
async def test_a_cache_miss_costs_no_attempt(respx_mock: respx.MockRouter, statuses: tuple[int, ...]) -> None:
    route = queue_responses(respx_mock, ok_response(), MISS, ok_response(), MISS, ok_response())
    async with make_session(max_attempts=1) as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        await session.complete(make_request(SEEN))
        replies = [await session.complete(make_request(SEEN)) for _ in statuses]
    assert [reply.attempts for reply in replies] == [1] * len(statuses)
    assert [sent_images(route, call)[0][1] for call in range(3)] == [True, False, True]


async def test_a_row_is_rejected_if_it_is_with_its_image_too(
    uuid_session: Session, respx_mock: respx.MockRouter
) -> None:
    """Whatever the message: a cache miss of one server reads like a bad request of another."""
    route = queue_responses(
        respx_mock, ok_response(), error_response(400, "Too long."), error_response(400, "Too long."), ok_response()
    )
    respx_mock.get(path="/health").respond(200)
    await uuid_session.complete(make_request(SEEN))
    with pytest.raises(RowError, match="Too long") as caught:
        await uuid_session.complete(make_request(SEEN))
    assert (caught.value.code, caught.value.attempts, route.call_count) == ("rejected", 1, 3 + 1)
    assert sent_images(route, 2) == [("persqa-1", True)]


async def test_a_request_with_its_image_is_rejected_at_once(session: Session, respx_mock: respx.MockRouter) -> None:
    """This server keeps no images, so the second request contains the image as well."""
    route = queue_responses(respx_mock, ok_response(), error_response(400, "Too long."), ok_response())
    respx_mock.get(path="/health").respond(200)
    await session.complete(make_request(SEEN))
    with pytest.raises(RowError, match="Too long"):
        await session.complete(make_request(SEEN))
    assert [sent_images(route, call) for call in (1, 2)] == [[(None, True)]] * 2


async def test_a_failed_upload_is_repeated(uuid_session: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, error_response(500), ok_response(), ok_response())
    await uuid_session.complete(make_request(SEEN))
    await uuid_session.complete(make_request(SEEN))
    assert [sent_images(route, call)[0][1] for call in range(3)] == [True, True, False]


async def count_waves(session: Session, route: respx.Route, requests: list[Request]) -> list[int]:
    """How many requests arrive together, each time after all earlier ones were answered."""
    waves: list[int] = []
    gate = asyncio.Event()
    count = 0

    async def hold(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        await gate.wait()
        return ok_response()

    route.mock(side_effect=hold)
    tasks = [asyncio.create_task(session.complete(request)) for request in requests]
    while not all(task.done() for task in tasks):
        seen, still = -1, 0
        while still < 40:
            still = still + 1 if seen == count else 0
            seen = count
            await asyncio.sleep(0.002)
        waves.append(count)
        count = 0
        gate.set()
        gate = asyncio.Event()
    return [wave for wave in waves if wave]


@pytest.mark.parametrize("uuid", [True, False], ids=["keeps pictures", "keeps none"])
async def test_the_first_question_goes_first_and_the_others_follow_together(
    respx_mock: respx.MockRouter, uuid: bool
) -> None:
    route = respx_mock.post(CHAT_URL)
    async with make_session() as session:
        session.profile.dialect = Dialect(sends_uuids=uuid)
        assert await count_waves(session, route, [make_request(SEEN)] * 5 + [make_request(OTHER)] * 2) == [2, 5]
    bodies = [sent_images(route, call) for call in range(7)]
    assert sum(body[0][1] for body in bodies) == (2 if uuid else 7)
    assert {body[0][0] for body in bodies} == ({"persqa-1", "persqa-2"} if uuid else {None})


async def test_questions_about_a_sent_image_go_before_new_images(respx_mock: respx.MockRouter) -> None:
    asked: list[str] = []

    async def note(request: httpx.Request) -> httpx.Response:
        asked.append(orjson.loads(request.content)["messages"][1]["content"][-1]["text"])
        await asyncio.sleep(0.001)
        return ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=note)
    new = [replace(OTHER, uuid=f"persqa-{number}") for number in range(10, 13)]
    async with make_session(concurrency=1) as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        await asyncio.gather(
            session.complete(make_request(SEEN, question="first")),
            session.complete(make_request(SEEN, question="second")),
            *(session.complete(make_request(picture, question="new")) for picture in new),
        )
    # One new request has got the permit of the first before its answer is processed.
    assert asked == ["first", "new", "second", "new", "new"]


async def test_waiting_for_an_image_takes_no_permit(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(CHAT_URL)
    async with make_session(concurrency=2) as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        waves = await count_waves(session, route, [make_request(SEEN)] * 3 + [make_request(OTHER)])
    assert waves == [2, 2]


async def test_drain_interrupts_requests_that_wait_for_an_image(respx_mock: respx.MockRouter) -> None:
    gate = asyncio.Event()

    async def hold(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return ok_response()

    route = respx_mock.post(CHAT_URL).mock(side_effect=hold)
    async with make_session() as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        tasks = [asyncio.create_task(session.complete(make_request(SEEN))) for _ in range(4)]
        await asyncio.sleep(0.02)
        session.drain()
        gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end).__name__ for end in ends] == ["Reply", *["Interrupted"] * 3]
    assert route.call_count == 1


async def test_a_change_of_dialect_keeps_the_known_images(uuid_session: Session, respx_mock: respx.MockRouter) -> None:
    refused = error_response(
        400, "Unsupported parameter: 'seed' is not supported.", code="unsupported_parameter", param="seed"
    )
    route = queue_responses(respx_mock, ok_response(), refused, ok_response())
    await uuid_session.complete(make_request(SEEN))
    reply = await uuid_session.complete(make_request(SEEN))
    assert isinstance(reply, Reply)
    assert sent_images(route, 1) == sent_images(route, 2) == [("persqa-1", False)]
    assert "seed" not in sent_body(route)

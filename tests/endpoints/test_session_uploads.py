"""A session that sends pictures once: what its requests carry, and what becomes of them when the server has none."""

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
from persqa_client.endpoints.session import Reply, Session
from persqa_client.errors import RowError
from persqa_client.types import EncodedImage, Request
from tests.support.endpoints import CHAT_URL, error_response, make_session, ok_response, queue_responses, sent_body

MISS = error_response(
    400, "Cache miss for image at index 0 but data is not provided.", type="BadRequestError", code=400
)
SEEN = EncodedImage(b"\xff\xd8one", "image/jpeg", 4, 4, uuid="persqa-1")
OTHER = EncodedImage(b"\xff\xd8two", "image/jpeg", 4, 4, uuid="persqa-2")


def about(*pictures: EncodedImage, question: str = "What is <mam> wearing?") -> Request:
    return Request("You look closely.", pictures, question, seed=7)


def carried(route: respx.Route, call: int = -1) -> list[tuple[str | None, bool]]:
    """Of each picture of a request: its uuid, and whether its bytes came along."""
    parts: list[dict[str, Any]] = sent_body(route, call)["messages"][1]["content"][:-1]
    return [(part.get("uuid"), part["image_url"] is not None) for part in parts]


@pytest_asyncio.fixture
async def keeping(respx_mock: respx.MockRouter) -> AsyncIterator[Session]:
    """A session with a server that keeps pictures."""
    async with make_session(max_attempts=2) as session:
        session.profile.dialect = Dialect(uuid=True)
        yield session


async def test_a_picture_is_carried_once_and_named_from_then_on(keeping: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, ok_response(), ok_response(), ok_response())
    for pictures in ((SEEN,), (SEEN,), (OTHER, SEEN)):
        await keeping.complete(about(*pictures))
    assert carried(route, 0) == [("persqa-1", True)]
    assert carried(route, 1) == [("persqa-1", False)]
    assert carried(route, 2) == [("persqa-2", True), ("persqa-1", False)]
    assert (
        keeping.profile.uploads.images_sent,
        keeping.profile.uploads.uuids_sent,
        keeping.profile.uploads.cache_misses,
    ) == (2, 2, 0)


async def test_a_picture_without_a_uuid_is_carried_each_time(keeping: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, ok_response(), ok_response())
    for _ in range(2):
        await keeping.complete(about(replace(SEEN, uuid=None)))
    assert carried(route) == [(None, True)]


@pytest.mark.parametrize("statuses", [(400,), (400, 400)])
async def test_a_cache_miss_costs_neither_an_attempt_nor_the_row(
    respx_mock: respx.MockRouter, statuses: tuple[int, ...]
) -> None:
    route = queue_responses(respx_mock, ok_response(), MISS, ok_response(), MISS, ok_response())
    async with make_session(max_attempts=1) as session:
        session.profile.dialect = Dialect(uuid=True)
        await session.complete(about(SEEN))
        replies = [await session.complete(about(SEEN)) for _ in statuses]
    assert [reply.attempts for reply in replies] == [1] * len(statuses)
    assert [carried(route, call)[0][1] for call in range(3)] == [True, False, True]


async def test_a_refusal_is_the_rows_own_once_the_bytes_were_refused_too(
    keeping: Session, respx_mock: respx.MockRouter
) -> None:
    """Whatever its words: one server says of a picture that it has not what another says of a bad request."""
    route = queue_responses(
        respx_mock, ok_response(), error_response(400, "Too long."), error_response(400, "Too long.")
    )
    await keeping.complete(about(SEEN))
    with pytest.raises(RowError, match="Too long") as caught:
        await keeping.complete(about(SEEN))
    assert (caught.value.code, caught.value.attempts, route.call_count) == ("rejected", 1, 3)
    assert carried(route) == [("persqa-1", True)]


async def test_a_refusal_of_what_carried_its_picture_is_believed_at_once(
    session: Session, respx_mock: respx.MockRouter
) -> None:
    """This server keeps no pictures, so its second request has them too."""
    route = queue_responses(respx_mock, ok_response(), error_response(400, "Too long."))
    await session.complete(about(SEEN))
    with pytest.raises(RowError, match="Too long"):
        await session.complete(about(SEEN))
    assert carried(route) == [(None, True)]


async def test_a_failed_upload_is_made_again(keeping: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, error_response(500), ok_response(), ok_response())
    await keeping.complete(about(SEEN))
    await keeping.complete(about(SEEN))
    assert [carried(route, call)[0][1] for call in range(3)] == [True, True, False]


async def waves_of(session: Session, route: respx.Route, requests: list[Request]) -> list[int]:
    """How many requests came together, each time that all that had come were answered."""
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
async def test_the_first_question_goes_ahead_and_the_others_follow_together(
    respx_mock: respx.MockRouter, uuid: bool
) -> None:
    route = respx_mock.post(CHAT_URL)
    async with make_session() as session:
        session.profile.dialect = Dialect(uuid=uuid)
        assert await waves_of(session, route, [about(SEEN)] * 5 + [about(OTHER)] * 2) == [2, 5]
    bodies = [carried(route, call) for call in range(7)]
    assert sum(body[0][1] for body in bodies) == (2 if uuid else 7)
    assert {body[0][0] for body in bodies} == ({"persqa-1", "persqa-2"} if uuid else {None})


async def test_questions_whose_picture_is_in_go_before_new_pictures(respx_mock: respx.MockRouter) -> None:
    asked: list[str] = []

    async def note(request: httpx.Request) -> httpx.Response:
        asked.append(orjson.loads(request.content)["messages"][1]["content"][-1]["text"])
        await asyncio.sleep(0.001)
        return ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=note)
    new = [replace(OTHER, uuid=f"persqa-{number}") for number in range(10, 13)]
    async with make_session(concurrency=1) as session:
        session.profile.dialect = Dialect(uuid=True)
        await asyncio.gather(
            session.complete(about(SEEN, question="first")),
            session.complete(about(SEEN, question="second")),
            *(session.complete(about(picture, question="new")) for picture in new),
        )
    # One of them has had the first one's slot already when its answer is known.
    assert asked == ["first", "new", "second", "new", "new"]


async def test_who_waits_for_a_picture_takes_no_slot(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(CHAT_URL)
    async with make_session(concurrency=2) as session:
        session.profile.dialect = Dialect(uuid=True)
        waves = await waves_of(session, route, [about(SEEN)] * 3 + [about(OTHER)])
    assert waves == [2, 2]


async def test_a_stop_ends_those_who_wait(respx_mock: respx.MockRouter) -> None:
    gate = asyncio.Event()

    async def hold(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return ok_response()

    route = respx_mock.post(CHAT_URL).mock(side_effect=hold)
    async with make_session() as session:
        session.profile.dialect = Dialect(uuid=True)
        tasks = [asyncio.create_task(session.complete(about(SEEN))) for _ in range(4)]
        await asyncio.sleep(0.02)
        session.drain()
        gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end).__name__ for end in ends] == ["Reply", *["Interrupted"] * 3]
    assert route.call_count == 1


async def test_a_dialect_that_changes_keeps_the_pictures_where_they_are(
    keeping: Session, respx_mock: respx.MockRouter
) -> None:
    refused = error_response(
        400, "Unsupported parameter: 'seed' is not supported.", code="unsupported_parameter", param="seed"
    )
    route = queue_responses(respx_mock, ok_response(), refused, ok_response())
    await keeping.complete(about(SEEN))
    reply = await keeping.complete(about(SEEN))
    assert isinstance(reply, Reply)
    assert carried(route, 1) == carried(route, 2) == [("persqa-1", False)]
    assert "seed" not in sent_body(route)

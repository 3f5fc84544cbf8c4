"""Whether an image can be sent again by its uuid: requests, answers, and what they prove."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.probing.capabilities import VisionCheck
from persqa_client.probing.features import judge_uuid, probe_uuid
from persqa_client.probing.probe import probe_server
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.simulator.server import run_simulator
from persqa_client.simulator.settings import SimSettings
from tests.probing.test_probe_features import make_local_session
from tests.support.cases import each_case
from tests.support.endpoints import CHAT_URL, error_response, make_session, ok_response, serve_handler


@each_case(
    ("sent", "other", "by_uuid", "believed"),
    [
        pytest.param("Red", "Blue", "Red", True, id="a good model"),
        pytest.param("Red", "Blue", "Red.", True, id="the colour named in other words"),
        pytest.param("Crimson", "Blue", "Red", True, id="the colour named the second time"),
        pytest.param("ab cd", "ef gh", "ab  cd\n", True, id="random weights"),
        pytest.param("ab cd", "ab cd", "ab cd", False, id="a model that answers all images alike"),
        pytest.param("Red", "Red", "Red", False, id="a cache that ignores the pixels"),
        pytest.param("Red", "Blue", "Blue", False, id="the other image"),
        pytest.param("Red", "Blue", "White", False, id="made up"),
        pytest.param("Red", "Blue", "There is no picture.", False, id="no image"),
        pytest.param("Red", "Blue", "", False, id="an empty answer"),
        pytest.param("Red", "", "Red", False, id="nothing said of the other image"),
        pytest.param("", "Blue", "", False, id="nothing said of the image"),
    ],
)
def test_a_uuid_counts_if_the_answer_depends_on_its_image(sent: str, other: str, by_uuid: str, believed: bool) -> None:
    assert judge_uuid("red", sent, other, by_uuid) is believed


@pytest.mark.parametrize(
    ("simulator", "believed"),
    [
        pytest.param({}, True, id="vLLM"),
        pytest.param({"cached_pictures": 1}, True, id="a cache for one image"),
        pytest.param({"shape": "hosted"}, False, id="a hosted model"),
        pytest.param({"blind_to_uuids": True}, False, id="counted but not shown"),
        pytest.param({"image_use": "counted"}, False, id="all images counted but not shown"),
        pytest.param({"image_use": "replayed"}, False, id="the first image shown for all"),
    ],
)
async def test_uuids_are_tested_by_answers(simulator: dict[str, Any], believed: bool) -> None:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with make_local_session(server.base_url) as session:
            assert await probe_uuid(ProbeSession.of(session)) is believed
            assert session.profile.uploads.images_sent == session.profile.uploads.cache_misses == 0


def image_part(request: httpx.Request) -> dict[str, Any]:
    return dict(json.loads(request.content)["messages"][1]["content"][0])


class CachingServer:
    """Answers with a word that depends on the image, which it keeps by its uuid."""

    def __init__(self, trouble: Callable[[dict[str, Any]], httpx.Response | None] = lambda part: None) -> None:
        self.trouble = trouble
        self.words: dict[str, str] = {}
        self.parts: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        part = image_part(request)
        self.parts.append(part)
        if (failure := self.trouble(part)) is not None:
            return failure
        if part["image_url"] is not None:
            self.words[part["uuid"]] = str(hash(part["image_url"]["url"]))
        known = self.words.get(part["uuid"])
        return error_response(400, "Cache miss.") if known is None else ok_response(known)


async def probe(server: CachingServer, respx_mock: respx.MockRouter) -> bool:
    respx_mock.post(CHAT_URL).mock(side_effect=server)
    async with make_session() as session:
        return await probe_uuid(ProbeSession.of(session))


async def test_each_image_is_sent_once(respx_mock: respx.MockRouter) -> None:
    server = CachingServer()
    assert await probe(server, respx_mock)
    assert sum(part["image_url"] is not None for part in server.parts) == 2
    unknown, by_uuid = (part["uuid"] for part in server.parts if part["image_url"] is None)
    assert unknown != by_uuid, "the uuid of an image that was not sent, and of one that was"
    assert len(server.parts) == 4


async def test_transient_errors_do_not_affect_the_test(respx_mock: respx.MockRouter) -> None:
    trouble = iter([error_response(503), None, error_response(429), error_response(500), error_response(500)])
    assert await probe(CachingServer(lambda part: next(trouble, None)), respx_mock)


async def test_a_server_that_answers_unknown_uuids_is_not_believed(respx_mock: respx.MockRouter) -> None:
    """Otherwise it would make up answers when an image has left its cache."""
    server = CachingServer(lambda part: ok_response("Grey") if part["uuid"] not in known else None)
    known = server.words
    assert not await probe(server, respx_mock)
    assert len(server.parts) == 1, "it is not asked any more"


async def test_a_500_for_an_unknown_uuid_is_a_refusal(respx_mock: respx.MockRouter) -> None:
    server = CachingServer()
    server.trouble = lambda part: (
        error_response(500) if part["image_url"] is None and part["uuid"] not in server.words else None
    )
    assert await probe(server, respx_mock)


async def test_a_server_that_wants_the_image_again_does_not_support_uuids(respx_mock: respx.MockRouter) -> None:
    server = CachingServer(lambda part: error_response(400) if part["image_url"] is None else None)
    assert not await probe(server, respx_mock)


async def test_a_model_that_says_nothing_is_asked_for_more_words() -> None:
    """As models with random weights do at temperature 0, unless vLLM's ``min_tokens`` is given."""

    async def end_at_once(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        body = await request.json()
        part = body["messages"][1]["content"][0]
        if isinstance(part, dict) and part["image_url"] is None and part["uuid"] not in urls:
            return web.json_response({"error": {"message": "Cache miss."}}, status=400)
        if isinstance(part, dict) and part["image_url"] is not None:
            urls[part.get("uuid")] = part["image_url"]["url"]
        word = str(hash(urls[part["uuid"]])) if isinstance(part, dict) and "uuid" in part else ""
        said.append(body.get("min_tokens", 0))
        return web.json_response({"choices": [{"message": {"content": word if said[-1] else ""}}]})

    urls, said = dict[str | None, str](), list[int]()
    async with serve_handler(end_at_once) as url, make_local_session(f"{url}/v1", "tiny") as session:
        server = await probe_server(session, strategy="direct", uuid=True)
    assert server.uuid is True
    assert server.vision == VisionCheck("not shown", "", None)
    assert said == [0, 0, 0, 8, 8, 8], "only where answers are compared with each other"

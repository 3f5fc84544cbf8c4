"""All that is asked of a server before a run, against simulated ones of every shape."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from persqa_client.client.dialect import Dialect
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import ServerCapabilities, explain_unusable_vision
from persqa_client.probing.features import count_images, probe_prefills, probe_seed, probe_uuid
from persqa_client.probing.probe import probe_server
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.endpoints import (
    BASE_URL,
    CHAT_URL,
    FAST_BACKOFF,
    REQUEST,
    error_response,
    make_session,
    ok_response,
    sent_body,
    serve_handler,
)

VLLM = {"structured_outputs": "obeyed", "guided_regex": "ignored", "json_schema": "obeyed"}
GUIDED = {"structured_outputs": "ignored", "guided_regex": "obeyed", "json_schema": "obeyed"}
HOSTED = {"structured_outputs": "refused", "guided_regex": "refused", "json_schema": "obeyed"}
NONE = dict.fromkeys(VLLM, "refused")
VLLM_PREFILLS = {"continue_final_message": "obeyed", "partial": "ignored"}
NO_PREFILLS = {"continue_final_message": "refused", "partial": "refused"}


def session_of(base_url: str, model: str = DEFAULT_MODEL, **settings: Any) -> Session:
    return Session(
        Endpoint(base_url=base_url, model=model), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF, **settings
    )


async def examined(simulator: dict[str, Any], **how: Any) -> tuple[ServerCapabilities, Dialect]:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with session_of(server.base_url) as session:
            return await probe_server(session, **how), session.profile.dialect


@pytest.mark.parametrize(
    ("simulator", "expected"),
    [
        pytest.param(
            {},
            {"constraints": VLLM, "prefills": VLLM_PREFILLS, "seed": "obeyed", "uuid": True, "max_model_len": 8192},
            id="vLLM",
        ),
        pytest.param(
            {"guided": True},
            {"constraints": GUIDED, "prefills": VLLM_PREFILLS, "seed": "obeyed"},
            id="vLLM before 0.12",
        ),
        pytest.param(
            {"shape": "hosted"},
            {
                "constraints": HOSTED,
                "prefills": NO_PREFILLS,
                "seed": "obeyed",
                "uuid": False,
                "max_model_len": None,
                "version": None,
            },
            id="hosted",
        ),
        pytest.param(
            {"shape": "hosted", "partial": True},
            {"constraints": HOSTED, "prefills": {"continue_final_message": "refused", "partial": "obeyed"}},
            id="hosted, going on from a partial message",
        ),
        pytest.param(
            {"shape": "hosted", "reject": ("response_format", "seed")},
            {"constraints": NONE, "prefills": NO_PREFILLS, "seed": "refused"},
            id="hosted, of an older day",
        ),
    ],
)
async def test_a_server_is_found_to_be_what_it_is(simulator: dict[str, Any], expected: dict[str, Any]) -> None:
    server, dialect = await examined(simulator, thorough=True)
    assert {name: getattr(server, name) for name in expected} == expected
    assert server.vision is not None
    assert (server.vision.state, server.vision.tokens, server.picture_patch) == ("seen", 402, 28)
    assert server.image_limit == 4
    assert server.latency is not None
    assert explain_unusable_vision(server) is None
    assert (dialect.constraint, dialect.prefill) == (server.constraint, server.prefill)


async def test_only_what_a_run_needs_is_asked_for_it() -> None:
    with run_simulator(SimSettings(latency=0)) as simulator:
        async with session_of(simulator.base_url) as session:
            direct = await probe_server(session, strategy="direct")
        asked = simulator.stats()["answered"]
        async with session_of(simulator.base_url) as session:
            prefill = await probe_server(session, strategy="prefill")
            assert session.profile.dialect == Dialect(prefill="continue_final_message")
    assert asked == 2, "a question with a picture and without"
    assert (direct.constraints, direct.prefills, direct.seed, direct.uuid, direct.image_limit) == (
        {},
        {},
        None,
        None,
        None,
    )
    assert (prefill.prefills, prefill.constraints) == (VLLM_PREFILLS, {})


async def test_nothing_but_what_was_learnt_stays_in_the_dialect() -> None:
    _, dialect = await examined({"shape": "hosted"}, thorough=True)
    assert dialect == Dialect(
        constraint="json_schema", renamed=frozenset({"max_tokens"}), dropped=frozenset({"temperature"})
    )


@pytest.mark.parametrize(
    ("simulator", "state"),
    [
        pytest.param({"blind": True}, "ignored", id="vLLM's shape"),
        pytest.param({"blind": True, "shape": "hosted"}, "ignored", id="hosted"),
        pytest.param({"limit_images": 0}, "refused", id="a text model"),
    ],
)
async def test_a_server_without_eyes_is_found_out_and_examined_all_the_same(
    simulator: dict[str, Any], state: str
) -> None:
    server, _ = await examined(simulator, thorough=True)
    assert server.vision is not None
    assert server.vision.state == state
    assert explain_unusable_vision(server) is not None
    assert server.constraints["json_schema"] == "obeyed"


async def test_pictures_beyond_what_is_tried_are_not_counted() -> None:
    server, _ = await examined({"limit_images": 999}, thorough=True)
    assert (server.image_limit, server.images_taken) == (None, 16)


async def test_a_persons_own_fields_go_with_it_but_for_those_that_lengthen_answers() -> None:
    bodies = list[dict[str, Any]]()

    async def note(request: web.Request) -> web.Response:
        if request.method == "POST":
            bodies.append(await request.json())
        return web.json_response({"choices": [{"message": {"content": "Hello."}}]})

    async with serve_handler(note) as url:
        sampling = Sampling(extra_body={"top_k": 7, "min_tokens": 64})
        async with session_of(f"{url}/v1", "qwen", sampling=sampling) as session:
            await probe_server(session, thorough=True)
            assert session.profile.sampling == sampling
    assert len(bodies) > 5
    assert all(body["top_k"] == 7 and "min_tokens" not in body for body in bodies)


async def test_a_server_that_fails_at_everything_is_a_finding() -> None:
    async def fail(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Out of order."}}, status=500)

    async with (
        serve_handler(fail) as url,
        session_of(f"{url}/v1", "qwen", limits=Limits(max_attempts=1)) as session,
    ):
        server = await probe_server(session, thorough=True)
    assert server.vision is not None
    assert (server.vision.state, server.seed, server.uuid, server.image_limit) == ("failed", "not shown", None, None)
    assert server.constraint is server.prefill is None


@pytest.mark.parametrize(
    ("simulator", "model", "code"),
    [
        pytest.param({"api_key": "secret"}, DEFAULT_MODEL, "wrong_key", id="no key"),
        pytest.param({}, "another", "unknown_model", id="another model"),
    ],
)
async def test_what_would_stop_a_run_stops_the_examination(simulator: dict[str, Any], model: str, code: str) -> None:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with session_of(server.base_url, model) as session:
            with pytest.raises(RunStopped) as caught:
                await probe_server(session, thorough=True)
    assert caught.value.code == code


async def test_nothing_there_stops_it() -> None:
    with run_simulator(SimSettings()) as gone:
        pass
    async with session_of(gone.base_url) as session:
        with pytest.raises(RunStopped, match="Nothing listens"):
            await probe_server(session)


async def test_a_key_is_sent_with_all_of_it() -> None:
    with run_simulator(SimSettings(latency=0, api_key="sesame")) as server:
        key = find_api_key(server.base_url, "KEY", {"KEY": "sesame"})
        endpoint = Endpoint(base_url=server.base_url, model=DEFAULT_MODEL, api_key=key)
        async with Session(endpoint) as session:
            assert (await probe_server(session, thorough=True)).uuid is True


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("At most 4 image(s) may be provided in one prompt. (parameter=image)", 4),
        ("You may send up to 8 images per request.", 8),
        ("The maximum of 20 pictures is exceeded.", 20),
    ],
)
async def test_the_number_of_pictures_is_read_from_a_refusal(
    respx_mock: respx.MockRouter, words: str, limit: int
) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=error_response(400, words))
    async with make_session() as session:
        assert await count_images(ProbeSession.of(session)) == (limit, None)


async def test_a_refusal_without_a_number_is_narrowed_by_halves(respx_mock: respx.MockRouter) -> None:
    def at_most_five(request: httpx.Request) -> httpx.Response:
        pictures = len(json.loads(request.content)["messages"][1]["content"]) - 1
        return ok_response() if pictures <= 5 else error_response(400, "Too many.")

    route = respx_mock.post(CHAT_URL).mock(side_effect=at_most_five)
    async with make_session() as session:
        assert await count_images(ProbeSession.of(session)) == (None, 4)
    assert route.call_count == 3


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        pytest.param({1: "a", 2: "b", 3: "c"}, "obeyed", id="a seed decides"),
        pytest.param({1: "a", 2: "a", 3: "c"}, "obeyed", id="two seeds may agree"),
        pytest.param({1: "a", 2: "a", 3: "a"}, "not shown", id="always the same"),
        pytest.param({1: "", 2: "b", 3: "c"}, "not shown", id="nothing said"),
    ],
)
async def test_a_seed_is_believed_when_it_shows(
    respx_mock: respx.MockRouter, texts: dict[int, str], found: str
) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=lambda request: ok_response(texts[json.loads(request.content)["seed"]]))
    async with make_session() as session:
        assert await probe_seed(ProbeSession.of(session)) == found


async def test_answers_that_differ_for_one_seed_show_none(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=[ok_response(text) for text in "abcd"])
    async with make_session() as session:
        assert await probe_seed(ProbeSession.of(session)) == "not shown"


@pytest.mark.parametrize(("without_bytes", "found"), [(402, True), (20, False), (None, False)])
async def test_a_uuid_is_believed_when_the_picture_is_still_in_the_prompt(
    respx_mock: respx.MockRouter, without_bytes: int | None, found: bool
) -> None:
    """A lenient server may take a picture without bytes for no picture."""

    def answer(request: httpx.Request) -> httpx.Response:
        tokens = 402 if b"base64" in request.content else without_bytes
        usage = {"prompt_tokens": tokens, "completion_tokens": 1}
        return httpx.Response(200, json={"choices": [{"message": {"content": "Green"}}], "usage": usage})

    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session() as session:
        assert await probe_uuid(ProbeSession.of(session)) is found
    first, second = (sent_body(route, call)["messages"][1]["content"][0] for call in (0, 1))
    assert first["uuid"] == second["uuid"]
    assert second["image_url"] is None


def weighed(request: httpx.Request) -> httpx.Response:
    usage = {"prompt_tokens": 402, "completion_tokens": 1}
    return httpx.Response(200, json={"choices": [{"message": {"content": "Green"}}], "usage": usage})


async def test_trouble_that_passes_is_no_finding_about_a_uuid(respx_mock: respx.MockRouter) -> None:
    trouble = iter([error_response(503), None, error_response(429), error_response(500)])
    route = respx_mock.post(CHAT_URL).mock(side_effect=lambda request: next(trouble, None) or weighed(request))
    async with make_session() as session:
        assert await probe_uuid(ProbeSession.of(session))
    assert route.call_count == 6


async def test_a_server_that_wants_the_bytes_again_keeps_nothing(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(CHAT_URL).mock(
        side_effect=lambda request: weighed(request) if b"base64" in request.content else error_response(400)
    )
    async with make_session() as session:
        assert not await probe_uuid(ProbeSession.of(session))
        assert session.profile.uploads.images_sent == session.profile.uploads.cache_misses == 0
    assert route.call_count == 3


async def test_the_gauges_are_looked_at_by_one_task_that_ends_with_the_session(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=weighed)
    before = asyncio.all_tasks()
    async with make_session(concurrency="auto") as session:
        await probe_seed(ProbeSession.of(session))
        await session.complete(REQUEST)
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


async def test_a_beginning_that_lengthens_the_prompt_like_a_turn_was_not_gone_on_from(
    respx_mock: respx.MockRouter,
) -> None:
    """A server may take the fields, do nothing and answer 200."""
    respx_mock.post(CHAT_URL).mock(return_value=ok_response())
    async with make_session() as session:
        assert await probe_prefills(ProbeSession.of(session)) == {
            "continue_final_message": "ignored",
            "partial": "ignored",
        }


async def test_a_refused_key_ends_all_that_is_under_way(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE_URL}/models").mock(return_value=error_response(403))
    respx_mock.get("http://gpu.example/version").mock(return_value=error_response(404))
    respx_mock.post(CHAT_URL).mock(side_effect=[ok_response(), ok_response(), *[error_response(401)] * 20])
    async with make_session() as session:
        with pytest.raises(RunStopped) as caught:
            await probe_server(session, thorough=True)
    assert caught.value.code == "wrong_key"

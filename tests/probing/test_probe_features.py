"""All probes, on simulators of every kind and on single responses."""

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
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import ServerCapabilities, explain_unusable_vision
from persqa_client.probing.features import count_images, judge_prefill, probe_image_pair, probe_prefills, probe_seed
from persqa_client.probing.probe import probe_server
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from persqa_client.simulator.settings import ImageUse
from persqa_client.types import Completion, Usage
from tests.support.cases import each_case
from tests.support.endpoints import (
    BASE_URL,
    CHAT_URL,
    FAST_BACKOFF,
    REQUEST,
    error_response,
    make_session,
    ok_response,
    serve_handler,
)


@pytest.mark.slow
async def test_a_form_that_a_probe_tries_in_vain_is_no_retry() -> None:
    with run_simulator(SimSettings(latency=0)) as server:
        async with Session(Endpoint(base_url=server.base_url, model=DEFAULT_MODEL)) as session:
            await probe_server(session, thorough=True)
            assert (session.traffic.retried, session.traffic.retries) == (0, {})
            assert session.traffic.sent == server.stats()["requests"] > 10


VLLM = {"structured_outputs": "obeyed", "guided_regex": "ignored", "json_schema": "obeyed"}
GUIDED = {"structured_outputs": "ignored", "guided_regex": "obeyed", "json_schema": "obeyed"}
HOSTED = {"structured_outputs": "refused", "guided_regex": "refused", "json_schema": "obeyed"}
NONE = dict.fromkeys(VLLM, "refused")
VLLM_PREFILLS = {"continue_final_message": "obeyed", "partial": "ignored"}
NO_PREFILLS = {"continue_final_message": "refused", "partial": "refused"}


def make_local_session(base_url: str, model: str = DEFAULT_MODEL, **settings: Any) -> Session:
    return Session(
        Endpoint(base_url=base_url, model=model), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF, **settings
    )


async def probe_simulator(simulator: dict[str, Any], **how: Any) -> tuple[ServerCapabilities, Dialect]:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with make_local_session(server.base_url) as session:
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
async def test_probes_find_the_capabilities_of_a_server(simulator: dict[str, Any], expected: dict[str, Any]) -> None:
    server, dialect = await probe_simulator(simulator, thorough=True)
    assert {name: getattr(server, name) for name in expected} == expected
    assert server.vision is not None
    assert (server.vision.state, server.vision.tokens, server.picture_patch) == ("seen", 402, 28)
    assert server.image_limit == 4
    assert server.latency is not None
    assert explain_unusable_vision(server) is None
    assert (dialect.constraint, dialect.prefill) == (server.constraint, server.prefill)


async def test_only_the_features_of_the_strategy_are_probed() -> None:
    with run_simulator(SimSettings(latency=0)) as simulator:
        async with make_local_session(simulator.base_url) as session:
            direct = await probe_server(session, strategy="direct")
        asked = simulator.stats()["answered"]
        async with make_local_session(simulator.base_url) as session:
            prefill = await probe_server(session, strategy="prefill")
            assert session.profile.dialect == Dialect(prefill="continue_final_message")
    assert asked == 3, "two questions with an image and one without"
    assert (direct.constraints, direct.prefills, direct.seed, direct.uuid, direct.image_limit) == (
        {},
        {},
        None,
        None,
        None,
    )
    assert (prefill.prefills, prefill.constraints) == (VLLM_PREFILLS, {})


async def test_the_dialect_afterwards_is_what_was_learnt() -> None:
    _, dialect = await probe_simulator({"shape": "hosted"}, thorough=True)
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
async def test_a_model_that_cannot_see_images_is_detected(simulator: dict[str, Any], state: str) -> None:
    server, _ = await probe_simulator(simulator, thorough=True)
    assert server.vision is not None
    assert server.vision.state == state
    assert explain_unusable_vision(server) is not None
    assert server.constraints["json_schema"] == "obeyed"


async def test_more_images_than_are_tried_are_not_counted() -> None:
    server, _ = await probe_simulator({"limit_images": 999}, thorough=True)
    assert (server.image_limit, server.images_taken) == (None, 16)


async def test_extra_fields_are_sent_unless_they_lengthen_answers() -> None:
    bodies = list[dict[str, Any]]()

    async def note(request: web.Request) -> web.Response:
        if request.method == "POST":
            bodies.append(await request.json())
        return web.json_response({"choices": [{"message": {"content": "Hello."}}]})

    async with serve_handler(note) as url:
        sampling = Sampling(extra_body={"top_k": 7, "min_tokens": 64})
        async with make_local_session(f"{url}/v1", "qwen", sampling=sampling) as session:
            await probe_server(session, thorough=True)
            assert session.profile.sampling == sampling
    assert len(bodies) > 5
    assert all(body["top_k"] == 7 and "min_tokens" not in body for body in bodies)


async def test_a_server_that_fails_at_everything_has_no_capabilities() -> None:
    async def fail(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Out of order."}}, status=500)

    async with (
        serve_handler(fail) as url,
        make_local_session(f"{url}/v1", "qwen", limits=Limits(max_attempts=1)) as session,
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
async def test_probing_stops_where_a_run_would(simulator: dict[str, Any], model: str, code: str) -> None:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with make_local_session(server.base_url, model) as session:
            with pytest.raises(RunStopped) as caught:
                await probe_server(session, thorough=True)
    assert caught.value.code == code


async def test_probing_stops_if_nothing_listens() -> None:
    with run_simulator(SimSettings()) as gone:
        pass
    async with make_local_session(gone.base_url) as session:
        with pytest.raises(RunStopped, match="Nothing listens"):
            await probe_server(session)


async def test_all_probes_send_the_key() -> None:
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
async def test_the_image_limit_is_read_from_an_error_message(
    respx_mock: respx.MockRouter, words: str, limit: int
) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=error_response(400, words))
    async with make_session() as session:
        assert await count_images(ProbeSession.of(session)) == (limit, None)


async def test_an_unstated_image_limit_is_found_by_halving(respx_mock: respx.MockRouter) -> None:
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
async def test_a_seed_counts_if_answers_show_it(
    respx_mock: respx.MockRouter, texts: dict[int, str], found: str
) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=lambda request: ok_response(texts[json.loads(request.content)["seed"]]))
    async with make_session() as session:
        assert await probe_seed(ProbeSession.of(session)) == found


async def test_a_cache_does_not_count_as_a_seed(respx_mock: respx.MockRouter) -> None:
    """Gateways replay the answer to a byte-identical request: https://github.com/theopenco/llmgateway/pull/3877"""
    cache: dict[bytes, httpx.Response] = {}
    respx_mock.post(CHAT_URL).mock(
        side_effect=lambda request: cache.setdefault(request.content, ok_response(f"word {len(cache)}"))
    )
    async with make_session() as session:
        assert await probe_seed(ProbeSession.of(session)) == "not shown"


async def test_different_answers_for_one_seed_do_not_count(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(side_effect=[ok_response(text) for text in "abcd"])
    async with make_session() as session:
        assert await probe_seed(ProbeSession.of(session)) == "not shown"


async def test_metrics_are_polled_by_one_task_that_ends_with_the_session(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT_URL).mock(return_value=ok_response())
    before = asyncio.all_tasks()
    async with make_session(concurrency="auto") as session:
        await probe_seed(ProbeSession.of(session))
        await session.complete(REQUEST)
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


def reply_with(text: str, prompt: int, *, prefilled: bool = True) -> Reply:
    usage = Usage(prompt, 8)
    return Reply(Completion(text, "stop", usage, "qwen"), 1, False, prefilled)


@each_case(
    ("reply", "finished", "found"),
    [
        pytest.param(("The answer begins with hello.", 30), ("Hello!", 35), "obeyed", id="continued"),
        pytest.param((" with hello.", 30), ("Hello!", 35), "obeyed", id="continued, without its beginning"),
        pytest.param(("Hello!", 35), ("Hello!", 35), "ignored", id="a finished turn"),
        pytest.param(("Hi there!", 35), ("Hello!", 35), "ignored", id="a finished turn, at random"),
        pytest.param(("The answer beginsHello!", 30), ("Hello!", 35), "ignored", id="fewer tokens, the same answer"),
        pytest.param(("The answer begins", 30), ("Hello!", 35), "ignored", id="an echo"),
        pytest.param((" with hello.", 0), ("Hello!", 0), "ignored", id="no usage"),
        pytest.param((" with hello.", 30), None, "ignored", id="nothing to compare with"),
        pytest.param(None, ("Hello!", 35), "refused", id="refused"),
    ],
)
def test_a_prefill_counts_if_tokens_and_answer_show_it(
    reply: tuple[str, int] | None, finished: tuple[str, int] | None, found: str
) -> None:
    replies = [None if given is None else reply_with(*given) for given in (reply, finished)]
    assert judge_prefill(*replies) == found


async def test_a_prefill_that_counts_as_a_finished_turn_is_ignored(respx_mock: respx.MockRouter) -> None:
    """A server may accept the fields, do nothing and answer 200."""
    respx_mock.post(CHAT_URL).mock(return_value=ok_response())
    async with make_session() as session:
        assert await probe_prefills(ProbeSession.of(session)) == {
            "continue_final_message": "ignored",
            "partial": "ignored",
        }


@pytest.mark.parametrize(("image_use", "found"), [("all", True), ("first", False), ("last", False), ("counted", False)])
async def test_both_images_of_a_request_must_affect_the_answer(image_use: ImageUse, found: bool) -> None:
    with run_simulator(SimSettings(latency=0, image_use=image_use)) as server:
        async with make_local_session(server.base_url) as session:
            assert await probe_image_pair(ProbeSession.of(session)) is found


async def test_one_image_per_request_leaves_the_pair_untested() -> None:
    server, _ = await probe_simulator({"limit_images": 1}, thorough=True)
    assert (server.image_limit, server.image_pair) == (1, None)


async def test_a_key_rejected_in_mid_probe_stops_all_probes(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{BASE_URL}/models").mock(return_value=error_response(403))
    respx_mock.get("http://gpu.example/version").mock(return_value=error_response(404))
    respx_mock.get("http://gpu.example/health").mock(return_value=error_response(404))
    respx_mock.post(CHAT_URL).mock(side_effect=[ok_response(), ok_response(), *[error_response(401)] * 40])
    async with make_session() as session:
        with pytest.raises(RunStopped) as caught:
            await probe_server(session, thorough=True)
    assert caught.value.code == "wrong_key"

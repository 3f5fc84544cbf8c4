"""Servers that answer 200 and ignore a part of the request, as in public reports: what becomes of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from persqa_client import generate
from persqa_client.errors import RunStopped
from persqa_client.probing.probe import probe_server
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.probing.test_probe_features import make_local_session
from tests.support.endpoints import serve_handler


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run_on(picture: Path, simulator: dict[str, Any], **flags: Any) -> Summary:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        return generate([str(picture)], base_url=server.base_url, model=DEFAULT_MODEL, **flags)


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        # https://github.com/stavsap/comfyui-ollama/issues/57
        pytest.param({"blind": True}, "adds 0 tokens", id="Ollama with a text model"),
        # https://github.com/mnfst/llm-gateway/issues/2170, https://github.com/ankitcharolia/kiro-gateway/issues/33
        pytest.param({"blind": True, "shape": "hosted"}, "adds 0 tokens", id="gateways that drop images"),
        # https://github.com/Blaizzy/mlx-vlm/pull/685, https://github.com/CommandCodeAI/command-code/issues/902
        pytest.param({"image_use": "base64"}, "as base64 text", id="mlx-vlm, which tokenized base64"),
        # https://github.com/vllm-project/vllm/issues/6324
        pytest.param({"image_use": "base64", "max_model_len": 2048}, "as base64 text", id="base64 beyond the context"),
    ],
)
def test_a_server_that_leaves_images_out_stops_the_run(picture: Path, simulator: dict[str, Any], words: str) -> None:
    with pytest.raises(RunStopped) as caught:
        run_on(picture, simulator)
    assert caught.value.code == "no_pictures"
    assert words in caught.value.message
    assert "probes=False" in caught.value.message
    assert run_on(picture, simulator, probes=False).tally.succeeded == 1


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        # https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/545
        pytest.param({"image_use": "counted"}, "the same answer", id="images that are counted but not shown"),
        # https://github.com/exo-explore/exo/issues/2272, https://github.com/waybarrios/vllm-mlx/pull/768
        pytest.param({"image_use": "replayed"}, "the same answer", id="exo, vllm-mlx: a prefix cache of token ids"),
        # https://github.com/ollama/ollama/issues/8844
        pytest.param({"image_use": "first"}, "Of two images", id="Ollama, which used the first image only"),
        # https://github.com/Blaizzy/mlx-vlm/issues/1084
        pytest.param({"image_use": "last"}, "Of two images", id="mlx-vlm, which used the last image only"),
    ],
)
def test_a_server_that_may_leave_images_out_is_warned_about(
    picture: Path, simulator: dict[str, Any], words: str
) -> None:
    [note] = run_on(picture, simulator).notes
    assert words in note


def test_a_server_that_sees_all_images_is_not_warned_about(picture: Path) -> None:
    assert run_on(picture, {}).notes == ()


async def test_a_sentence_in_place_of_the_image_is_no_image() -> None:
    """SGLang, with a chat template that says the model is blind: https://github.com/sgl-project/sglang/issues/39850"""

    async def render_reminder(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        pictured = isinstance((await request.json())["messages"][1]["content"], list)
        message = {"content": "I am unable to process this image." if pictured else "Hello."}
        usage = {"prompt_tokens": 30 + 27 * pictured, "completion_tokens": 8}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    async with serve_handler(render_reminder) as url, make_local_session(f"{url}/v1", "glm") as session:
        server = await probe_server(session, strategy="direct")
    assert server.vision is not None
    assert server.vision.state == "ignored"


CONSTRAINTS = ("structured_outputs", "guided_regex", "response_format")


@pytest.mark.parametrize(
    ("simulator", "ignored"),
    [
        # https://github.com/vllm-project/vllm/issues/53975
        pytest.param({}, {"constraints": {"guided_regex"}, "prefills": {"partial"}}, id="vLLM 0.12"),
        # https://github.com/ggml-org/llama.cpp/issues/24097, https://github.com/jundot/omlx/issues/1241
        pytest.param(
            {"strip": CONSTRAINTS},
            {"constraints": {"structured_outputs", "guided_regex", "json_schema"}, "prefills": {"partial"}},
            id="llama.cpp, omlx: a schema that is accepted and not enforced",
        ),
        # https://github.com/InternLM/lmdeploy/issues/2798
        pytest.param(
            {"strip": ("continue_final_message", "add_generation_prompt")},
            {"constraints": {"guided_regex"}, "prefills": {"continue_final_message", "partial"}},
            id="a last message that is not continued",
        ),
    ],
)
async def test_ignored_fields_are_not_believed(simulator: dict[str, Any], ignored: dict[str, set[str]]) -> None:
    with run_simulator(SimSettings(latency=0, **simulator)) as server:
        async with make_local_session(server.base_url) as session:
            found = await probe_server(session, thorough=True)
    for name, forms in ignored.items():
        support = getattr(found, name)
        assert {form for form, state in support.items() if state == "ignored"} == forms


async def test_an_ignored_seed_is_not_believed() -> None:
    """OpenAI: https://github.com/pvliesdonk/cyoa-generator/issues/52"""
    with run_simulator(SimSettings(latency=0, strip=("seed",))) as server:
        async with make_local_session(server.base_url) as session:
            assert (await probe_server(session, thorough=True)).seed == "not shown"


@pytest.mark.parametrize(
    ("blind_to_uuids", "uuid", "missing"),
    [
        pytest.param(False, "auto", 0, id="uuids that work"),
        pytest.param(True, "auto", 0, id="uuids that are counted but not shown"),
        pytest.param(True, True, 0, id="the same, with the value of earlier versions"),
        pytest.param(True, "off", 0, id="not used"),
        pytest.param(True, "on", 2, id="trusted"),
    ],
)
def test_no_answer_is_made_up_for_a_uuid(picture: Path, blind_to_uuids: bool, uuid: bool | str, missing: int) -> None:
    """A server that counts the tokens of an image which it does not show to the model."""
    summary = run_on(picture, {"blind_to_uuids": blind_to_uuids}, questions=3, uuid=uuid, strategy="direct")
    answers = [record["pers_qa"] for record in summary.records] + [str(failure) for failure in summary.failures]
    assert sum("no picture came with the question" in answer for answer in answers) == missing
    by_uuid = [finding for finding in summary.findings if "by uuid" in finding]
    assert bool(by_uuid) == (uuid == "on" or not blind_to_uuids)


def test_trusted_uuids_need_no_probes(picture: Path) -> None:
    summary = run_on(picture, {}, questions=3, uuid="on", probes=False)
    assert any("by uuid only 2 times" in finding for finding in summary.findings)
    assert summary.tally.succeeded == 3


def test_endpoints_with_different_contexts_are_warned_about(picture: Path) -> None:
    with (
        run_simulator(SimSettings(latency=0)) as first,
        run_simulator(SimSettings(latency=0, max_model_len=4096)) as second,
    ):
        urls = [first.base_url, second.base_url]
        summary = generate([str(picture)], base_url=urls, model=DEFAULT_MODEL, probes=False)
    [note] = summary.notes
    assert "max_model_len 4096 instead of 8192" in note
    assert all(url in note for url in urls)

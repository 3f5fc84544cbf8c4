"""Chat requests to a simulator of vLLM's shape, over a socket."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import persqa_client
from persqa_client.simulator.settings import SimSettings
from tests.simulator.requests import PROMPT, SimulatorClient, chat_body, connect, image_part, make_image
from tests.support.cases import each_case

ROCKET = Path(persqa_client.__file__).parent / "samples" / "rocket.jpg"


def prefilled(**fields: Any) -> dict[str, Any]:
    """A request that begins the answer itself."""
    request = chat_body(continue_final_message=True, add_generation_prompt=False, **fields)
    request["messages"].append({"role": "assistant", "content": "<mam>"})
    return request


def test_a_photo_is_answered_from_its_pixels() -> None:
    with connect() as client:
        completion = client.post(chat_body(image_part(ROCKET.read_bytes()))).json()
    choice = completion["choices"][0]
    assert choice["message"]["content"].startswith("<mam> ")
    assert "640x427" in choice["message"]["content"]
    assert "dark blue" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert completion["model"] == "persqa-simulator"
    usage = completion["usage"]
    assert usage["prompt_tokens"] > 23 * 15
    assert usage["completion_tokens"] == len(choice["message"]["content"].split())
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_chinese_question_is_answered_in_chinese() -> None:
    with connect() as client:
        answer = client.text(chat_body(text="主角叫<mam>。\n问题：<mam>穿着什么？"))
    assert re.match("<mam>[\u4e00-\u9fff]", answer)
    assert "红色" in answer


def test_the_same_request_gets_the_same_answer_from_any_simulator() -> None:
    requests = [chat_body(seed=seed, text=f"Question: Who is <mam>? {seed}") for seed in range(8)]
    answers = []
    for _ in range(2):
        with connect() as client:
            answers.append([client.text(request) for request in requests])
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 1


def test_an_answer_without_a_picture_says_so() -> None:
    with connect() as client:
        assert client.text({"messages": [{"role": "user", "content": PROMPT}]}).startswith("<mam> is not to be seen")


def test_later_messages_do_not_change_the_question() -> None:
    request = chat_body()
    request["messages"] += [{"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Begin with <x>!"}]
    with connect() as client:
        assert client.text(request) == client.text(chat_body())


def test_hidden_tokens_have_a_heavy_tail_and_end_at_the_limit() -> None:
    with connect(hidden_tokens=60) as client:
        counts = [count_hidden(client, seed) for seed in range(60)]
        assert count_hidden(client, 7) == counts[7]
        assert count_hidden(client, 7, max_tokens=20) == 20
    assert 40 < median(counts) < 110
    assert max(counts) > 3 * median(counts)


def count_hidden(client: SimulatorClient, seed: int, **fields: Any) -> int:
    return int(client.post(chat_body(seed=seed, **fields)).json()["usage"]["completion_tokens"])


def test_an_answer_is_truncated_at_max_tokens() -> None:
    with connect() as client:
        whole = client.text()
        for name in ("max_tokens", "max_completion_tokens"):
            completion = client.post(chat_body() | {name: 4}).json()
            assert completion["choices"][0]["finish_reason"] == "length"
            assert completion["choices"][0]["message"]["content"] == " ".join(whole.split()[:4])
            assert completion["usage"]["completion_tokens"] == 4


@each_case(
    ("request_body", "status", "words", "param"),
    [
        pytest.param(chat_body(image_part("data:image/png;base64,@@@@")), 400, "", None, id="bad base64"),
        pytest.param(chat_body(image_part(b"no picture")), 400, "Failed to load image", None, id="not a picture"),
        pytest.param(chat_body(image_part(ROCKET.read_bytes()[:20_000])), 400, "truncated", None, id="truncated"),
        pytest.param(
            chat_body(image_part(make_image(size=(2000, 4)))),
            400,
            "Failed to apply Qwen2_5_VLProcessor",
            None,
            id="long",
        ),
        pytest.param(
            chat_body(*[image_part(make_image())] * 5), 400, "At most 4 image(s) may be provided", "image", id="five"
        ),
        pytest.param(
            chat_body(text="x " * 20_000), 400, "maximum context length is 8192", "input_tokens", id="long prompt"
        ),
        pytest.param(
            chat_body(max_tokens=9000), 400, "max_tokens=9000 cannot be greater", "max_tokens", id="long answer"
        ),
        pytest.param(chat_body(max_tokens=0), 400, "at least 1", "max_tokens", id="no answer"),
        pytest.param(
            chat_body(mm_processor_kwargs={"a": 1}), 400, "--trust-request-mm-kwargs", "mm_processor_kwargs", id="mm"
        ),
        pytest.param(chat_body(image_part("file:///etc/hostname")), 500, "--allowed-local-media-path", None, id="file"),
        pytest.param(chat_body(image_part("http://example.org/a.png")), 400, "fetches nothing", None, id="http"),
        pytest.param(chat_body(image_part("data:image/png,AAAA")), 501, "Only base64", None, id="not base64"),
        pytest.param(chat_body(image_part("a.png")), 400, "must be either a HTTP, data or file URL", None, id="path"),
        pytest.param(
            chat_body(image_part(None, uuid="abc")),
            400,
            "Cache miss for image at index 0 but data is not provided.",
            None,
            id="uuid",
        ),
        pytest.param(
            chat_body(stream_options={"include_usage": True}), 400, "when `stream=True`", "stream_options", id="options"
        ),
        pytest.param(chat_body(n=2), 400, "one choice", "n", id="n"),
        pytest.param(chat_body(continue_final_message=True), 400, "are not compatible", None, id="both"),
        pytest.param(
            chat_body(structured_outputs={"regex": "[a"}), 400, "Invalid regular expression", None, id="bad regex"
        ),
        pytest.param(chat_body(model="gpt-0"), 404, "The model `gpt-0` does not exist.", "model", id="unknown model"),
    ],
)
def test_a_bad_request_gets_vllms_error(request_body: Any, status: int, words: str, param: str | None) -> None:
    with connect() as client:
        response = client.post(request_body)
        assert response.status_code == status
        error = response.json()["error"]
        assert words in error["message"]
        types = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError", 501: "NotImplementedError"}
        assert (error["type"], error["param"], error["code"]) == (types[status], param, status)
        assert client.post().status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "words", "param"),
    [
        pytest.param(b'{"a', "application/json", "JSON decode error", "body.3", id="no JSON"),
        pytest.param(b"{}", "text/plain", "Unsupported Media Type", None, id="not declared as JSON"),
        pytest.param(b"[]", "application/json", "Input should be a valid dictionary", "body", id="no object"),
        pytest.param(b"{}", "application/json", "Field required", "body.messages", id="no messages"),
    ],
)
def test_a_malformed_request_gets_the_parsers_error(
    content: bytes, media_type: str, words: str, param: str | None
) -> None:
    with connect() as client:
        response = client.http.post("/v1/chat/completions", content=content, headers={"Content-Type": media_type})
    assert response.status_code == 400
    error = response.json()["error"]
    assert words in error["message"]
    assert "(parameter=" not in error["message"]
    assert (error["type"], error["param"], error["code"]) == ("Bad Request", param, 400)


def test_vllms_message_repeats_the_parameter() -> None:
    with connect() as client:
        message = client.post(chat_body(max_tokens=9000)).json()["error"]["message"]
    assert message.endswith(" (parameter=max_tokens, value=9000)")


def test_an_answer_is_truncated_at_the_end_of_the_context() -> None:
    with connect() as client:
        prompt = client.post().json()["usage"]["prompt_tokens"]
    with connect(max_model_len=prompt + 5) as client:
        completion = client.post(chat_body(max_tokens=prompt)).json()
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("header", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer right"}, 200)],
)
def test_the_api_key_is_checked(header: dict[str, str], status: int) -> None:
    with connect(api_key="right") as client:
        response = client.post(**header)
        assert response.status_code == status
        if status == 401:
            assert response.json() == {"error": "Unauthorized"}
        assert client.http.get("/v1/models", headers=header).status_code == status
        assert client.http.get("/health").status_code == 200


def test_only_its_models_are_served() -> None:
    with connect(models=("a", "b/c")) as client:
        for name in ("a", "b/c"):
            assert client.post(chat_body(model=name)).json()["model"] == name
        assert client.post(chat_body(model="persqa-simulator")).status_code == 404


def test_a_uuid_stands_for_its_image_later() -> None:
    with connect() as client:
        first = client.text(chat_body(image_part(make_image("blue"), uuid="abc")))
        assert "blue" in first
        assert client.text(chat_body(image_part(None, uuid="abc"))) == first
        assert client.post(chat_body(image_part(None, uuid="other"))).status_code == 400


def test_the_oldest_uuids_are_forgotten() -> None:
    with connect(cached_pictures=4) as client:
        for number in range(10):
            client.text(chat_body(image_part(make_image(), uuid=str(number))))
        assert client.post(chat_body(image_part(None, uuid="9"))).status_code == 200
        assert client.post(chat_body(image_part(None, uuid="0"))).status_code == 400


@pytest.mark.parametrize("guided", [False, True])
def test_each_version_obeys_its_own_constraint_field(guided: bool) -> None:
    pattern = "<mam> says [a-c]{5}!"
    with connect(guided=guided) as client:
        new = client.text(chat_body(structured_outputs={"regex": pattern}))
        old = client.text(chat_body(guided_regex=pattern))
    assert (re.fullmatch(pattern, old) is not None) is guided
    assert (re.fullmatch(pattern, new) is not None) is not guided


def test_a_schema_is_obeyed() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "pattern": "<mam>[\\s\\S]+"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    with connect() as client:
        assert json.loads(client.text(chat_body(response_format=form))) == {"answer": client.text()}


def test_a_prefilled_answer_is_continued_without_its_beginning() -> None:
    with connect() as client:
        whole = client.text()
        assert "<mam>" + client.text(prefilled()) == whole
        assert client.text(prefilled(echo=True)) == whole


def test_several_images_are_described_together() -> None:
    with connect() as client:
        answer = client.text(
            chat_body(image_part(make_image("red", (30, 30))), image_part(make_image("blue", (40, 50))))
        )
    assert "2 " in answer
    assert "30x30 and 40x50" in answer
    assert "blue and red" in answer


def test_repeated_questions_are_counted() -> None:
    with connect() as client:
        for request in (
            chat_body(),
            chat_body(),
            chat_body(seed=5),
            chat_body(text="Question: Who?"),
            chat_body(image_part(make_image("blue"))),
        ):
            client.text(request)
        client.post(chat_body(model="none"))
        stats = client.server.stats()
        assert client.http.get("/sim/stats").json() == stats
    assert (stats["requests"], stats["answered"], stats["refused"], stats["repeats"]) == (6, 5, 1, 2)
    assert stats["by_status"] == {"200": 5, "404": 1}
    assert stats["bytes_in"] > 6 * 100
    assert stats["max_in_flight"] == 1


def test_the_default_is_a_vllm_without_faults() -> None:
    settings = SimSettings()
    assert (settings.models, settings.shape, settings.faults) == (("persqa-simulator",), "vllm", {})

"""Chat requests to a simulator of vLLM's shape, over a socket."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import persqa_client
from persqa_client.simulator.settings import SimSettings
from tests.simulator.asking import PROMPT, asking, body, part, picture

ROCKET = Path(persqa_client.__file__).parent / "samples" / "rocket.jpg"


def prefilled(**fields: Any) -> dict[str, Any]:
    """A request that begins the answer itself."""
    request = body(continue_final_message=True, add_generation_prompt=False, **fields)
    request["messages"].append({"role": "assistant", "content": "<mam>"})
    return request


def test_a_photo_is_answered_from_its_pixels() -> None:
    with asking() as ask:
        completion = ask.post(body(part(ROCKET.read_bytes()))).json()
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
    with asking() as ask:
        answer = ask.text(body(text="主角叫<mam>。\n问题：<mam>穿着什么？"))
    assert re.match("<mam>[\u4e00-\u9fff]", answer)
    assert "红色" in answer


def test_the_same_request_gets_the_same_answer_from_any_simulator() -> None:
    requests = [body(seed=seed, text=f"Question: Who is <mam>? {seed}") for seed in range(8)]
    answers = []
    for _ in range(2):
        with asking() as ask:
            answers.append([ask.text(request) for request in requests])
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 1


def test_a_question_without_a_picture_is_told_so() -> None:
    with asking() as ask:
        assert ask.text({"messages": [{"role": "user", "content": PROMPT}]}).startswith("<mam> is not to be seen")


def test_later_turns_do_not_hide_the_question() -> None:
    request = body()
    request["messages"] += [{"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Begin with <x>!"}]
    with asking() as ask:
        assert ask.text(request) == ask.text(body())


def test_an_answer_is_cut_at_its_most_tokens() -> None:
    with asking() as ask:
        whole = ask.text()
        for name in ("max_tokens", "max_completion_tokens"):
            completion = ask.post(body() | {name: 4}).json()
            assert completion["choices"][0]["finish_reason"] == "length"
            assert completion["choices"][0]["message"]["content"] == " ".join(whole.split()[:4])
            assert completion["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(
    ("request_body", "status", "words", "param"),
    [
        pytest.param(body(part("data:image/png;base64,@@@@")), 400, "", None, id="bad base64"),
        pytest.param(body(part(b"no picture")), 400, "Failed to load image", None, id="not a picture"),
        pytest.param(body(part(ROCKET.read_bytes()[:20_000])), 400, "truncated", None, id="truncated"),
        pytest.param(body(part(picture(size=(2000, 4)))), 400, "Failed to apply Qwen2_5_VLProcessor", None, id="long"),
        pytest.param(body(*[part(picture())] * 5), 400, "At most 4 image(s) may be provided", "image", id="five"),
        pytest.param(body(text="x " * 20_000), 400, "maximum context length is 8192", "input_tokens", id="long prompt"),
        pytest.param(body(max_tokens=9000), 400, "max_tokens=9000 cannot be greater", "max_tokens", id="long answer"),
        pytest.param(body(max_tokens=0), 400, "at least 1", "max_tokens", id="no answer"),
        pytest.param(
            body(mm_processor_kwargs={"a": 1}), 400, "--trust-request-mm-kwargs", "mm_processor_kwargs", id="mm"
        ),
        pytest.param(body(part("file:///etc/hostname")), 500, "--allowed-local-media-path", None, id="file"),
        pytest.param(body(part("http://example.org/a.png")), 400, "fetches nothing", None, id="http"),
        pytest.param(body(part("data:image/png,AAAA")), 501, "Only base64", None, id="not base64"),
        pytest.param(body(part("a.png")), 400, "must be either a HTTP, data or file URL", None, id="path"),
        pytest.param(
            body(part(None, uuid="abc")),
            400,
            "Cache miss for image at index 0 but data is not provided.",
            None,
            id="uuid",
        ),
        pytest.param(
            body(stream_options={"include_usage": True}), 400, "when `stream=True`", "stream_options", id="options"
        ),
        pytest.param(body(n=2), 400, "one choice", "n", id="n"),
        pytest.param(body(continue_final_message=True), 400, "are not compatible", None, id="both"),
        pytest.param(body(structured_outputs={"regex": "[a"}), 400, "Invalid regular expression", None, id="bad regex"),
        pytest.param(body(model="gpt-0"), 404, "The model `gpt-0` does not exist.", "model", id="unknown model"),
    ],
)
def test_a_bad_request_is_refused_as_vllm_does(request_body: Any, status: int, words: str, param: str | None) -> None:
    with asking() as ask:
        response = ask.post(request_body)
        assert response.status_code == status
        error = response.json()["error"]
        assert words in error["message"]
        types = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError", 501: "NotImplementedError"}
        assert (error["type"], error["param"], error["code"]) == (types[status], param, status)
        assert ask.post().status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "words", "param"),
    [
        pytest.param(b'{"a', "application/json", "JSON decode error", "body.3", id="no JSON"),
        pytest.param(b"{}", "text/plain", "Unsupported Media Type", None, id="not declared as JSON"),
        pytest.param(b"[]", "application/json", "Input should be a valid dictionary", "body", id="no object"),
        pytest.param(b"{}", "application/json", "Field required", "body.messages", id="no messages"),
    ],
)
def test_what_is_no_request_is_refused_by_the_parser(
    content: bytes, media_type: str, words: str, param: str | None
) -> None:
    with asking() as ask:
        response = ask.client.post("/v1/chat/completions", content=content, headers={"Content-Type": media_type})
    assert response.status_code == 400
    error = response.json()["error"]
    assert words in error["message"]
    assert "(parameter=" not in error["message"]
    assert (error["type"], error["param"], error["code"]) == ("Bad Request", param, 400)


def test_vllm_repeats_the_parameter_in_its_words() -> None:
    with asking() as ask:
        message = ask.post(body(max_tokens=9000)).json()["error"]["message"]
    assert message.endswith(" (parameter=max_tokens, value=9000)")


def test_an_answer_is_cut_where_the_context_ends() -> None:
    with asking() as ask:
        prompt = ask.post().json()["usage"]["prompt_tokens"]
    with asking(max_model_len=prompt + 5) as ask:
        completion = ask.post(body(max_tokens=prompt)).json()
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("header", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer right"}, 200)],
)
def test_the_key_is_asked_for(header: dict[str, str], status: int) -> None:
    with asking(api_key="right") as ask:
        response = ask.post(**header)
        assert response.status_code == status
        if status == 401:
            assert response.json() == {"error": "Unauthorized"}
        assert ask.client.get("/v1/models", headers=header).status_code == status
        assert ask.client.get("/health").status_code == 200


def test_it_answers_to_each_of_its_names_and_to_no_other() -> None:
    with asking(models=("a", "b/c")) as ask:
        for name in ("a", "b/c"):
            assert ask.post(body(model=name)).json()["model"] == name
        assert ask.post(body(model="persqa-simulator")).status_code == 404


def test_a_uuid_stands_for_its_picture_later() -> None:
    with asking() as ask:
        first = ask.text(body(part(picture("blue"), uuid="abc")))
        assert "blue" in first
        assert ask.text(body(part(None, uuid="abc"))) == first
        assert ask.post(body(part(None, uuid="other"))).status_code == 400


def test_uuids_are_forgotten_at_the_bound() -> None:
    with asking(cached_pictures=4) as ask:
        for number in range(10):
            ask.text(body(part(picture(), uuid=str(number))))
        assert ask.post(body(part(None, uuid="9"))).status_code == 200
        assert ask.post(body(part(None, uuid="0"))).status_code == 400


@pytest.mark.parametrize("guided", [False, True])
def test_each_vllm_obeys_its_own_name_of_a_constraint(guided: bool) -> None:
    pattern = "<mam> says [a-c]{5}!"
    with asking(guided=guided) as ask:
        new = ask.text(body(structured_outputs={"regex": pattern}))
        old = ask.text(body(guided_regex=pattern))
    assert (re.fullmatch(pattern, old) is not None) is guided
    assert (re.fullmatch(pattern, new) is not None) is not guided


def test_a_schema_is_obeyed() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "pattern": "<mam>[\\s\\S]+"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    with asking() as ask:
        assert json.loads(ask.text(body(response_format=form))) == {"answer": ask.text()}


def test_a_begun_answer_is_continued_without_its_beginning() -> None:
    with asking() as ask:
        whole = ask.text()
        assert "<mam>" + ask.text(prefilled()) == whole
        assert ask.text(prefilled(echo=True)) == whole


def test_several_pictures_are_seen_together() -> None:
    with asking() as ask:
        answer = ask.text(body(part(picture("red", (30, 30))), part(picture("blue", (40, 50)))))
    assert "2 " in answer
    assert "30x30 and 40x50" in answer
    assert "blue and red" in answer


def test_a_repeated_answer_is_counted_and_another_question_is_none() -> None:
    with asking() as ask:
        for request in (body(), body(), body(seed=5), body(text="Question: Who?"), body(part(picture("blue")))):
            ask.text(request)
        ask.post(body(model="none"))
        stats = ask.server.stats()
        assert ask.client.get("/sim/stats").json() == stats
    assert (stats["requests"], stats["answered"], stats["refused"], stats["repeats"]) == (6, 5, 1, 2)
    assert stats["by_status"] == {"200": 5, "404": 1}
    assert stats["bytes_in"] > 6 * 100
    assert stats["max_in_flight"] == 1


def test_the_defaults_are_a_plain_vllm() -> None:
    settings = SimSettings()
    assert (settings.models, settings.shape, settings.faults) == (("persqa-simulator",), "vllm", {})

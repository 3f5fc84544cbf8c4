"""Answers to the requests that probe a server: colours, seeds, prefilled answers, ignored images."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.simulator.server import DEFAULT_MODEL
from persqa_client.simulator.wording import write_answer
from tests.simulator.requests import SimulatorClient, chat_body, connect, image_part, make_image
from tests.simulator.test_wording import FACTS

ONE_WORD = "What colour fills this picture? Answer with one word."
PREFILL = {"role": "assistant", "content": "<mam> wears"}


@pytest.mark.parametrize("colour", ["red", "blue", "yellow", "black", "white"])
def test_the_colour_of_a_plain_image_is_named_in_one_word(colour: str) -> None:
    with connect() as client:
        assert client.text(chat_body(image_part(make_image(colour)), text=ONE_WORD)) == colour


def test_one_word_may_be_chinese_and_a_tagged_question_gets_a_sentence() -> None:
    assert write_answer(None, "这是什么颜色？用一个词回答。", FACTS) == "蓝色"
    assert write_answer("<mam>", "What colour is <mam>? Answer with one word.", FACTS).startswith("<mam> ")


def test_random_numbers_depend_on_the_seed() -> None:
    answers = [write_answer(None, "Write a random number.", None, seed) for seed in (1, 1, 2, 3)]
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3
    assert write_answer("<mam>", "Is it random that <mam> sits?", FACTS).startswith("<mam> ")


def prompt_tokens(client: SimulatorClient, request: dict[str, Any]) -> int:
    response = client.post(request)
    assert response.status_code == 200, response.text
    return int(response.json()["usage"]["prompt_tokens"])


def prefilled_body(**fields: Any) -> dict[str, Any]:
    request = chat_body(**fields)
    request["messages"].append({**PREFILL, **({"partial": True} if fields.get("model") else {})})
    return request


def test_a_prefilled_prompt_lacks_the_tokens_that_end_its_message() -> None:
    with connect() as client:
        finished = prompt_tokens(client, prefilled_body())
        unopened = prompt_tokens(client, prefilled_body(add_generation_prompt=False))
        continued = prompt_tokens(client, prefilled_body(add_generation_prompt=False, continue_final_message=True))
    assert finished - unopened == 3
    assert unopened - continued == 2


def test_a_partial_message_is_continued_where_the_server_knows_the_mark() -> None:
    with connect(shape="hosted", partial=True) as client:
        whole = chat_body(model=DEFAULT_MODEL)
        whole["messages"].append(PREFILL)
        assert prompt_tokens(client, prefilled_body(model=DEFAULT_MODEL)) == prompt_tokens(client, whole) - 5
        assert not client.text(prefilled_body(model=DEFAULT_MODEL)).startswith("<mam>")
    with connect() as client:
        assert client.text(prefilled_body(model=DEFAULT_MODEL)).startswith("<mam>"), "vLLM ignores the mark"
    with connect(shape="hosted") as client:
        rejected = client.post(prefilled_body(model=DEFAULT_MODEL))
    assert (rejected.status_code, rejected.json()["error"]["message"]) == (
        400,
        "Unknown parameter: 'messages[1].partial'.",
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_a_blind_server_ignores_images(path: str) -> None:
    with_image, without_image = chat_body(), chat_body(image_part(make_image()))
    without_image["messages"][0]["content"] = without_image["messages"][0]["content"][1:]
    with connect(blind=True) as client:
        first, second = (client.post(request, path=path).json() for request in (with_image, without_image))
        assert "no picture came" in client.text(with_image)
    tokens = [answer.get("count") or answer["usage"]["prompt_tokens"] for answer in (first, second)]
    assert tokens[0] == tokens[1]

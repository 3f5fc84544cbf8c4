"""What a simulator answers to those who try it out: colours, seeds, beginnings, and pictures that it drops."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.simulator.server import DEFAULT_MODEL
from persqa_client.simulator.wording import sentence
from tests.simulator.asking import Asker, asking, body, part, picture
from tests.simulator.test_wording import FACTS

ONE_WORD = "What colour fills this picture? Answer with one word."
BEGUN = {"role": "assistant", "content": "<mam> wears"}


@pytest.mark.parametrize("colour", ["red", "blue", "yellow", "black", "white"])
def test_a_plain_pictures_colour_is_named_in_one_word(colour: str) -> None:
    with asking() as ask:
        assert ask.text(body(part(picture(colour)), text=ONE_WORD)) == colour


def test_one_word_may_be_a_chinese_one_and_a_tagged_question_gets_a_sentence() -> None:
    assert sentence(None, "这是什么颜色？用一个词回答。", FACTS) == "蓝色"
    assert sentence("<mam>", "What colour is <mam>? Answer with one word.", FACTS).startswith("<mam> ")


def test_what_is_random_is_decided_by_the_seed() -> None:
    answers = [sentence(None, "Write a random number.", None, seed) for seed in (1, 1, 2, 3)]
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3
    assert sentence("<mam>", "Is it random that <mam> sits?", FACTS).startswith("<mam> ")


def prompt_tokens(ask: Asker, request: dict[str, Any]) -> int:
    response = ask.post(request)
    assert response.status_code == 200, response.text
    return int(response.json()["usage"]["prompt_tokens"])


def begun(**fields: Any) -> dict[str, Any]:
    request = body(**fields)
    request["messages"].append({**BEGUN, **({"partial": True} if fields.get("model") else {})})
    return request


def test_a_prompt_that_goes_on_from_a_beginning_lacks_the_turns_end_and_the_next_ones_start() -> None:
    with asking() as ask:
        finished = prompt_tokens(ask, begun())
        unopened = prompt_tokens(ask, begun(add_generation_prompt=False))
        going_on = prompt_tokens(ask, begun(add_generation_prompt=False, continue_final_message=True))
    assert finished - unopened == 3
    assert unopened - going_on == 2


def test_a_partial_message_is_gone_on_from_where_that_is_known() -> None:
    with asking(shape="hosted", partial=True) as ask:
        whole = body(model=DEFAULT_MODEL)
        whole["messages"].append(BEGUN)
        assert prompt_tokens(ask, begun(model=DEFAULT_MODEL)) == prompt_tokens(ask, whole) - 5
        assert not ask.text(begun(model=DEFAULT_MODEL)).startswith("<mam>")
    with asking() as ask:
        assert ask.text(begun(model=DEFAULT_MODEL)).startswith("<mam>"), "vLLM overlooks the mark"
    with asking(shape="hosted") as ask:
        refused = ask.post(begun(model=DEFAULT_MODEL))
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        400,
        "Unknown parameter: 'messages[1].partial'.",
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_a_blind_one_drops_pictures_without_a_word(path: str) -> None:
    pictured, plain = body(), body(part(picture()))
    plain["messages"][0]["content"] = plain["messages"][0]["content"][1:]
    with asking(blind=True) as ask:
        first, second = (ask.post(request, path=path).json() for request in (pictured, plain))
        assert "no picture came" in ask.text(pictured)
    tokens = [answer.get("count") or answer["usage"]["prompt_tokens"] for answer in (first, second)]
    assert tokens[0] == tokens[1]

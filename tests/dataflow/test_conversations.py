"""From DataFlow's ways of asking to requests."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.dataflow.requests import Prompt, build_conversation_prompt, build_text_prompt, is_image_reference
from persqa_client.errors import RowError
from persqa_client.types import Turn
from tests.support.cases import each_case


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([{"from": "human", "value": "<image>\nWhat is it?"}], id="from, mark"),
        pytest.param([{"from": "human", "value": "What is it?"}], id="from"),
        pytest.param([{"role": "user", "content": "What is it?<image>"}], id="role, mark"),
        pytest.param([{"role": "user", "content": "What is it?", "from": "human", "value": "x"}], id="both"),
    ],
)
def test_both_layouts_ask_the_same_with_or_without_a_mark(turns: list[dict[str, str]]) -> None:
    assert build_conversation_prompt(turns, ["a.jpg"], "s") == Prompt("s", "What is it?", ("a.jpg",))


def test_marks_say_to_which_turn_pictures_belong() -> None:
    turns = [
        {"from": "human", "value": "<image>First?"},
        {"from": "gpt", "value": "Yes."},
        {"from": "human", "value": "And <image> these <image>?"},
    ]
    prompt = build_conversation_prompt(turns, ["a.jpg", "b.jpg", "c.jpg"], "s")
    assert prompt.images == ("a.jpg", "b.jpg", "c.jpg")
    assert prompt.text == "First?"
    assert prompt.turns == (Turn("assistant", "Yes."), Turn("user", "And  these ?", pictures=2))


def test_more_marks_than_pictures_ask_for_none_and_without_pictures_a_text_stays() -> None:
    two = [{"from": "human", "value": "<image><image>What?"}]
    assert build_conversation_prompt(two, "a.jpg", "s") == Prompt("s", "What?", ("a.jpg",))
    assert build_conversation_prompt(two, None, "s") == Prompt("s", "<image><image>What?")


def test_system_turns_join_the_system_prompt() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
    assert build_conversation_prompt(turns, None, "").system == "Be brief."


@each_case(
    "conversation",
    [None, [], "What?", [{"from": "gpt", "value": "Hello"}], [{"from": "human"}], [{"from": "alien", "value": "?"}]],
)
def test_what_is_no_conversation_fails_alone(conversation: Any) -> None:
    with pytest.raises(RowError) as caught:
        build_conversation_prompt(conversation, None, "s")
    assert caught.value.code == "bad_conversation"


@each_case(
    ("text", "is_one"),
    [
        ("./my photos/red one.PNG", True),
        ("gone.jpg", True),
        ("data:image/png;base64,AAAA", True),
        ("file:///x", True),
        ("Describe what is in red.png", False),
        ("What is it?", False),
        ("Two lines\nred.png", False),
    ],
)
def test_an_input_that_names_a_picture_is_distinguished_from_a_text(text: str, is_one: bool) -> None:
    assert is_image_reference(text) is is_one
    expected = Prompt("", "What?", (text,)) if is_one else Prompt("What?", text)
    assert build_text_prompt(text, None, "What?") == expected
    assert build_text_prompt(text, ["a.jpg"], "s").images == ("a.jpg",)

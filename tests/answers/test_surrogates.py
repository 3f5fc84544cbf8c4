"""The surrogate name that a model was asked under is replaced by the tag, and its remains are found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.parse import Answer
from persqa_client.answers.tag_repair import contains_surrogate, replace_surrogate
from tests.answers.helpers import find_code, parse_text


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("Charlie wears a hat.", "<mam> wears a hat."),
        ("Charlie's hat; Charlie’s bag", "<mam>'s hat; <mam>’s bag"),
        ("charlie and CHARLIE", "<mam> and <mam>"),
        ("(Charlie)", "(<mam>)"),
        ("Charlie戴着帽子，旁边是Charlie的狗。", "<mam>戴着帽子，旁边是<mam>的狗。"),
        ("Charlies, Charliebear and McCharlie", "Charlies, Charliebear and McCharlie"),
        ("a Charlie-like man", "a Charlie-like man"),
        ("a charlie of a man", "a charlie of a man"),
    ],
)
def test_a_surrogate_is_replaced_where_it_is_a_whole_word(text: str, tagged: str) -> None:
    assert replace_surrogate(text, "Charlie", "<mam>") == tagged


def test_a_chinese_surrogate_is_replaced_anywhere() -> None:
    assert replace_surrogate("小满在跑，这是小满的狗。", "小满", "<mam>") == "<mam>在跑，这是<mam>的狗。"


@pytest.mark.parametrize(
    ("text", "answer", "steps"),
    [
        ("Charlie wears a hat.", "<mam> wears a hat.", ("surrogate",)),
        ("**Charlie** wears a hat.", "<mam> wears a hat.", ("surrogate", "tag_marks")),
        ("<Charlie> wears a hat.", "<mam> wears a hat.", ("surrogate", "tag_doubled")),
        ("What is Charlie wearing? Charlie wears a hat.", "<mam> wears a hat.", ("surrogate", "echo")),
        ("In this picture, Charlie runs.", "<mam> runs.", ("surrogate", "preamble")),
        ('{"answer": "\\u0043harlie runs."}', "<mam> runs.", ("json", "surrogate")),
        ("<mam> runs.", "<mam> runs.", ()),
    ],
)
def test_a_surrogate_is_replaced_before_the_other_steps(text: str, answer: str, steps: tuple[str, ...]) -> None:
    assert parse_text(text, surrogate="Charlie") == Answer(answer, steps)


def test_an_echo_of_a_prompt_with_a_surrogate_is_removed() -> None:
    prompt = "The main character in the picture is called Charlie.\nQuestion: What is Charlie wearing?"
    text = "The main character in the picture is called Charlie. Charlie wears a hat."
    assert parse_text(text, surrogate="Charlie", prompt=prompt).text == "<mam> wears a hat."


@pytest.mark.parametrize("text", ["Charlie holds Charliebear.", "Charlie meets two Charlies.", "Charlie is a charlie."])
def test_remains_of_a_surrogate_are_a_placeholder(text: str) -> None:
    assert find_code(text, surrogate="Charlie") == "placeholder"


@pytest.mark.parametrize(
    ("text", "surrogate", "left"),
    [
        ("The same sample", "Sam", False),
        ("Two Sams", "Sam", True),
        ("sam.", "Sam", True),
        ("Charliebear", "Charlie", True),
        ("recharlied", "Charlie", False),
        ("小满", "小满", True),
        ("小米", "小满", False),
    ],
)
def test_which_texts_contain_a_surrogate(text: str, surrogate: str, left: bool) -> None:
    assert contains_surrogate(text, surrogate) is left


@settings(deadline=None)
@given(st.text(max_size=40).filter(lambda text: "charlie" not in text.casefold()))
def test_a_text_without_the_surrogate_stays(text: str) -> None:
    assert replace_surrogate(text, "Charlie", "<mam>") == text

"""The ordinary name that a model was asked under gives way to the tag, and what is left of it is found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.parse import Answer
from persqa_client.answers.tag_repair import has_left, put_tag
from tests.answers.asking import code, read


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
def test_the_name_gives_way_where_it_is_a_word_of_its_own(text: str, tagged: str) -> None:
    assert put_tag(text, "Charlie", "<mam>") == tagged


def test_a_chinese_name_gives_way_anywhere() -> None:
    assert put_tag("小满在跑，这是小满的狗。", "小满", "<mam>") == "<mam>在跑，这是<mam>的狗。"


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
def test_it_gives_way_before_anything_else_is_done(text: str, answer: str, steps: tuple[str, ...]) -> None:
    assert read(text, surrogate="Charlie") == Answer(answer, steps)


def test_an_echo_of_the_prompt_is_known_under_the_tag() -> None:
    prompt = "The main character in the picture is called Charlie.\nQuestion: What is Charlie wearing?"
    text = "The main character in the picture is called Charlie. Charlie wears a hat."
    assert read(text, surrogate="Charlie", prompt=prompt).text == "<mam> wears a hat."


@pytest.mark.parametrize("text", ["Charlie holds Charliebear.", "Charlie meets two Charlies.", "Charlie is a charlie."])
def test_what_is_left_of_it_is_a_placeholder(text: str) -> None:
    assert code(text, surrogate="Charlie") == "placeholder"


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
def test_a_short_name_may_begin_other_words(text: str, surrogate: str, left: bool) -> None:
    assert has_left(text, surrogate) is left


@settings(deadline=None)
@given(st.text(max_size=40).filter(lambda text: "charlie" not in text.casefold()))
def test_who_is_not_named_gets_no_tag(text: str) -> None:
    assert put_tag(text, "Charlie", "<mam>") == text

"""The surrogate name that a model was asked under is replaced by the tag, and its remains are found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.parse import Answer
from persqa_client.answers.surrogate_names import contains_surrogate, replace_surrogate
from tests.answers.helpers import find_code, parse_text
from tests.support.cases import each_case


@each_case(
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


@each_case(
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


@each_case(
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


@each_case(
    ("text", "answer"),
    [
        ("Charlie wears a hat.", "<mam> wears a hat."),
        ("Charlie reads a Charlie Brown comic.", "<mam> reads a Charlie Brown comic."),
        ('Charlie has a name tag with "Charlie" on it.', '<mam> has a name tag with "Charlie" on it.'),
        (
            "Charlie sits by Charlie's dog, and Uncle Charlie waves.",
            "<mam> sits by <mam>'s dog, and Uncle Charlie waves.",
        ),
        ('"Charlie wears a hat."', "<mam> wears a hat."),
        ("'Charlie' wears a hat.", "<mam> wears a hat."),
        (
            "Charlie sits at Charlie Chaplin's house. Then Charlie leaves.",
            "<mam> sits at Charlie Chaplin's house. Then <mam> leaves.",
        ),
        ("Charlie is near Checkpoint Charlie.", "<mam> is near Checkpoint Charlie."),
        ("Charlie wears a shirt. Charlie smiles.", "<mam> wears a shirt. <mam> smiles."),
        (
            "In this picture, Charlie is next to a man. Charlie's hat is red.",
            "<mam> is next to a man. <mam>'s hat is red.",
        ),
        ('Charlie holds a mug that reads "Charlie\'s".', '<mam> holds a mug that reads "Charlie\'s".'),
        ("Yes, Charlie is smiling. Mr. Charlie waves.", "<mam> is smiling. Mr. Charlie waves."),
        ("Charlie and Anna smile. With Charlie is Bob.", "<mam> and Anna smile. With <mam> is Bob."),
        ("Charlie sits. Next to Charlie, Anna stands.", "<mam> sits. Next to <mam>, Anna stands."),
        (
            "**Charlie** has a “Charlie and the Chocolate Factory” poster.",
            "<mam> has a “Charlie and the Chocolate Factory” poster.",
        ),
        ("CHARLIE is smiling.", "<mam> is smiling."),
    ],
)
def test_other_names_and_inscriptions_keep_the_surrogate(text: str, answer: str) -> None:
    assert parse_text(text, surrogate="Charlie").text == answer
    assert find_code(text, surrogate="Charlie") is None


@each_case(
    ("text", "answer"),
    [
        ("小满在跑步。", "<mam>在跑步。"),
        ("小满在看写着“小满”的日历。", "<mam>在看写着“小满”的日历。"),
        ("小满站在小满节气的海报前。", "<mam>站在小满节气的海报前。"),
        ("小满感到小满足。", "<mam>感到小满足。"),
        ("图中，小满拿着一张小满的照片。", "<mam>拿着一张<mam>的照片。"),
        ("小满和王小满在一起。", "<mam>和王小满在一起。"),
        ("是的，小满在笑。", "<mam>在笑。"),
        ("小满拿着一张写有「小满」的贺卡。", "<mam>拿着一张写有「小满」的贺卡。"),
        ("小满和小明在一起，小满很高兴。", "<mam>和小明在一起，<mam>很高兴。"),
    ],
)
def test_other_chinese_names_and_inscriptions_keep_the_surrogate(text: str, answer: str) -> None:
    assert parse_text(text, "<mam>在做什么？", surrogate="小满").text == answer
    assert find_code(text, "<mam>在做什么？", surrogate="小满") is None


@pytest.mark.parametrize(
    ("text", "surrogate"),
    [
        ("Charlie has a name tag that says Charlie.", "Charlie"),
        ("Charlie's shirt reads Charlie 5.", "Charlie"),
        ("Charlie stands at the Charlie's Bar.", "Charlie"),
        ("小满的胸牌上写着小满。", "小满"),
        ("小满的帽子是红色的，旁边的人叫小满。", "小满"),
    ],
)
def test_a_surrogate_that_may_be_an_inscription_is_a_placeholder(text: str, surrogate: str) -> None:
    question = "<mam>在做什么？" if surrogate == "小满" else "What does <mam> do?"
    assert find_code(text, question, surrogate=surrogate) == "placeholder"


@settings(deadline=None)
@given(st.text(max_size=40).filter(lambda text: "charlie" not in text.casefold()))
def test_a_text_without_the_surrogate_stays(text: str) -> None:
    assert replace_surrogate(text, "Charlie", "<mam>") == text

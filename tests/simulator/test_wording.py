"""Sentences about facts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from persqa_client.simulator.vision import COLOURS, ImageFacts
from persqa_client.simulator.wording import CHINESE_SENTENCES, ENGLISH_SENTENCES, find_topic, write_answer
from tests.support.cases import each_case

FACTS = ImageFacts(640, 427, (("blue", 0.6), ("light grey", 0.3), ("red", 0.01)), 180.0, (0, 2), b"12345678")

QUESTIONS = {
    "wearing": ("What is <mam> wearing?", "<mam>穿着什么？"),
    "colour": ("What color is <mam>'s hair?", "<mam>的头发是什么颜色？"),
    "where": ("Where is <mam>?", "<mam>在哪里？"),
    "doing": ("What is <mam> doing?", "<mam>在做什么？"),
    "count": ("How many people are with <mam>?", "<mam>身边有几个人？"),
    "plain": ("Who is <mam>?", "<mam>是谁？"),
}


@each_case("name", QUESTIONS)
def test_topics_are_recognised_in_both_languages(name: str) -> None:
    assert [find_topic(question) for question in QUESTIONS[name]] == [name, name]


@each_case("name", QUESTIONS)
@each_case("seed", range(4))
def test_an_answer_begins_with_the_tag_and_names_the_colours(name: str, seed: int) -> None:
    english, chinese = (write_answer("<mam>", question, FACTS, seed) for question in QUESTIONS[name])
    assert english.startswith("<mam> ")
    assert all(word in english for word in ("bright", "landscape", "640x427", "blue and light grey"))
    assert " red" not in english
    assert chinese.startswith("<mam>")
    assert all(word in chinese for word in ("明亮", "横向", "640x427", "蓝色和浅灰色"))


def test_answers_vary_by_seed_only() -> None:
    answers = [write_answer("<mam>", "Who is <mam>?", FACTS, seed) for seed in range(20)]
    assert answers == [write_answer("<mam>", "Who is <mam>?", FACTS, seed) for seed in range(20)]
    assert len(set(answers)) == len(ENGLISH_SENTENCES["plain"]) == len(CHINESE_SENTENCES["plain"])


def test_where_questions_get_the_lightest_part() -> None:
    assert "top right" in write_answer("<mam>", "Where is <mam>?", FACTS)
    assert "右上方" in write_answer("<mam>", "<mam>在哪里？", FACTS)


def test_without_a_picture_it_says_so() -> None:
    assert write_answer("<mam>", "Who?", None) == "<mam> is not to be seen: no picture came with the question."
    assert write_answer("<mam>", "是谁？", None).startswith("<mam>无从看到")


def test_an_answer_without_a_tag_is_about_the_main_character() -> None:
    assert write_answer(None, "Who?", FACTS).startswith("The main character ")
    assert write_answer(None, "是谁？", FACTS).startswith("主角")


@pytest.mark.parametrize(
    "question", ["What does 出口 mean near <mam>?", "<mam>?", "Kio estas <mam>?", "What is <小猫>?"]
)
def test_questions_in_english_or_an_unclear_language_are_answered_in_english(question: str) -> None:
    assert re.match(r"<mam> (?:appears|is) [ -~]+\.$", write_answer("<mam>", question, FACTS))


def test_several_images_are_named_with_their_sizes() -> None:
    both = ImageFacts(640, 427, FACTS.colours, 20.0, (1, 1), b"12345678", ((10, 20),))
    assert "2 very dark pictures of 640x427 and 10x20 pixels" in write_answer("<mam>", "Who?", both)


def test_all_colours_have_names_of_their_own_in_both_languages() -> None:
    assert len({chinese for chinese, _ in COLOURS.values()}) == len(COLOURS)


@pytest.mark.parametrize(("name", "verdicts"), [("doing", ("yes", "no")), ("plain", ("是", "否"))])
def test_it_says_whether_an_answer_names_what_the_picture_shows(name: str, verdicts: tuple[str, str]) -> None:
    english = verdicts[0] == "yes"
    question = QUESTIONS[name][not english]
    asks = "Is this answer right? Reply with yes or no only." if english else "正确吗？只回答“是”或“否”。"
    for seed in range(4):
        shown = f"{question}\n{write_answer('<mam>', question, FACTS, seed)}\n{asks}"
        assert write_answer("<mam>", shown, FACTS) == verdicts[0]
        assert write_answer("<mam>", shown, replace(FACTS, width=641)) == verdicts[1]
        assert write_answer("<mam>", shown, None) == verdicts[1]

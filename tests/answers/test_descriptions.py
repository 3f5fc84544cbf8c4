"""Answers to a prompt with a description of the main character: those that use its words, and those that repeat it."""

from __future__ import annotations

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.questions.bank import Bank
from persqa_client.questions.steering import make_steering
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Completion, Row, Strategy, TaskId
from tests.support.cases import each_case

DESCRIPTION, CHINESE_DESCRIPTION = "the woman with the red scarf", "戴红围巾的女人"
QUESTION, CHINESE_QUESTION = "What is <mam> wearing?", "<mam>穿着什么？"

HONEST = (
    "<mam> wears a red scarf.",
    "<mam> is wearing a red scarf and a dark coat.",
    "<mam> is the woman with the red scarf who holds a cup of tea.",
    "<mam> is the woman with the red scarf. She wears a dark coat over a white shirt.",
    "<mam> wears the red scarf with a long green dress.",
    "<mam> is a woman with a red scarf, a hat and brown boots.",
    "<mam>, the woman with the red scarf, wears blue jeans.",
    "<mam> has the red scarf tied around her neck.",
    "<mam> is a woman in a red coat; the scarf is red, too.",
    "<mam> wears nothing red but the scarf.",
)
ECHOES = (
    "<mam> is the woman with the red scarf.",
    "<mam> is The Woman with the Red Scarf",
    "<mam>, the woman with the red scarf.",
    "<mam> is the woman with the red scarf in the picture.",
    "<mam> is the woman with the red scarf. <mam> is the woman with the red scarf.",
)
CHINESE_HONEST = (
    "<mam>戴着红围巾。",
    "<mam>是戴红围巾的女人，穿着黑色大衣。",
    "<mam>是戴红围巾的女人。她穿着黑色大衣。",
)
CHINESE_ECHOES = ("<mam>是戴红围巾的女人。", "<mam>就是图中戴红围巾的女人。", "<mam>是照片里的戴红围巾的女人。")


def find_code(text: str, description: str | None, strategy: Strategy = "direct") -> str | None:
    is_ascii = text.isascii()
    steering = make_steering(None, None, "sentences", (), description)
    maker = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS, steering=steering, strategy=strategy)
    question = QUESTION if is_ascii else CHINESE_QUESTION
    task = maker.make_task(Row(1, b"{}", ("a.jpg",), question=question), TaskId(1))
    completion = Completion(text.replace("<mam>", task.surrogate or "<mam>"), "stop")
    problem = check_answer(completion, parse_answer(completion, task), task)
    return problem.code if problem else None


@each_case("text", [*HONEST, *CHINESE_HONEST])
def test_an_answer_may_use_the_words_of_the_description(text: str) -> None:
    description = DESCRIPTION if text.isascii() else CHINESE_DESCRIPTION
    assert find_code(text, description) is None
    assert find_code(text, description, "surrogate") is None


@each_case("text", [*ECHOES, *CHINESE_ECHOES])
def test_an_answer_that_only_repeats_the_description_is_an_echo(text: str) -> None:
    description = DESCRIPTION if text.isascii() else CHINESE_DESCRIPTION
    assert find_code(text, description) == "echo"
    assert find_code(text, description, "surrogate") == "echo"
    assert find_code(text, None) is None


def test_a_sentence_of_a_longer_description_may_be_an_answer() -> None:
    description = "<mam> is the tall man. <mam> wears a green hat."
    assert find_code("<mam> wears a green hat.", description) is None
    assert find_code(description, description) == "echo"

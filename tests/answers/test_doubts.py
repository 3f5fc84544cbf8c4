"""Doubts about accepted answers: each code by examples, and ordinary answers have none."""

from __future__ import annotations

import pytest

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.doubts import find_doubts
from persqa_client.questions.bank import Bank
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Row, Task, TaskId
from tests.support.cases import each_case

ENGLISH, CHINESE = "What is <mam> doing?", "<mam>在做什么？"


def make_task(question: str) -> Task:
    tasks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS)
    return tasks.make_task(Row(1, b"{}", ("1.jpg",), question=question), TaskId(1))


@each_case(
    ("question", "text"),
    [
        (ENGLISH, "<mam> reads a book."),
        (ENGLISH, "<mam> appears to be waiting for a bus, possibly with a friend."),
        (ENGLISH, "<mam>'s hair is brown, and it is hard to tell how long it is."),
        (ENGLISH, "<mam> is working hard to lift a box."),
        (ENGLISH, "<mam> holds a sign that says “I can't wait, maybe”."),
        (ENGLISH, "<mam> stands in front of a café called “春风”."),
        ("What color is <mam>’s hat?", "<mam> wears a red hat."),
        ("Is <mam> in the café?", "<mam> stands outside of it."),
        (ENGLISH, "<mam> holds a can of May beer."),
        (CHINESE, "<mam>在看书。"),
        (CHINESE, "<mam>穿着印有logo的T恤，可能在等人。"),
        (CHINESE, "<mam>举着写有“对不起，我无法等待”的牌子。"),
        (CHINESE, "<mam>站在名叫“Chez Leon du bon pain”的店前。"),
    ],
)
def test_an_ordinary_answer_is_not_doubtful(question: str, text: str) -> None:
    assert find_doubts(text, make_task(question)) == ()


@each_case(
    ("question", "text", "doubts"),
    [
        (ENGLISH, "<mam> might be reading a book.", ("hedged",)),
        (ENGLISH, "<mam>'s shoes can’t be seen, because a table hides them.", ("hedged",)),
        (CHINESE, "<mam>可能在看书。", ("hedged",)),
        (CHINESE, "<mam>手里的东西看不清，像是一本书。", ("hedged",)),
        (ENGLISH, "<mam> holds a phone, but I can’t identify the model.", ("refusal_words",)),
        (ENGLISH, "<mam> holds a phone. It was not possible to identify the model.", ("refusal_words",)),
        (CHINESE, "<mam>拿着手机，但型号无法辨认。", ("refusal_words",)),
        (ENGLISH, "<mam> stands.", ("short",)),
        (ENGLISH, "<mam>'s hat.", ("short",)),
        (CHINESE, "<mam>站着。", ("short",)),
        (ENGLISH, "<mam> reads a 书 at the table.", ("other_script",)),
        (ENGLISH, "<mam> reads книгу at the table.", ("other_script",)),
        (CHINESE, "<mam>在看书，the table is brown。", ("other_script",)),
        (CHINESE, "<mam>正在看книгу。", ("other_script",)),
        ("Cosa indossa <mam>?", "<mam> indossa un cappello rosso.", ("unchecked_language",)),
        ("Was trägt <mam>?", "<mam> trägt vielleicht einen Hut.", ("hedged",)),
        ("O que <mam> segura?", "<mam> segura um telefone, mas não consigo ver o modelo.", ("refusal_words",)),
        ("Que fait <mam> ?", "<mam> lit.", ("short",)),
    ],
)
def test_a_doubtful_answer_has_its_codes(question: str, text: str, doubts: tuple[str, ...]) -> None:
    assert find_doubts(text, make_task(question)) == doubts


@pytest.mark.parametrize(
    ("steps", "refused", "doubts"),
    [
        (("constraint", "label"), None, ()),
        (("tag_bare",), None, ("bare_name",)),
        (("label", "tag_bare"), "no_tag", ("re_asked", "bare_name")),
        ((), "not_verified", ("re_asked",)),
        ((), "truncated", ()),
    ],
)
def test_how_the_answer_came_about_can_make_it_doubtful(
    steps: tuple[str, ...], refused: str | None, doubts: tuple[str, ...]
) -> None:
    assert find_doubts("<mam> reads a book.", make_task(ENGLISH), steps, refused) == doubts


def test_every_question_of_the_banks_is_in_a_checked_language() -> None:
    for category in ("human", "animal", "object", "scene", "group"):
        bank = Bank.build(category, sensitive=True)
        for language in ("en", "zh"):
            for question in bank.questions(category, language):
                task = make_task(question.text)
                assert "unchecked_language" not in find_doubts("<mam> reads a book.", task), question.text

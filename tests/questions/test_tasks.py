"""A row's question is put whole: how many, which, in what words, by which strategy."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.questions.bank import Bank
from persqa_client.questions.sampling import Question
from persqa_client.questions.tasks import TaskMaker, tagged_pattern
from persqa_client.types import Row, TaskId

OWN = Bank.build((Question("a", "Where is {tag}?", None, "en", frozenset(), False),))


def row(**more: Any) -> Row:
    return Row(1, b"{}", ("a.jpg",), **more)


def maker(bank: Bank | None = None, **more: Any) -> TaskMaker:
    return TaskMaker("<mam>", 0, bank or Bank.build("human"), (), **more)


def test_a_row_is_asked_so_many_different_questions() -> None:
    asks = maker(questions=5)
    units = asks.units(row())
    assert units == tuple(TaskId(1, number) for number in range(5))
    made = [asks.make(row(), unit) for unit in units]
    assert len({ask.question for ask in made}) == len({ask.question_id for ask in made}) == 5
    assert len({ask.seed for ask in made}) == 5


def test_more_questions_leave_the_first_ones_as_they_were() -> None:
    one, five = maker(), maker(questions=5)
    assert one.make(row(), TaskId(1)) == five.make(row(), TaskId(1))


def test_a_question_of_its_own_is_the_only_one() -> None:
    asks = maker(questions=5)
    own = row(question="What does {tag} carry?")
    assert asks.units(own) == (TaskId(1),)
    ask = asks.make(own, TaskId(1))
    assert (ask.question, ask.question_id) == ("What does <mam> carry?", None)


def test_a_failed_question_is_asked_by_its_number() -> None:
    asks = maker(questions=5)
    assert asks.units(row(only_question=3)) == (TaskId(1, 3),)
    assert asks.make(row(only_question=3), TaskId(1, 3)).question == asks.make(row(), TaskId(1, 3)).question


@pytest.mark.parametrize(
    ("category", "language", "words"),
    [
        ("human", "en", "The main character in the picture is called <mam>."),
        ("animal", "en", "The animal in the picture is called <mam>."),
        ("scene", "zh", "图中的地方叫做<mam>。"),
        ("group", "zh", "图中有好几个人，其中的主角叫做<mam>。"),
    ],
)
def test_a_row_chooses_its_bank_and_its_wording(category: str, language: str, words: str) -> None:
    ask = maker().make(row(category=category, language=language), TaskId(1))
    assert ask.prompt.startswith(words)
    bank = Bank.build("human").questions(category, language)
    assert ask.question in {question.text.replace("{tag}", "<mam>") for question in bank}
    assert ask.category == category


def test_a_bank_without_a_fitting_question_fails_the_row() -> None:
    with pytest.raises(RowError, match="no question fits the row's category and language") as caught:
        maker(OWN).make(row(language="zh"), TaskId(1))
    assert caught.value.code == "no_question"
    with pytest.raises(RowError, match="only 1 questions"):
        maker(OWN, questions=2).make(row(), TaskId(1, 1))


def test_each_strategy_asks_in_its_own_way() -> None:
    ways = {strategy: maker(OWN, strategy=strategy).make(row(), TaskId(1)) for strategy in STRATEGIES}
    assert {name: (ask.pattern, ask.prefill, ask.surrogate) for name, ask in ways.items()} == {
        "direct": (None, None, None),
        "constrain": (r"<mam>[\s\S]+", None, None),
        "prefill": (None, "<mam>", None),
        "surrogate": (r"Charlie[ ,'’][\s\S]+", None, "Charlie"),
    }
    assert {ask.question for ask in ways.values()} == {"Where is <mam>?"}
    assert {ask.strategy for ask in ways.values()} == set(STRATEGIES)


STRATEGIES = ("direct", "constrain", "prefill", "surrogate")


def test_a_surrogate_takes_the_tags_place_everywhere_in_the_prompt() -> None:
    ask = maker(OWN, strategy="surrogate").make(row(), TaskId(1))
    assert "mam" not in ask.prompt
    assert "begin your answer with Charlie.\nQuestion: Where is Charlie?" in ask.prompt


def test_a_rows_own_tag_goes_through_question_prompt_and_pattern() -> None:
    ask = maker(strategy="constrain").make(row(tag="<bo>"), TaskId(1))
    assert ask.tag == "<bo>"
    assert "<bo>" in ask.question
    assert "<mam>" not in ask.prompt
    assert ask.pattern == r"<bo>[\s\S]+"


@pytest.mark.parametrize(("tag", "bare"), [("<mam>", True), ("<bo>", False), ("<rose>", False)])
def test_a_tag_that_is_a_word_is_not_looked_for_without_its_brackets(tag: str, bare: bool) -> None:
    assert maker().make(row(tag=tag), TaskId(1)).repair_bare_name is bare


def test_the_pattern_escapes_what_regular_expressions_read() -> None:
    assert tagged_pattern("<a.b-c>") == r"<a\.b-c>[\s\S]+"

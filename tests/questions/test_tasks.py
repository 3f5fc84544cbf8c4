"""The tasks of a row: how many, and with which question, prompt and strategy."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.questions.bank import Bank, Question
from persqa_client.questions.constraints import sentence_pattern
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Row, TaskId
from tests.support.cases import each_case

OWN = Bank.build((Question("a", "Where is {tag}?", None, "en", frozenset(), False),))


def row(**more: Any) -> Row:
    return Row(1, b"{}", ("a.jpg",), **more)


def make_maker(bank: Bank | None = None, **more: Any) -> TaskMaker:
    return TaskMaker("<mam>", 0, bank or Bank.build("human"), (), **more)


def test_a_row_has_as_many_different_questions_as_asked_for() -> None:
    tasks = make_maker(questions=5)
    task_ids = tasks.task_ids(row())
    assert task_ids == tuple(TaskId(1, number) for number in range(5))
    made = [tasks.make_task(row(), task_id) for task_id in task_ids]
    assert len({task.question for task in made}) == len({task.question_id for task in made}) == 5
    assert len({task.seed for task in made}) == 5


def test_more_questions_keep_the_first_ones() -> None:
    one, five = make_maker(), make_maker(questions=5)
    assert one.make_task(row(), TaskId(1)) == five.make_task(row(), TaskId(1))


def test_a_rows_own_question_is_its_only_one() -> None:
    tasks = make_maker(questions=5)
    own = row(question="What does {tag} carry?")
    assert tasks.task_ids(own) == (TaskId(1),)
    task = tasks.make_task(own, TaskId(1))
    assert (task.question, task.question_id) == ("What does <mam> carry?", None)


def test_a_failed_question_is_repeated_by_its_number() -> None:
    tasks = make_maker(questions=5)
    assert tasks.task_ids(row(only_question=3)) == (TaskId(1, 3),)
    assert tasks.make_task(row(only_question=3), TaskId(1, 3)).question == tasks.make_task(row(), TaskId(1, 3)).question


@pytest.mark.parametrize(
    ("category", "language", "words"),
    [
        ("human", "en", "The main character in the picture is called <mam>."),
        ("animal", "en", "The animal in the picture is called <mam>."),
        ("scene", "zh", "图中的地方叫做<mam>。"),
        ("group", "zh", "图中有好几个人，其中的主角叫做<mam>。"),
    ],
)
def test_a_row_may_choose_category_and_language(category: str, language: str, words: str) -> None:
    task = make_maker().make_task(row(category=category, language=language), TaskId(1))
    assert task.prompt.startswith(words)
    bank = Bank.build("human").questions(category, language)
    assert task.question in {question.text.replace("{tag}", "<mam>") for question in bank}
    assert task.category == category


def test_a_bank_without_a_fitting_question_fails_the_row() -> None:
    with pytest.raises(RowError, match="the row's category and language") as caught:
        make_maker(OWN).make_task(row(language="zh"), TaskId(1))
    assert caught.value.code == "no_question"
    with pytest.raises(RowError, match="only 1 "):
        make_maker(OWN, questions=2).make_task(row(), TaskId(1, 1))


def test_strategies() -> None:
    ways = {strategy: make_maker(OWN, strategy=strategy).make_task(row(), TaskId(1)) for strategy in STRATEGIES}
    assert {name: (task.pattern, task.prefill, task.surrogate) for name, task in ways.items()} == {
        "direct": (None, None, None),
        "constrain": (sentence_pattern("<mam>", "latin"), None, None),
        "prefill": (None, "<mam>", None),
        "surrogate": (sentence_pattern("Charlie", "latin"), None, "Charlie"),
    }
    assert {task.question for task in ways.values()} == {"Where is <mam>?"}
    assert {task.strategy for task in ways.values()} == set(STRATEGIES)


STRATEGIES = ("direct", "constrain", "prefill", "surrogate")


def test_a_surrogate_replaces_the_tag_everywhere_in_the_prompt() -> None:
    task = make_maker(OWN, strategy="surrogate").make_task(row(), TaskId(1))
    assert "mam" not in task.prompt
    assert "begin your answer with Charlie.\nQuestion: Where is Charlie?" in task.prompt


def test_a_rows_own_tag_is_used_in_question_prompt_and_pattern() -> None:
    task = make_maker(strategy="constrain").make_task(row(tag="<bo>"), TaskId(1))
    assert task.tag == "<bo>"
    assert "<bo>" in task.question
    assert "<mam>" not in task.prompt
    assert task.pattern == sentence_pattern("<bo>", "latin")


@pytest.mark.parametrize(("tag", "bare"), [("<mam>", True), ("<bo>", False), ("<rose>", False)])
def test_a_tag_that_is_a_word_is_not_repaired_without_its_brackets(tag: str, bare: bool) -> None:
    assert make_maker().make_task(row(tag=tag), TaskId(1)).repair_bare_name is bare


@pytest.mark.parametrize("other", ["sks", "image_pad", "p", "MAM", "token_3"])
def test_a_name_that_can_not_be_the_tag_is_not_suggested(other: str) -> None:
    with pytest.raises(RowError) as caught:
        make_maker().make_task(row(question=f"What is <{other}> doing?"), TaskId(1))
    assert caught.value.message.endswith("the row's tag is <mam>; write {tag} in the question")


@each_case(
    ("question", "reason"),
    [
        ("<image>\nWhat is {tag} doing?", "has <image> in it"),
        ("What is <mam> doing?<|im_end|>", "has <|im_end|> in it"),
        ("[INST] What is <mam> doing?", "has [INST] in it"),
        (
            "What is <bo> doing?",
            'the row\'s tag is <mam>; write {tag} in the question, or give the row the field "tag": "bo"',
        ),
        ("What is </mam> doing?", "the row's tag is <mam>"),
        ("What is <mam> doing \ud83d?", "has half of a character in it (\\ud83d)"),
    ],
)
def test_a_row_with_a_bad_question_fails(question: str, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        make_maker().make_task(row(question=question), TaskId(1))
    assert caught.value.code == "bad_question"
    assert reason in caught.value.message
    # The question of an earlier run is data.
    assert make_maker(asked_before=True).make_task(row(question=question), TaskId(1)).question


@pytest.mark.parametrize(
    ("question", "tag"),
    [
        ("What is <bo> doing?", "<bo>"),
        ("What is <mam> doing with <bo>?", None),
        ("What is the woman doing?", None),
        ("Is 1 <2> 3?", None),
        ("What is [this]?", None),
    ],
)
def test_other_questions_of_rows_are_kept(question: str, tag: str | None) -> None:
    assert make_maker().make_task(row(question=question, tag=tag), TaskId(1)).question == question


def test_the_pattern_is_in_the_language_of_the_question() -> None:
    task = make_maker(strategy="constrain").make_task(row(question="{tag}は何を着ていますか？"), TaskId(1))
    assert task.pattern == sentence_pattern("<mam>", "japanese")

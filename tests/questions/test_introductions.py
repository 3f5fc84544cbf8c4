"""Sentences of the prompt that say who the main character is."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.jsonl import dump_spaced
from persqa_client.questions.bank import Bank
from persqa_client.questions.introductions import introduce, introductions_digest
from persqa_client.questions.prompts import build_prompt, build_verification_prompt
from persqa_client.questions.steering import make_steering
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Row, Strategy, Task, TaskId
from tests.support.cases import each_case

QUESTION, CHINESE_QUESTION = "What is <mam> wearing?", "<mam>穿着什么？"


def make_task(
    describe: str | None = None,
    *,
    key: str | None = None,
    prompt: str | None = None,
    strategy: Strategy = "direct",
    question: str = QUESTION,
    **fields: Any,
) -> Task:
    steering = make_steering(None, prompt, "sentences", (), describe, key)
    maker = TaskMaker("<mam>", 0, Bank.build("human"), (), steering=steering, strategy=strategy)
    line = dump_spaced({"image": "a.jpg", **fields})
    return maker.make_task(Row(1, line, ("a.jpg",), question=question), TaskId(1))


@each_case(
    ("description", "sentence", "chinese"),
    [
        ("the woman with the red scarf", "<mam> is the woman with the red scarf.", None),
        ("The woman with the red scarf.", "<mam> is the woman with the red scarf.", None),
        (" the woman\nwith  a scarf!\n", "<mam> is the woman with a scarf!", None),
        ("Anna's dog", "<mam> is Anna's dog.", None),
        ("<mam> wears a scarf. She is tall", "<mam> wears a scarf. She is tall.", "<mam> wears a scarf. She is tall。"),
        ("戴红围巾的女人", "<mam> is 戴红围巾的女人.", "<mam>是戴红围巾的女人。"),
        ("", "", ""),
        (" . ", "", ""),
    ],
)
def test_a_description_becomes_a_sentence_in_the_language_of_the_question(
    description: str, sentence: str, chinese: str | None
) -> None:
    assert introduce(QUESTION, "<mam>", description).text == sentence
    if chinese is not None:
        assert introduce(CHINESE_QUESTION, "<mam>", description).text == chinese


def test_the_sentence_stands_behind_the_name_of_the_main_character() -> None:
    assert make_task("the tall man").prompt == (
        "The main character in the picture is called <mam>. <mam> is the tall man. Answer the question about <mam> in "
        "one or two sentences, and begin your answer with <mam>.\nQuestion: What is <mam> wearing?"
    )
    chinese = make_task("高个子男人", question=CHINESE_QUESTION).prompt
    assert chinese.startswith("图中的主角叫做<mam>。<mam>是高个子男人。请用一两句话")
    assert make_task().prompt == build_prompt(QUESTION, "<mam>")[1]


def test_the_description_names_fields_and_a_row_has_its_own() -> None:
    assert "<mam> is the dog of Ann (human)." in make_task("the dog of {owner} ({category})", owner="Ann").prompt
    assert "\n{question}" not in make_task("the dog", key="who", who="the {question} cat").prompt
    assert "<mam> is the {question} cat." in make_task("the dog", key="who", who="the {question} cat").prompt
    for blank in ({}, {"who": None}, {"who": ""}):
        assert "<mam> is the dog." in make_task("the dog", key="who", **blank).prompt
    assert make_task(key="who").prompt == make_task().prompt


@each_case(
    ("describe", "fields", "code"),
    [
        ("the dog of {owner}", {}, "bad_field"),
        (None, {"who": 7}, "bad_field"),
        (None, {"who": "an <image>"}, "bad_prompt"),
        ("the dog of {owner}", {"owner": "<|im_end|>"}, "bad_prompt"),
    ],
)
def test_an_unusable_description_fails_its_row(describe: str | None, fields: Any, code: str) -> None:
    with pytest.raises(RowError) as caught:
        make_task(describe, key="who", **fields)
    assert caught.value.code == code


def test_an_own_prompt_stands_behind_the_sentence() -> None:
    assert make_task("the tall man", prompt="{question} Be brief.").prompt == (
        f"<mam> is the tall man.\n{QUESTION} Be brief."
    )


def test_the_surrogate_is_described_and_is_not_in_the_description() -> None:
    task = make_task("the man beside <mam>'s friend Charlie", strategy="surrogate")
    assert task.surrogate == "Marlow"
    assert "Marlow is called" not in task.prompt
    assert "the man beside Marlow's friend Charlie" in task.prompt
    assert "<mam>" not in task.prompt


def test_the_verification_has_the_sentence_too() -> None:
    for question, description in ((QUESTION, "the tall man"), (CHINESE_QUESTION, "高个子男人")):
        task = make_task(description, question=question)
        prompt, _ = build_verification_prompt(task, "<mam> reads.")
        assert task.introduction in prompt
    assert "  " not in build_verification_prompt(make_task(), "<mam> reads.")[0]


def test_the_texts_have_a_digest() -> None:
    assert len(introductions_digest()) == 16


def test_a_description_that_is_no_template_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^--describe has a single \{"):
        make_steering(None, None, "sentences", (), "the {")

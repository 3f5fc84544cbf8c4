"""The texts that the model reads, by language, category and problem."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from persqa_client.questions import prompts
from persqa_client.questions.constraints import FORMS
from persqa_client.questions.prompts import CHINESE, ENGLISH, build_prompt, build_reask_prompt, prompts_digest
from persqa_client.types import Problem, Task, TaskId
from tests.support.cases import each_case

QUESTION = "What is <mam> doing?"
CHINESE_QUESTION = "<mam>在做什么？"


def make_task(question: str, surrogate: str | None = None) -> Task:
    system, prompt = build_prompt(question, surrogate or "<mam>")
    return Task(TaskId(1), "attribute", "<mam>", question, system, prompt, (), 0, surrogate=surrogate)


def test_prompts_are_in_the_language_of_the_question() -> None:
    assert build_prompt(QUESTION, "<mam>")[1].endswith("Question: What is <mam> doing?")
    assert build_prompt(CHINESE_QUESTION, "<mam>")[1].endswith("问题：<mam>在做什么？")


def test_a_reask_shows_the_answer_and_gives_the_reason() -> None:
    answer, reask = build_reask_prompt(make_task(QUESTION), "A man.", Problem("no_tag", "no tag"))
    assert (answer.role, answer.text) == ("assistant", "A man.")
    assert (reask.role, reask.text) == (
        "user",
        "That answer can't be used: it does not begin with <mam>. "
        "Please answer the question again, beginning with <mam>.",
    )


@each_case(
    ("question", "surrogate", "problem", "reason"),
    [
        (QUESTION, None, Problem("unknown_tag", "", "closing", "</mam>"), "a closing tag </mam>; <mam> stands for"),
        (QUESTION, "Charlie", Problem("unknown_tag", "", "closing", "</mam>"), "tag </mam>; Charlie stands for a name"),
        (QUESTION, None, Problem("placeholder", "", found="{name}"), "it has a placeholder {name} in it."),
        (QUESTION, None, Problem("echo", "", "prompt"), "it repeats the instructions."),
        (CHINESE_QUESTION, None, Problem("echo", "", "prompt"), "原因是：重复了题目要求。"),
        (CHINESE_QUESTION, None, Problem("echo", "", "goes_on"), "又写了别的问题或回答。"),
        (
            CHINESE_QUESTION,
            None,
            Problem("unknown_tag", "", "closing", "</mam>"),
            "闭合标记</mam>，而<mam>只是一个名字。",
        ),
        (CHINESE_QUESTION, "小满", Problem("placeholder", "", "surrogate"), "主角名字的其他写法。"),
        (CHINESE_QUESTION, None, Problem("not_a_sentence", "", "too_long"), "远远超过一两句话。"),
        (CHINESE_QUESTION, "小满", Problem("no_tag", ""), "没有以小满开头。请重新回答问题，并以小满开头。"),
        (QUESTION, None, Problem("unfinished", "", found="tool_calls"), "it did not come to its end (tool_calls)."),
    ],
)
def test_reasons_depend_on_code_variant_and_language(
    question: str, surrogate: str | None, problem: Problem, reason: str
) -> None:
    assert reason in build_reask_prompt(make_task(question, surrogate), "A man.", problem)[1].text


def test_an_empty_answer_is_shown_as_an_ellipsis() -> None:
    assert build_reask_prompt(make_task(QUESTION), "", Problem("empty", ""))[0].text == "…"


def test_both_languages_have_a_reason_for_every_code() -> None:
    assert ENGLISH.reasons.keys() == CHINESE.reasons.keys()


def test_reasons_quote_the_same_in_both_languages() -> None:
    quoting = [
        {code for code, reason in wording.reasons.items() if "{found}" in reason} for wording in (ENGLISH, CHINESE)
    ]
    assert quoting[0] == quoting[1]


@pytest.mark.parametrize("question", [QUESTION, CHINESE_QUESTION])
def test_a_reason_quotes_the_beginning_of_a_long_text(question: str) -> None:
    text = build_reask_prompt(make_task(question, None), "A man.", Problem("unfinished", "", found="x" * 5000))[1].text
    assert "x" * 200 in text
    assert "x" * 201 not in text


def test_the_digest_of_the_prompts_changes_with_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompts_digest()
    assert re.fullmatch("[0-9a-f]{16}", before)
    assert prompts_digest() == before
    monkeypatch.setattr(prompts, "CHINESE", replace(CHINESE, reasons={**CHINESE.reasons, "empty": "空"}))
    assert prompts_digest() != before


def test_the_digest_of_the_prompts_changes_with_the_patterns_of_answers() -> None:
    assert prompts_digest({**FORMS, "korean": replace(FORMS["korean"], ends=".!?")}) != prompts_digest()


def test_each_problem_has_a_reason_in_both_languages() -> None:
    """Without one, a run would end with a KeyError."""
    codes = [{key.partition("/")[0] for key in wording.reasons} for wording in (ENGLISH, CHINESE)]
    assert codes[0] == codes[1]

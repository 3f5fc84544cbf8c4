"""The question about an answer, in its language, and the verdicts that models give."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.questions import prompts
from persqa_client.questions.bank import Bank
from persqa_client.questions.prompts import build_verification_prompt, read_verdict, verification_digest
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Row, Strategy, Task, TaskId
from tests.support.cases import each_case


def make_task(question: str, strategy: Strategy = "direct", category: str = "human") -> Task:
    tasks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS, strategy=strategy, category=category)
    return tasks.make_task(Row(1, b"{}", ("1.jpg",), question=question), TaskId(1))


def test_the_prompt_has_the_question_and_the_answer_in_their_language() -> None:
    prompt, pattern = build_verification_prompt(make_task("What is <mam> doing?"), "<mam> reads.")
    assert prompt == (
        "The main character in the picture is called <mam>. Somebody has answered a question about <mam>. "
        "Compare the answer with the picture.\nQuestion: What is <mam> doing?\nAnswer: <mam> reads.\n"
        "Is this answer right, as far as the picture shows? Reply with yes or no only."
    )
    assert pattern == "yes|no"
    prompt, pattern = build_verification_prompt(make_task("<mam>在做什么？", category="animal"), "<mam>在睡觉。")
    assert prompt == (
        "图中的动物叫做<mam>。有人回答了一个关于<mam>的问题，请把回答和图片对照。\n问题：<mam>在做什么？\n"
        "回答：<mam>在睡觉。\n就图中所见，这个回答正确吗？只回答“是”或“否”。"
    )
    assert pattern == "是|否"


def test_a_model_that_was_asked_about_a_surrogate_reads_it_again() -> None:
    task = make_task("What is <mam> doing?", "surrogate")
    prompt, _ = build_verification_prompt(task, "<mam> reads.")
    assert task.surrogate is not None
    assert f"Answer: {task.surrogate} reads." in prompt
    assert "<mam>" not in prompt


@each_case(
    ("text", "verdict"),
    [
        ("yes", "yes"),
        ("Yes.", "yes"),
        (" **Yes**, the hat is blue.", "yes"),
        ('"yes"', "yes"),
        ("Yes – it is.", "yes"),
        ("是", "yes"),
        ("是的。", "yes"),
        ("正确，图中就是这样。", "yes"),
        ("No", "no"),
        ("NO, the hat is red.", "no"),
        ("否。", "no"),
        ("不是。", "no"),
        ("不正确，帽子是红色的。", "no"),
        ("", "unreadable"),
        ("No hat is visible, so it is right.", "unreadable"),
        ("Yes or no? That depends.", "unreadable"),
        ("Yesterday.", "unreadable"),
        ("是否正确很难说。", "unreadable"),
        ("对不起，我无法回答。", "unreadable"),
        ("The answer is right.", "unreadable"),
    ],
)
def test_a_verdict_begins_the_reply(text: str, verdict: str) -> None:
    assert read_verdict(text) == verdict


def test_the_digest_changes_with_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = verification_digest()
    assert re.fullmatch("[0-9a-f]{16}", before)
    monkeypatch.setattr(prompts, "CHINESE_VERIFICATION", replace(prompts.CHINESE_VERIFICATION, prompt="？"))
    assert verification_digest() != before

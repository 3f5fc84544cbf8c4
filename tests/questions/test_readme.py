"""The README of the questions shows the built-in banks, the needs and the prompts as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import persqa_client.questions
from persqa_client.questions.bank import load_builtin_bank, parse_bank
from persqa_client.questions.categories import CATEGORIES, NEEDS
from persqa_client.questions.prompts import build_prompt, build_reask_prompt
from persqa_client.types import Problem, Task, TaskId

README = Path(persqa_client.questions.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_sizes_of_the_banks_are_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (\d+) \|$", README, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == {
        category: len(load_builtin_bank(category, "en")) for category in CATEGORIES
    }


def test_every_need_is_documented() -> None:
    table = README.split("| need |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == NEEDS.keys()


def test_the_example_of_a_bank_can_be_parsed() -> None:
    assert len(parse_bank(README.split("```json\n")[1].split("```")[0].encode(), "README.md")) == 1


@pytest.mark.parametrize("question", ["What is <mam> wearing?", "<mam>穿着什么？"])
def test_the_prompts_are_those_that_are_sent(question: str) -> None:
    system, prompt = build_prompt(question, "<mam>")
    task = Task(TaskId(1), "attribute", "<mam>", question, system, prompt, (), 0)
    reask = build_reask_prompt(task, "A man.", Problem("no_tag", ""))[1].text
    assert all(f"\n{text}\n" in README for text in (system, prompt, reask))

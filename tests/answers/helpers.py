"""Tasks, and what the package makes of a raw answer to them."""

from __future__ import annotations

from typing import Any

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.questions.prompts import build_prompt
from persqa_client.types import Completion, Problem, Task, TaskId

QUESTION = "What is <mam> wearing?"
CHINESE_QUESTION = "<mam>穿着什么？"
GOOD = "<mam> wears a blue jacket."


def make_task(question: str = QUESTION, tag: str = "<mam>", **fields: Any) -> Task:
    system, prompt = build_prompt(question, tag)
    fields = {"prompt": prompt, "checks": TAGGED_ANSWER_CHECKS, **fields}
    return Task(TaskId(1), "attribute", tag, question, system, seed=0, **fields)


def parse_text(text: str, question: str = QUESTION, **fields: Any) -> Answer:
    return parse_answer(Completion(text, "stop"), make_task(question, **fields))


def find_problem(completion: Completion, task: Task, max_tokens: int | None = None) -> Problem | None:
    return check_answer(completion, parse_answer(completion, task), task, max_tokens)


def find_code(text: str, question: str = QUESTION, **fields: Any) -> str | None:
    """The code of the problem of a complete answer, once it is parsed; None for a good one."""
    problem = find_problem(Completion(text, "stop"), make_task(question, **fields))
    return problem.code if problem else None

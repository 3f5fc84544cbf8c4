"""Questions and completions for tests of what becomes of an answer."""

from __future__ import annotations

from typing import Any

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.questions.prompts import build_prompt
from persqa_client.types import Completion, Problem, Task, TaskId

QUESTION = "What is <mam> wearing?"
GOOD = "<mam> wears a blue jacket."


def ask(question: str = QUESTION, tag: str = "<mam>", **fields: Any) -> Task:
    system, prompt = build_prompt(question, tag)
    return Task(
        TaskId(1), "attribute", tag, question, system, fields.pop("prompt", prompt), TAGGED_ANSWER_CHECKS, 0, **fields
    )


def read(text: str, question: str = QUESTION, **fields: Any) -> Answer:
    return parse_answer(Completion(text, "stop"), ask(question, **fields))


def problem(text: str, question: str = QUESTION, **fields: Any) -> Problem | None:
    """What is wrong with a text, once it has been read."""
    completion, asked = Completion(text, "stop"), ask(question, **fields)
    return check_answer(completion, parse_answer(completion, asked), asked)


def code(text: str, question: str = QUESTION, **fields: Any) -> str | None:
    found = problem(text, question, **fields)
    return found.code if found else None

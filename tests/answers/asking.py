"""Questions and completions for tests of what becomes of an answer."""

from __future__ import annotations

from typing import Any

from persqa_client.answers.checks import TAGGED_ANSWER
from persqa_client.answers.parse import Answer, judge, read_answer
from persqa_client.questions.prompts import put
from persqa_client.types import Ask, Completion, Problem, Unit

QUESTION = "What is <mam> wearing?"
GOOD = "<mam> wears a blue jacket."


def ask(question: str = QUESTION, tag: str = "<mam>", **fields: Any) -> Ask:
    system, prompt = put(question, tag)
    return Ask(Unit(1), "attribute", tag, question, system, fields.pop("prompt", prompt), TAGGED_ANSWER, 0, **fields)


def read(text: str, question: str = QUESTION, **fields: Any) -> Answer:
    return read_answer(Completion(text, "stop"), ask(question, **fields))


def problem(text: str, question: str = QUESTION, **fields: Any) -> Problem | None:
    """What is wrong with a text, once it has been read."""
    completion, asked = Completion(text, "stop"), ask(question, **fields)
    return judge(completion, read_answer(completion, asked), asked)


def code(text: str, question: str = QUESTION, **fields: Any) -> str | None:
    found = problem(text, question, **fields)
    return found.code if found else None

"""A row's question, whole: drawn or taken from the row, worded, with its strategy, checks and seed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from persqa_client.questions.bank import Bank
from persqa_client.questions.prompts import build_prompt
from persqa_client.questions.sampling import choose, request_seed
from persqa_client.questions.tags import can_repair_bare_name, choose_surrogate
from persqa_client.types import Check, Row, Strategy, Task, TaskId

HELD = ("constrain", "surrogate")
"""Strategies that go with a pattern; a surrogate needs none, and is all the surer where the server obeys one."""


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """What is the same for all rows of a run. ``category`` and ``language`` hold where a row names none."""

    tag: str
    seed: int
    bank: Bank
    checks: tuple[Check, ...]
    category: str = "human"
    language: str = "en"
    questions: int = 1
    strategy: Strategy = "direct"
    names: tuple[str, ...] = ()

    def units(self, row: Row) -> tuple[TaskId, ...]:
        """What is asked about the row: one unit for each question. A row with a question of its own has that alone."""
        if row.only_question is not None or row.question is not None:
            return (TaskId(row.number, row.only_question or 0),)
        return tuple(TaskId(row.number, number) for number in range(self.questions))

    def make(self, row: Row, unit: TaskId) -> Task:
        """The question of a unit. A row's own ``tag``, ``question``, ``category`` and ``language`` go before the run's.

        Raises RowError where the bank has no such question, or no name can stand in for the tag.
        """
        tag, category = row.tag or self.tag, row.category or self.category
        question_id, text = self.find(row, unit.question, category)
        question = text.replace("{tag}", tag)
        surrogate = choose_surrogate(question, tag, self.names) if self.strategy == "surrogate" else None
        asked = question if surrogate is None else question.replace(tag, surrogate)
        system, prompt = build_prompt(asked, surrogate or tag, category)
        return Task(
            task_id=unit,
            kind="attribute",
            tag=tag,
            question=question,
            system=system,
            prompt=prompt,
            checks=self.checks,
            seed=request_seed(row, unit.question, 0, self.seed),
            pattern=tagged_pattern(surrogate or tag) if self.strategy in HELD else None,
            prefill=tag if self.strategy == "prefill" else None,
            surrogate=surrogate,
            strategy=self.strategy,
            names=self.names,
            repair_bare_name=can_repair_bare_name(tag),
            question_id=question_id,
            category=category,
        )

    def find(self, row: Row, number: int, category: str) -> tuple[str | None, str]:
        """The id and the text of a question; a row's own question has no id."""
        if row.question is not None:
            return None, row.question
        language = row.language or self.language
        questions = self.bank.questions(category, language)
        chosen = choose(row, number, seed=self.seed, questions=questions)
        return chosen.id, chosen.text


def tagged_pattern(name: str) -> str:
    """Matches an answer that begins with the tag, or the name in its place, and goes on.

    Understood by all of vLLM's back-ends, which know no look-around: where a name ends, something is named that may
    follow it, or it would become part of a longer word.
    """
    if name.isascii() and name.isalpha():
        return rf"{name}[ ,'’][\s\S]+"
    return re.escape(name).replace(r"\-", "-") + r"[\s\S]+"

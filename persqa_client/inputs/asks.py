"""A row's question, whole: drawn or taken from the row, worded, with its pattern, checks and seed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from persqa_client.inputs.prompts import put
from persqa_client.inputs.questions import Question, choose, request_seed
from persqa_client.types import Ask, Check, Row, Unit


@dataclass(frozen=True, slots=True)
class AskMaker:
    """What is the same for all rows of a run."""

    tag: str
    seed: int
    bank: Sequence[Question]
    checks: tuple[Check, ...]

    def make(self, row: Row, unit: Unit) -> Ask:
        """The question of a unit. A row's own ``tag`` and ``question`` go before the run's."""
        tag = row.tag or self.tag
        text = row.question or choose(row, unit.question, seed=self.seed, questions=self.bank).text
        question = text.replace("{tag}", tag)
        system, prompt = put(question, tag)
        return Ask(
            unit=unit,
            kind="attribute",
            tag=tag,
            question=question,
            system=system,
            prompt=prompt,
            checks=self.checks,
            seed=request_seed(row, unit.question, 0, self.seed),
            pattern=tagged_pattern(tag),
        )


def tagged_pattern(tag: str) -> str:
    """Matches an answer that begins with the tag and goes on. Understood by all of vLLM's back-ends."""
    return re.escape(tag).replace(r"\-", "-") + r"[\s\S]+"

"""The table ``kinds.jsonl``, kinds of bad answers and honest ones that resemble them, and the blind tables."""

from __future__ import annotations

import pytest

from tests.answers.score import TABLES, judge, read_table

# Invented words in sound grammar: no dictionary tells them from rare ones.
OUT_OF_REACH = ("<mam> está segarando um guardo-chuvol",)


@pytest.mark.parametrize(
    "name",
    [
        "hard",
        "kinds",
        *(f"blind_{number}" for number in range(1, 7)),
        "adversary",
        *map("adversary_{}".format, range(2, 6)),
    ],
)
def test_no_answer_is_judged_wrong(name: str) -> None:
    wrong = [
        (case.raw, *judge(case))
        for case in read_table(TABLES / f"{name}.jsonl")
        if judge(case)[0] and not case.raw.startswith(OUT_OF_REACH)
    ]
    assert wrong == []

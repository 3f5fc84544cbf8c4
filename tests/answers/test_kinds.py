"""The table ``kinds.jsonl``, kinds of bad answers and honest ones that resemble them, and the blind tables."""

from __future__ import annotations

import pytest

from tests.answers.score import TABLES, judge, read_table


@pytest.mark.parametrize(
    "name",
    ["hard", "kinds", "blind_1", "blind_2", "blind_3", "blind_4", "blind_5", "adversary", "adversary_2", "adversary_3"],
)
def test_no_answer_is_judged_wrong(name: str) -> None:
    wrong = [(case.raw, *judge(case)) for case in read_table(TABLES / f"{name}.jsonl") if judge(case)[0]]
    assert wrong == []

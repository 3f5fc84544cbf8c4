"""The table ``sentences.jsonl``: answers that are no sentences about the tag, and honest ones that resemble them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.answers.helpers import find_code
from tests.answers.score import TABLES

CASES = [json.loads(line) for line in (TABLES / "sentences.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", [case for case in CASES if case["lang"] in ("en", "zh")], ids=lambda case: case["raw"])
def test_each_answer_has_its_code(case: dict[str, Any]) -> None:
    assert find_code(case["raw"], case["question"]) == case.get("code")

"""The README of the answers names every code and every step."""

from __future__ import annotations

import inspect
import re
from itertools import chain
from pathlib import Path

import persqa_client.answers
from persqa_client.answers import doubts
from persqa_client.answers.clean import STEPS
from persqa_client.answers.tag_repair import compile_tag_forms
from persqa_client.questions.prompts import ENGLISH
from persqa_client.run.verification import DOUBTS

README = Path(persqa_client.answers.__file__).with_name("README.md").read_text(encoding="utf-8")


def section_names(heading: str) -> set[str]:
    """What stands in backquotes in the first column of a section's table."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\|([^|]*)\|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_code_is_documented() -> None:
    assert section_names("Codes") == {
        *(key.partition("/")[0] for key in ENGLISH.reasons),
        *("truncated", "not_verified"),
    }


def test_every_doubt_is_documented() -> None:
    found = re.findall(r'doubts\.append\("(\w+)"\)', inspect.getsource(doubts))
    assert section_names("Doubts") - {"tag_bare"} == {*found, *chain.from_iterable(DOUBTS.values())}


def test_every_step_is_documented() -> None:
    repairs = {step for step, *_ in compile_tag_forms("<mam>").steps} | {"tag_bare"}
    others = {"constraint", "prefill", "re-ask", "surrogate"}
    assert section_names("Steps") == {step for step, _ in STEPS} | repairs | others

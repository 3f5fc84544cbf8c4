"""The README is held true: its map of files, its flags, its rows."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from persqa_client.cli.run import run
from persqa_client.inputs.rows import parse_line
from persqa_client.questions.bank import parse_bank
from persqa_client.questions.categories import NEEDS
from persqa_client.types import Row

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in inspect.signature(run).parameters if name != "input"])
def test_every_flag_of_a_run_is_told(name: str) -> None:
    flag = {"output": "-o"}.get(name, f"--{name.replace('_', '-')}")
    assert re.search(rf"`[^`\n]*{flag}\b|{flag} ", README), f"{flag} is not in the README"


def test_the_rows_of_the_input_section_are_rows() -> None:
    section = README.split("## Input")[1].split("```json")[1].split("```")[0]
    lines = section.strip().splitlines()
    assert len(lines) == 7
    for number, line in enumerate(lines, 1):
        assert isinstance(parse_line(number, line.encode(), image_key="image", output_key="pers_qa"), Row)


def test_the_item_of_a_bank_is_one_and_all_needs_are_told() -> None:
    section = README.split("## Input")[1].split("## Output")[0]
    assert len(parse_bank(section.split("```json")[2].split("```")[0].encode(), "README.md")) == 1
    assert set(re.findall(r"`([a-z_]+)`", section)) >= NEEDS.keys() - {"hair"}

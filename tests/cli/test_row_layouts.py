"""``persqa run`` over a trainer's file: what is asked and written, and how the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client import SettingsError, generate
from persqa_client.simulator.server import Simulator
from tests.formats.examples import draw_picture
from tests.support.commands import persqa

MODEL = "persqa-simulator"


def ask_about(question: str, marks: int = 1, image: str = "a.png") -> dict[str, Any]:
    turns = [
        {"role": "user", "content": "<image>\n" * marks + question},
        {"role": "assistant", "content": "Something."},
    ]
    return {"messages": turns, "images": [image]}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    given = [
        ask_about("What does <bo> hold?"),
        ask_about("Who is it?", marks=2),
        ask_about("Where is <bo>?", image="b.png"),
    ]
    path = tmp_path / "data" / "train.jsonl"
    draw_picture(path.parent / "a.png", 1)
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_asks_the_questions_of_the_rows_and_goes_on(rows: Path, simulator: Simulator, tmp_path: Path) -> None:
    output = tmp_path / "out" / "qa.jsonl"
    settings: dict[str, Any] = {"base_url": simulator.base_url, "model": MODEL, "probes": False}
    assert generate(rows, output, limit=1, **settings).tally.tasks == 1
    generate(rows, output, **settings)
    assert [row["error"]["code"] for row in read_lines(tmp_path / "out" / "qa.failed.jsonl")] == [
        *("bad_line", "image_missing"),
    ]
    draw_picture(rows.parent / "b.png", 2)
    generate(rows, output, retry_failed=True, **settings)
    first, last = read_lines(output)
    assert list(first) == ["image", "question", "tag", "old_answer", "pers_qa"]
    assert (first["image"], first["old_answer"]) == (["../data/a.png"], "Something.")
    assert [row["pers_qa"].split(", Answer: <bo>")[0] for row in (first, last)] == [
        "Question: What does <bo> hold?",
        "Question: Where is <bo>?",
    ]
    [failed] = read_lines(tmp_path / "out" / "qa.failed.jsonl")
    assert failed["error"]["code"] == "bad_line"
    assert failed["error"]["message"] == "Line 2: the turns have 2 <image> marks, and the row 1 picture."
    assert json.loads(failed["line"]) == ask_about("Who is it?", marks=2)
    rechecked = persqa("recheck", str(output), cwd=tmp_path)
    assert rechecked.stderr.endswith("qa.jsonl is unchanged.\n")
    rows.write_text(rows.read_text().replace('"<image>\\n<image>\\nWho', '"<image>\\nWho'))
    with pytest.raises(SettingsError, match="has changed"):
        generate(rows, output, retry_failed=True, **settings)


def test_the_bank_is_asked_if_the_user_says_so(rows: Path, simulator: Simulator, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWho is it?"}, {"from": "gpt", "value": "Bo."}]
    path = rows.with_name("llava.json")
    path.write_text(json.dumps([{"image": "a.png", "conversations": turns}]))
    settings: dict[str, Any] = {"base_url": simulator.base_url, "model": MODEL, "probes": False}
    [own] = generate(path, **settings).records or [{}]
    assert (own["question"], own["conversations"]) == ("Who is it?", turns)
    [drawn] = generate(path, row_layout="fields", **settings).records or [{}]
    assert "question" not in drawn
    assert "<mam>" in drawn["pers_qa"].split(", Answer: ")[0]

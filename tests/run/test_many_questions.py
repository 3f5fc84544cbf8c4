"""Several questions for each row, through whole runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator

NAMES = ("red", "green", "blue", "white")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        Image.new("RGB", (40, 30), name).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
    (folder / name).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return folder / name


def run_to_end(input: Path, output: Path, server: Simulator, **flags: Any) -> Summary:
    flags = {"probes": False, "questions": 3, "details": True, **flags}
    return generate(input, output, base_url=server.base_url, model="persqa-simulator", **flags)


def objects(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def question_ids(path: Path) -> dict[str, list[str]]:
    """The ids of the questions of each picture, in the order of the lines."""
    found: dict[str, list[str]] = {}
    for row in objects(path):
        found.setdefault(row["image"], []).append(row["pers_qa_meta"]["question_id"])
    return found


def test_each_question_has_a_line_after_those_of_its_row(folder: Path, simulator: Simulator) -> None:
    input = write(folder, *({"image": f"{name}.png"} for name in NAMES))
    summary = run_to_end(input, folder / "qa.jsonl", simulator)
    assert (summary.tally.rows, summary.tally.tasks, summary.tally.succeeded) == (4, 12, 12)
    assert [row["image"] for row in objects(folder / "qa.jsonl")] == [f"{name}.png" for name in NAMES for _ in range(3)]
    assert all(len(set(questions)) == 3 for questions in question_ids(folder / "qa.jsonl").values())


def test_columns_order_and_a_limit_change_no_question(folder: Path, simulator: Simulator) -> None:
    run_to_end(write(folder, *({"image": f"{name}.png"} for name in NAMES)), folder / "qa.jsonl", simulator)
    more = [{"n": number, "image": f"{name}.png"} for number, name in enumerate(reversed(NAMES))]
    other = write(folder, {"image": "red.png", "question": "What is <mam>?"}, *more, name="other.jsonl")
    assert run_to_end(other, folder / "other.out", simulator, limit=3).tally.rows == 3
    run_to_end(other, folder / "other.out", simulator)
    found = question_ids(folder / "other.out")
    assert found["red.png"].pop(0) is None
    assert found == question_ids(folder / "qa.jsonl")


def test_fewer_questions_are_the_first_ones_of_more(folder: Path, simulator: Simulator) -> None:
    input = write(folder, *({"image": f"{name}.png"} for name in NAMES))
    run_to_end(input, folder / "three.jsonl", simulator)
    run_to_end(input, folder / "one.jsonl", simulator, questions=1)
    three = question_ids(folder / "three.jsonl")
    assert question_ids(folder / "one.jsonl") == {image: questions[:1] for image, questions in three.items()}


def test_only_failed_questions_are_repeated(folder: Path, simulator: Simulator) -> None:
    input = write(folder, {"image": "red.png"}, {"image": "late.png"}, {"image": "blue.png"})
    summary = run_to_end(input, folder / "qa.jsonl", simulator)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (6, {"image_missing": 3})
    failed = objects(folder / "qa.failed.jsonl")
    assert [row["error"]["question"] for row in failed] == [0, 1, 2]

    Image.new("RGB", (40, 30), "black").save(folder / "late.png")
    only = write(folder, failed[2], failed[0], name="only.jsonl")
    assert run_to_end(only, folder / "only.out", simulator).tally.tasks == 2
    summary = run_to_end(input, folder / "qa.jsonl", simulator, retry_failed=True)
    assert (summary.tally.rows, summary.tally.tasks, summary.tally.succeeded) == (3, 9, 9)
    found = question_ids(folder / "qa.jsonl")
    assert list(found) == ["red.png", "late.png", "blue.png"]
    assert question_ids(folder / "only.out")["late.png"] == [found["late.png"][2], found["late.png"][0]]


def test_an_invalid_line_fails_once(folder: Path, simulator: Simulator) -> None:
    input = write(folder, {"image": "red.png", "category": "indoor"})
    assert dict(run_to_end(input, folder / "qa.jsonl", simulator).tally.failed) == {"bad_category": 1}
    [row] = objects(folder / "qa.failed.jsonl")
    assert "question" not in row["error"]


def test_another_bank_is_another_setting(folder: Path, simulator: Simulator) -> None:
    input, bank = write(folder, {"image": "red.png"}), folder / "mine.txt"
    bank.write_text("Where is {tag}?\nWho is near {tag}?\n")
    run_to_end(input, folder / "qa.jsonl", simulator, bank=str(bank), questions=2)
    moved = bank.rename(folder / "moved.txt")
    assert run_to_end(input, folder / "qa.jsonl", simulator, bank=str(moved), questions=2).state == "already"
    moved.write_text("Where is {tag}?\nWhat does {tag} do?\n")
    with pytest.raises(SettingsError, match="setting bank"):
        run_to_end(input, folder / "qa.jsonl", simulator, bank=str(moved), questions=2)


def test_the_summary_reports_what_the_run_found(folder: Path, simulator: Simulator) -> None:
    input = write(folder, *({"image": f"{name}.png"} for name in NAMES))
    summary = run_to_end(input, folder / "qa.jsonl", simulator, probes=True)
    concurrency, pictures = summary.findings
    assert '(concurrency="auto")' in concurrency
    assert re.findall(r"\d+", pictures) == ["4", "8"]  # Sent with their bytes, and by their uuids.
    found = orjson.loads((folder / "qa.run.json").read_bytes())["found"]
    assert found == [concurrency.replace('concurrency="auto"', "--concurrency auto"), pictures]
    assert run_to_end(input, folder / "fixed.jsonl", simulator, concurrency=4).findings == ()

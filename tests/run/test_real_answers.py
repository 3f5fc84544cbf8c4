"""All at once, through the command: odd pictures, odd answers, odd lines and an endpoint that fails in every way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from persqa_client.simulator.faults import Choice
from persqa_client.simulator.server import SimSettings, run_simulator
from tests.answers.answer_table import CASES
from tests.images.invalid_files import INVALID_FILES, INVALID_PATHS
from tests.images.valid_files import MAX_PIXELS, VALID_FILES
from tests.support.commands import persqa

QUESTIONS = 3
NAMES = sorted({name for case in CASES for name in case.names})
FAULTS = {
    "429": 0.03,
    "503": 0.05,
    "500": 0.03,
    "502_html": 0.02,
    "reset": 0.02,
    "cut_body": 0.02,
    "invalid_json": 0.02,
    "no_choices": 0.02,
    "null_content": 0.02,
    "error_in_200": 0.02,
}
"""What passes when it is tried again; what an endpoint says of a row is in the table of answers."""
ODD_LINES = {
    "not json": "bad_line",
    '{"picture": "0.dat"}': "no_image",
    '{"image": "0.dat", "category": "indoor"}': "bad_category",
    '{"image": "0.dat", "language": "fr"}': "bad_language",
    '{"image": "0.dat", "tag": "a b"}': "bad_tag",
}


@dataclass(frozen=True)
class Played:
    """What came of the run, by the names of its rows: for each its answers, or its codes."""

    code: int
    said: str
    wanted: dict[str, list[str]]
    findings: dict[str, list[str]]
    order: list[int]
    counts: dict[str, Any]


def expected(code: str | None, answer: str | None) -> str:
    return f"failed: {code}" if code else f"good: {answer}"


def lay_out(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The lines of the input, and what each is to come to."""
    lines, wanted = [], {}
    for number, picture in enumerate(VALID_FILES.values()):
        (folder / f"{number}.dat").write_bytes(picture.data)
    pictures = cycle(f"{number}.dat" for number in range(len(VALID_FILES)))
    for case in CASES:
        row = {"image": next(pictures), "name": f"answer {case.id}", "question": case.question, "tag": case.tag}
        lines.append(json.dumps(row, ensure_ascii=False))
        wanted[f"answer {case.id}"] = [expected(case.code, case.answer)]
    for number, name in enumerate(VALID_FILES):
        language = ("en", "zh")[number % 2]
        # Of another tag, so that no question that is drawn is one that an answer is given for.
        row = {"image": f"{number}.dat", "name": name, "category": "object", "language": language, "tag": "zib"}
        lines.append(json.dumps(row))
        wanted[name] = ["good"] * QUESTIONS
    for number, (name, (data, code)) in enumerate(INVALID_FILES.items()):
        (folder / f"bad {number}.jpg").write_bytes(data)
        lines.append(json.dumps({"image": f"bad {number}.jpg", "name": name}))
        wanted[name] = [f"failed: {code}"] * QUESTIONS
    for name, (make, code) in INVALID_PATHS.items():
        lines.append(json.dumps({"image": make(folder), "name": name}))
        wanted[name] = [f"failed: {code}"] * QUESTIONS
    for line, code in ODD_LINES.items():
        lines.append(line)
        wanted[line] = [f"failed: {code}"]
    return lines, wanted


def results(folder: Path) -> tuple[dict[str, list[str]], list[int]]:
    """What the output and the failure file say of each row, and the rows of the failure file in their order."""
    found: dict[str, list[str]] = {}
    for line in (folder / "qa.jsonl").read_text().splitlines():
        row = json.loads(line)
        told = f"good: {row['pers_qa_meta']['answer']}" if row["name"] not in VALID_FILES else "good"
        found.setdefault(row["name"], []).append(told)
    order = []
    for line in (folder / "qa.failed.jsonl").read_text().splitlines():
        row = json.loads(line)
        name = row.get("name") or row.get("line") or json.dumps({k: v for k, v in row.items() if k != "error"})
        found.setdefault(name, []).append(f"failed: {row['error']['code']}")
        order.append(row["error"]["row"])
    return found, order


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("wild")
    lines, wanted = lay_out(folder)
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    answers = {case.question: Choice(case.raw, case.finish_reason) for case in CASES}
    with run_simulator(SimSettings(latency=0.0, retry_after=0.05, answers=answers, faults=FAULTS)) as server:
        told = persqa(
            *("run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", "persqa-simulator"),
            *("--strategy", "direct", "--names", "names.txt", "--questions", str(QUESTIONS), "--details"),
            *("--max-attempts", "12", "--max-pixels", str(MAX_PIXELS), "--concurrency", "16"),
            cwd=folder,
            timeout=150,
        )
        assert server.stats()["by_fault"].keys() == FAULTS.keys()
    found, order = results(folder)
    counts = json.loads((folder / "qa.run.json").read_bytes())["counts"]
    return Played(told.returncode, told.stdout + told.stderr, wanted, found, order, counts)


def test_every_row_is_in_its_one_right_place(played: Played) -> None:
    assert played.code == 1, played.said
    wrong = {name: (came, played.wanted.get(name)) for name, came in played.findings.items()}
    assert {name: pair for name, pair in wrong.items() if pair[0] != pair[1]} == {}
    assert played.findings.keys() == played.wanted.keys()


def test_failures_stand_in_the_order_of_the_input(played: Played) -> None:
    assert played.order == sorted(played.order)


def test_the_counts_are_those_of_the_files(played: Played) -> None:
    codes = Counter(word.removeprefix("failed: ") for words in played.findings.values() for word in words)
    failed = {code: count for code, count in codes.items() if not code.startswith("good")}
    assert played.counts["failed"] == failed
    assert played.counts["good"] == sum(count for code, count in codes.items() if code.startswith("good"))
    assert played.counts["rows"] == len(played.wanted)
    refused = Counter(case.code for case in CASES if case.code)
    assert refused <= Counter(played.counts["re_asked"])
    assert all(f"{code}" in played.said for code in failed)

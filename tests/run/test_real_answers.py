"""One whole run with unusual pictures, answers and lines, at an endpoint with every kind of fault."""

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

pytestmark = pytest.mark.slow

QUESTIONS = 3
NAMES = sorted({name for case in CASES for name in case.names})
# Faults that pass when the request is repeated.
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
ODD_LINES = {
    "not json": "bad_line",
    '{"picture": "0.dat"}': "no_image",
    '{"image": "0.dat", "category": "indoor"}': "bad_category",
    '{"image": "0.dat", "language": "fr"}': "bad_language",
    '{"image": "0.dat", "tag": "a b"}': "bad_tag",
}


@dataclass(frozen=True)
class FinishedRun:
    """Results are by the name of the row: "good: answer" or "failed: code" for each of its questions."""

    exit_code: int
    printed: str
    expected: dict[str, list[str]]
    results: dict[str, list[str]]
    failed_rows: list[int]  # In the order of the failure file.
    counts: dict[str, Any]


def expected_result(code: str | None, answer: str | None) -> str:
    return f"failed: {code}" if code else f"good: {answer}"


def make_input(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The lines of the input, and the expected results."""
    lines, expected = [], {}
    for number, picture in enumerate(VALID_FILES.values()):
        (folder / f"{number}.dat").write_bytes(picture.data)
    pictures = cycle(f"{number}.dat" for number in range(len(VALID_FILES)))
    for case in CASES:
        row = {"image": next(pictures), "name": f"answer {case.id}", "question": case.question, "tag": case.tag}
        lines.append(json.dumps(row, ensure_ascii=False))
        expected[f"answer {case.id}"] = [expected_result(case.code, case.answer)]
    for number, name in enumerate(VALID_FILES):
        language = ("en", "zh")[number % 2]
        # Another tag, so that no question equals one of the table of answers.
        row = {"image": f"{number}.dat", "name": name, "category": "object", "language": language, "tag": "zib"}
        lines.append(json.dumps(row))
        expected[name] = ["good"] * QUESTIONS
    for number, (name, (data, code)) in enumerate(INVALID_FILES.items()):
        (folder / f"bad {number}.jpg").write_bytes(data)
        lines.append(json.dumps({"image": f"bad {number}.jpg", "name": name}))
        expected[name] = [f"failed: {code}"] * QUESTIONS
    for name, (make, code) in INVALID_PATHS.items():
        lines.append(json.dumps({"image": make(folder), "name": name}))
        expected[name] = [f"failed: {code}"] * QUESTIONS
    for line, code in ODD_LINES.items():
        lines.append(line)
        expected[line] = [f"failed: {code}"]
    return lines, expected


def read_results(folder: Path) -> tuple[dict[str, list[str]], list[int]]:
    """The results in the output and the failure file, and the rows of the failure file in order."""
    results: dict[str, list[str]] = {}
    for line in (folder / "qa.jsonl").read_text().splitlines():
        row = json.loads(line)
        result = f"good: {row['pers_qa_meta']['answer']}" if row["name"] not in VALID_FILES else "good"
        results.setdefault(row["name"], []).append(result)
    order = []
    for line in (folder / "qa.failed.jsonl").read_text().splitlines():
        row = json.loads(line)
        name = row.get("name") or row.get("line") or json.dumps({k: v for k, v in row.items() if k != "error"})
        results.setdefault(name, []).append(f"failed: {row['error']['code']}")
        order.append(row["error"]["row"])
    return results, order


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("real-answers")
    lines, expected = make_input(folder)
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    answers = {case.question: Choice(case.raw, case.finish_reason) for case in CASES}
    with run_simulator(SimSettings(latency=0.0, retry_after=0.05, answers=answers, faults=FAULTS)) as server:
        done = persqa(
            *("run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", "persqa-simulator"),
            *("--strategy", "direct", "--names", "names.txt", "--questions", str(QUESTIONS), "--details"),
            *("--max-attempts", "12", "--max-pixels", str(MAX_PIXELS), "--concurrency", "16"),
            cwd=folder,
            timeout=150,
        )
        assert server.stats()["by_fault"].keys() == FAULTS.keys()
    results, failed_rows = read_results(folder)
    counts = json.loads((folder / "qa.run.json").read_bytes())["counts"]
    return FinishedRun(done.returncode, done.stdout + done.stderr, expected, results, failed_rows, counts)


def test_each_row_has_its_expected_result(finished: FinishedRun) -> None:
    assert finished.exit_code == 1, finished.printed
    pairs = {name: (results, finished.expected.get(name)) for name, results in finished.results.items()}
    assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {}
    assert finished.results.keys() == finished.expected.keys()


def test_failures_are_in_the_order_of_the_input(finished: FinishedRun) -> None:
    assert finished.failed_rows == sorted(finished.failed_rows)


def test_the_counts_match_the_files(finished: FinishedRun) -> None:
    results = Counter(result.removeprefix("failed: ") for row in finished.results.values() for result in row)
    failed = {code: count for code, count in results.items() if not code.startswith("good")}
    assert finished.counts["failed"] == failed
    assert finished.counts["good"] == sum(count for code, count in results.items() if code.startswith("good"))
    assert finished.counts["rows"] == len(finished.expected)
    rejected = Counter(case.code for case in CASES if case.code)
    assert rejected <= Counter(finished.counts["re_asked"])
    assert all(code in finished.printed for code in failed)

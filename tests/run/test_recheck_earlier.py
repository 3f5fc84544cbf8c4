"""Runs of versions without details are rechecked as far as they kept texts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from persqa_client.errors import SettingsError
from persqa_client.run.recheck import recheck_run
from persqa_client.types import ProblemCode
from tests.goldens.killed import RUNS
from tests.run.recheck_runs import GOOD, QUESTION, Judged, finish_run, mix
from tests.run.test_recheck import edit_details, read_lines, verdicts
from tests.storage.scenario import read_folder


@pytest.mark.parametrize("case", ["failed", "failed-three-questions", "grown"])
def test_a_run_of_an_earlier_version_is_rechecked_as_far_as_it_kept_texts(case: str, tmp_path: Path) -> None:
    """Each question is found again. One answer repeats its question, which the checks of that version accepted."""
    shutil.copytree(RUNS / case / "before", tmp_path, dirs_exist_ok=True)
    before = read_folder(tmp_path)
    report = recheck_run(tmp_path / "out.jsonl")
    counts = json.loads(before["out.run.json"])["counts"]
    assert report.questions == counts["units"]
    assert report.lacks["raw"] == (0 if case == "grown" else counts["good"])
    assert report.lacks["earlier"] > 0
    assert report.changes == Counter({("rejected", "echo"): 1} if case == "grown" else {})
    if case != "grown":
        assert read_folder(tmp_path) == before


def change_text(path: Path, old: str, new: str) -> None:
    """Changes a line of a finished run of an earlier version, and the length in its run file."""
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new))
    run_file = path.with_name("out.run.json")
    run = json.loads(run_file.read_text())
    run["lengths"]["failed" if "failed" in path.name else "output"] = path.stat().st_size
    run_file.write_text(json.dumps(run))


@pytest.mark.parametrize("case", ["failed", "failed-three-questions", "grown"])
def test_answers_of_an_earlier_version_move_too(case: str, tmp_path: Path) -> None:
    """An accepted text that says nothing; a rejected one that is good after all."""
    shutil.copytree(RUNS / case / "before", tmp_path, dirs_exist_ok=True)
    failed = read_lines(tmp_path / "out.failed.jsonl")
    rejected = next(row for row in failed if row["error"]["code"] in ("unknown_tag", "refusal", "loop"))
    good = "<mam>站在门口。" if case == "grown" else "<mam> stands at the door."
    change_text(tmp_path / "out.failed.jsonl", rejected["error"]["raw"], good)
    rows = (tmp_path / "out.jsonl").read_text().splitlines()
    row = json.loads(rows[0])
    answer = row["pers_qa"].partition(", Answer: ")[2]
    change_text(tmp_path / "out.jsonl", answer, "<mam>")
    if case == "grown":
        change_text(tmp_path / "out.jsonl", json.dumps(row["pers_qa_meta"]["raw"], ensure_ascii=False), '"<mam>"')
    report = recheck_run(tmp_path / "out.jsonl")
    assert report.changes["rejected", "only_tag"] >= 1
    assert report.changes["accepted", rejected["error"]["code"]] >= 1
    after = read_lines(tmp_path / "out.jsonl")
    places = [(row["id"], row["pers_qa"]) for row in after]
    assert any(one == rejected["id"] and text.endswith(good) for one, text in places)
    moved = read_lines(tmp_path / "out.failed.jsonl")[0]
    assert (moved["id"], moved["error"]["code"], moved["error"]["raw"]) == (row["id"], "only_tag", "<mam>")
    details = read_lines(tmp_path / "out.details.jsonl")
    assert len(details) == report.changes.total()
    before = read_folder(tmp_path)
    assert not recheck_run(tmp_path / "out.jsonl").changes
    if case != "grown":
        assert read_folder(tmp_path) == before


def test_the_input_of_an_earlier_version_is_needed(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "failed" / "before", tmp_path, dirs_exist_ok=True)
    rows = tmp_path / "rows.jsonl"
    text = rows.read_text()
    rows.unlink()
    with pytest.raises(SettingsError, match=r"does not have all questions.*rows\.jsonl can't be read"):
        recheck_run(tmp_path / "out.jsonl")
    rows.write_text("\n" + text)
    with pytest.raises(SettingsError, match=r"rows\.jsonl has changed"):
        recheck_run(tmp_path / "out.jsonl")


def test_details_that_were_removed_leave_the_written_texts(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    (tmp_path / "qa.details.jsonl").unlink()
    report = recheck_run(output)
    assert report.lacks["raw"] > 0
    assert report.changes["rejected", "only_tag"] == 1
    assert not recheck_run(output).changes


def test_the_details_in_the_output_are_enough_for_accepted_answers(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix(), details=True)
    (tmp_path / "qa.details.jsonl").unlink()
    report = recheck_run(output)
    assert report.lacks["raw"] == 0
    assert report.changes["rejected", "only_tag"] == 1


@pytest.mark.parametrize("question", [f"<image>\n{QUESTION}", "What <|pipe|> does <mam> do?", "What does <bob> do?"])
def test_questions_that_were_asked_are_not_checked_again(question: str, tmp_path: Path) -> None:
    """Today no row may bring them; a bank always may."""
    output = finish_run(tmp_path / "row", [Judged((("<mam>", None),))], row={"question": question})
    (tmp_path / "row" / "qa.details.jsonl").unlink()
    assert recheck_run(output).changes == Counter({("rejected", "only_tag"): 1})
    output = finish_run(tmp_path / "bank", [Judged((("<mam>", None),))])
    old, new = json.dumps(QUESTION).encode(), json.dumps(question).encode()
    edit_details(tmp_path / "bank", lambda lines: [line.replace(old, new) for line in lines])
    assert recheck_run(output).changes == Counter({("rejected", "only_tag"): 1})


def test_all_codes_of_rejected_answers_are_known(tmp_path: Path) -> None:
    """Those that only the model or the end of the answer can tell stay; each of the others is judged again."""
    codes = get_args(ProblemCode)
    output = finish_run(tmp_path, [Judged(((GOOD, code),), code) for code in codes])
    (tmp_path / "qa.details.jsonl").unlink()
    recheck_run(output)
    stays = {"content_filter", "not_verified", "truncated", "unfinished"}
    assert [*verdicts(tmp_path).values()].count(GOOD) == len(codes) - len(stays)
    assert {code for code in verdicts(tmp_path).values() if code != GOOD} == stays

"""The rows of a report: those of finished, unfinished, retried and incomplete runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Failure, Outcome, RawAnswer, Record
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import read_run
from persqa_client.storage.journal import Journal, JournalEntry
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.report.runs import (
    QUESTION,
    WrittenRun,
    add_details,
    make_failure,
    make_input_failure,
    make_record,
    with_raws,
)


def describe(rows: list[ReportRow]) -> list[tuple[int | None, str]]:
    return [
        (row.task_id.row if row.task_id else None, row.outcome.code if isinstance(row.outcome, Failure) else "")
        for row in rows
    ]


def test_accepted_and_failed_rows_are_in_the_order_of_the_input(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [
        make_failure(1),
        make_record(2),
        make_input_failure(3),
        make_failure(5),
        make_record(6),
        make_failure(9),
    ]
    run = read_run(WrittenRun(tmp_path).finish(outcomes))
    assert describe(run.rows) == [
        (1, "refusal"),
        (2, ""),
        (3, "image_missing"),
        (5, "refusal"),
        (6, ""),
        (9, "refusal"),
    ]
    assert [row.outcome for row in run.rows] == outcomes
    assert [row.images for row in run.rows[:2]] == [("1.png",), ("2.png",)]
    assert (run.state, run.without_details, run.numbers_questions) == ("finished", 0, False)


def test_a_row_has_all_its_questions(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [
        make_record(1, question=0),
        make_failure(1, question=1),
        make_record(1, question=2),
        make_record(2),
    ]
    run = read_run(WrittenRun(tmp_path).finish(outcomes))
    assert [row.task_id for row in run.rows] == [TaskId(1, 0), TaskId(1, 1), TaskId(1, 2), TaskId(2, 0)]
    assert run.numbers_questions


def test_a_killed_run_is_shown_as_far_as_its_files_go(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [make_record(1), make_failure(2), make_record(3)]
    output = WrittenRun(tmp_path).leave_unfinished(outcomes, torn=b'{"row":4,"question_nu')
    run = read_run(output)
    assert describe(run.rows) == [(1, ""), (2, "refusal"), (3, "")]
    assert run.state == "unfinished"


def test_outcomes_that_wait_in_the_journal_are_shown_without_pictures(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).leave_unfinished([make_record(1), make_failure(2)])
    journal = Journal(RunFiles.for_output(output), 1)
    journal.append(*(JournalEntry("", outcome) for outcome in (make_record(5), make_failure(4), make_record(1))))
    journal.close()
    rows = read_run(output).rows
    assert describe(rows) == [(1, ""), (2, "refusal"), (4, "refusal"), (5, "")]
    assert [(row.is_waiting, row.images) for row in rows[1:3]] == [(False, ("2.png",)), (True, ())]


def test_details_that_are_ahead_of_the_output_do_not_shift_the_rows(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).leave_unfinished(
        [make_record(1, "<mam> holds a cup."), make_record(2, "<mam> sits.")]
    )
    partial = RunFiles.for_output(output).partial
    partial.write_bytes(partial.read_bytes().splitlines(keepends=True)[0])
    run = read_run(output)
    assert describe(run.rows) == [(1, "")]
    assert run.without_details == 0


def test_all_raw_answers_are_there_also_those_before_a_retry(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    details = RunFiles.for_output(output).details
    details.write_bytes(b"")
    add_details(output, make_record(1), make_failure(2))
    add_details(output, with_raws(make_record(2), RawAnswer("<mam> holds a cup.", None)))
    second = read_run(output).rows[1]
    assert [raw.problem for raw in second.outcome.raws] == ["refusal", "refusal", None]
    assert isinstance(second.outcome, Record)


def test_without_details_the_files_say_less(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path, details=False).finish([make_record(1), make_failure(2), make_record(3)])
    run = read_run(output)
    assert describe(run.rows) == [(None, ""), (None, ""), (2, "refusal")]
    first = run.rows[0].outcome
    assert isinstance(first, Record)
    assert (first.question, first.answer, first.raws) == (QUESTION, "<mam> holds a cup.", ())
    assert run.without_details == 3


def test_the_details_in_the_output_are_used_without_a_details_file(tmp_path: Path) -> None:
    record = make_record(1, doubts=("hedged",), asks=2)
    run = read_run(WrittenRun(tmp_path, details=False, meta=True).finish([record]))
    outcome = run.rows[0].outcome
    assert isinstance(outcome, Record)
    assert (outcome.doubts, outcome.asks, outcome.usage) == (("hedged",), 2, record.usage)


def test_rows_before_the_first_details_are_kept(tmp_path: Path) -> None:
    answers = [f"<mam> holds {number} cups." for number in range(4)]
    output = WrittenRun(tmp_path).finish([make_record(number, answer) for number, answer in enumerate(answers, 1)])
    details = RunFiles.for_output(output).details
    details.write_bytes(b"".join(details.read_bytes().splitlines(keepends=True)[2:]))
    run = read_run(output)
    assert describe(run.rows) == [(None, ""), (None, ""), (3, ""), (4, "")]


@pytest.mark.parametrize("style", ["qa", "answer"])
def test_an_answer_that_was_edited_is_shown_as_it_is_in_the_output(tmp_path: Path, style: str) -> None:
    output = WrittenRun(tmp_path, style=style).finish([make_record(1), make_record(2)])
    lines = output.read_text().splitlines(keepends=True)
    output.write_text(lines[0] + lines[1].replace("a cup", "two cups"))
    rows = read_run(output).rows
    assert [row.edited for row in rows] == [False, True]
    assert isinstance(rows[1].outcome, Record)
    assert rows[1].outcome.answer == "<mam> holds two cups."
    assert rows[1].outcome.raws[0].text == "<mam> holds a cup."


def test_a_bad_line_is_shown_as_text(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    error = {"code": "bad_line", "message": "Line 2: not JSON.", "attempts": 0, "raw": None, "row": 2}
    RunFiles.for_output(output).failed.write_text(json.dumps({"line": "{not json", "error": error}) + "\n")
    row = read_run(output).rows[1]
    assert (row.text, row.images) == ("{not json", ())


def test_an_output_whose_run_file_is_lost_is_shown(tmp_path: Path) -> None:
    output = tmp_path / "qa.jsonl"
    output.write_text(
        '{"image": "a.png", "pers_qa": "Question: What?, Answer: <mam> sits."}\n{"image": "b.png", "pers_qa": "?"}\n'
    )
    run = read_run(output)
    assert run.state == "unknown"
    assert [row.outcome.answer for row in run.rows if isinstance(row.outcome, Record)] == ["<mam> sits.", "?"]


def test_a_run_without_an_accepted_row_is_shown(tmp_path: Path) -> None:
    assert describe(read_run(WrittenRun(tmp_path).finish([make_failure(1)])).rows) == [(1, "refusal")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("qa.jsonl", None, "there is no output .*qa.jsonl", id="nothing there"),
        pytest.param("qa.jsonl", "", "qa.jsonl has no rows", id="empty"),
        pytest.param("qa.jsonl", '{"image": "a.png"}\n', r"is not the output of a run \(line 1: it has no", id="input"),
        pytest.param("qa.jsonl", "\x89PNG\n", "is not the output of a run", id="no JSON"),
        pytest.param("qa.failed.jsonl", '{"error": 1}\n', "name qa.jsonl", id="failure file"),
    ],
)
def test_other_files_are_refused_with_a_reason(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match=message):
        read_run(tmp_path / name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        read_run(tmp_path)


@pytest.mark.parametrize("file", ["failed", "details", "run"])
def test_files_that_no_run_wrote_are_refused(tmp_path: Path, file: str) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    getattr(RunFiles.for_output(output), file).write_text('{"a": 1}\n')
    with pytest.raises(SettingsError) as error:
        read_run(output)
    assert "another -o" not in str(error.value)

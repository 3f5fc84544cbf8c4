"""Decisions of people about the records of runs: what is kept, replaced, left out and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.outcomes import RawAnswer
from persqa_client.records.record_decisions import RecordDecisions
from persqa_client.records.run_records import open_recorded_runs
from persqa_client.report.rows import read_run
from persqa_client.storage.decisions import Decision, DecisionKind, DecisionsFile
from persqa_client.storage.run_files import RunFiles
from tests.report.runs import WrittenRun, make_failure, make_record

CUP, PLATE = "<mam> holds a cup.", "<mam> holds a plate."


def decide_on(output: Path, kinds: dict[int, DecisionKind], text: str = PLATE) -> DecisionsFile:
    """About the questions of these rows, by the subjects and texts that the report shows."""
    file = DecisionsFile(RunFiles.for_output(output).decisions)
    for row in read_run(output).rows:
        kind = kinds.get(row.task_id.row if row.task_id is not None else row.line)
        if kind is not None:
            file.append(Decision(row.subject, row.decided_text, kind, text if kind == "edit" else None, "?"))
    return file


def apply_all(*outputs: Path) -> tuple[list[str | None], dict[str, int]]:
    decisions = RecordDecisions(outputs)
    runs = open_recorded_runs(list(outputs))
    records = [(record, run.output) for run in runs for record in run.iter_records()]
    records += [
        (record, run.output) for run in runs for record in run.iter_rejected() if decisions.accepts(record, run.output)
    ]
    kept = [decisions.apply(record, output) for record, output in records]
    return [None if record is None else record.answer for record in kept], decisions.count()


def test_each_kind_of_decision_applies(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(row) for row in range(1, 6)])
    decide_on(output, {1: "accept", 2: "edit", 3: "reject", 4: "none"})
    assert apply_all(output) == ([CUP, PLATE, None, CUP, CUP], {"accept": 1, "edit": 1, "reject": 1})


def test_without_details_a_decision_applies_too(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path, details=False).finish([make_record(1), make_record(2, asked="Where is <mam>?")])
    decide_on(output, {2: "reject"})
    assert apply_all(output) == ([CUP, None], {"reject": 1})


def test_a_decision_about_another_answer_is_ignored_and_counted(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    file = decide_on(output, {1: "reject", 2: "none"})
    WrittenRun(tmp_path).finish([make_record(1, PLATE), make_record(2, PLATE)])
    assert apply_all(output) == ([PLATE, PLATE], {"stale": 1})
    file.refresh()
    file.append(replace(next(iter(file.decisions)), answer=PLATE, kind="accept"))
    assert apply_all(output) == ([PLATE, PLATE], {"accept": 1})


def test_accepted_answers_of_failed_questions_apply(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_failure(2), make_failure(3), make_failure(4)])
    decide_on(output, {1: "accept", 2: "accept", 3: "edit", 4: "reject"})
    assert apply_all(output) == ([CUP, "I can't help.", PLATE], {"accept": 2, "edit": 1, "failed": 2})


def test_an_answer_that_the_run_does_not_have_is_counted(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_failure(2)])
    decide_on(output, {2: "accept"})
    raws = (RawAnswer("A cup.", "no_tag"),)
    WrittenRun(tmp_path).finish([make_record(1), make_failure(2, raws=raws)])
    assert apply_all(output) == ([CUP], {"not_accepted": 1})
    WrittenRun(tmp_path, details=False).finish([make_record(1), make_failure(2)])
    assert apply_all(output)[1] == {"not_accepted": 1}


def test_the_decisions_of_each_run_apply_to_it_only(tmp_path: Path) -> None:
    outputs = [WrittenRun(tmp_path, name).finish([make_record(1)]) for name in ("a.jsonl", "b.jsonl")]
    decide_on(outputs[1], {1: "reject"})
    assert apply_all(*outputs) == ([CUP, None], {"reject": 1})


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    RunFiles.for_output(output).decisions.write_text('{"a": 1}\n')
    with pytest.raises(SettingsError, match="is not a decision"):
        RecordDecisions([output])

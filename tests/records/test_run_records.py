"""The records of runs: finished, unfinished, edited, and without details."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, RawAnswer
from persqa_client.records.data_record import DataRecord
from persqa_client.records.run_records import open_recorded_runs
from persqa_client.report.rows import read_run
from persqa_client.storage.checkpoint import read_checkpoint, write_checkpoint
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Usage
from tests.report.runs import QUESTION, WrittenRun, add_details, make_failure, make_input_failure, make_record

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are needed")


def read_records(output: Path) -> list[DataRecord]:
    (run,) = open_recorded_runs([output])
    return list(run.iter_records())


def test_a_record_says_what_was_asked_and_where_it_comes_from(tmp_path: Path) -> None:
    record = make_record(2, doubts=("hedged",), question_id="hold-1", category="human", model="m-1")
    output = WrittenRun(tmp_path).finish([make_failure(1), record])
    (found,) = read_records(output)
    assert (found.id, found.images, found.question, found.answer) == (
        "qa-2",
        ("2.png",),
        QUESTION,
        "<mam> holds a cup.",
    )
    assert (found.tags, found.category, found.checks.doubts) == (("<mam>",), "human", ("hedged",))
    place = found.provenance
    assert (place.run, place.row, place.model, place.seed, place.question_id) == ("qa", 2, "m-1", 3, "hold-1")
    assert (place.prompt_tokens, place.completion_tokens, place.raw) == (100, 5, "<mam> holds a cup.")
    assert len(place.settings) == 16


def test_failed_rows_are_counted(tmp_path: Path) -> None:
    (run,) = open_recorded_runs([WrittenRun(tmp_path).finish([make_failure(1), make_record(2), make_failure(3)])])
    assert run.count_failures() == 2


def test_the_own_id_of_a_row_is_kept_and_its_questions_are_told_apart(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [make_record(1), make_record(1, question=1), make_record(2)]
    lines = {1: {"image": "a.png", "id": 17}, 2: {"image": "b.png", "id": True}}
    assert [each.id for each in read_records(WrittenRun(tmp_path).finish(outcomes, lines))] == ["17", "17-2", "qa-2"]


def test_an_unfinished_run_is_read_as_far_as_its_whole_lines_go(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).leave_unfinished(
        [make_record(1), make_failure(2), make_record(3)], torn=b'{"row":4,"question_nu'
    )
    (run,) = open_recorded_runs([output])
    assert run.state == "unfinished"
    assert [each.provenance.row for each in run.iter_records()] == [1, 3]


def end_run(output: Path) -> None:
    """Renames the files of an unfinished run, as its end does."""
    files = RunFiles.for_output(output)
    os.replace(files.partial, files.output)
    os.replace(files.failed_partial, files.failed)
    os.replace(files.details_partial, files.details)
    files.checkpoint.unlink()


def test_a_second_pass_has_the_same_rows_if_the_run_has_gone_on_or_ended(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).leave_unfinished([make_record(1), make_failure(2), make_record(3)])
    (run,) = open_recorded_runs([output])
    first = list(run.iter_records())
    with RunFiles.for_output(output).partial.open("ab") as file:
        file.write(b'{"image": ["4.png"], "pers_qa": "Question: What does <mam> hold?, Answer: <mam> holds a cup."}\n')
    assert list(run.iter_records()) == first
    end_run(output)
    assert list(run.iter_records()) == first
    assert len(read_records(output)) == 3


@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_an_output_that_was_replaced_between_two_passes_is_refused(state: str, tmp_path: Path) -> None:
    written = WrittenRun(tmp_path)
    outcomes: list[Outcome] = [make_record(1), make_record(2)]
    output = written.finish(outcomes) if state == "finished" else written.leave_unfinished(outcomes)
    (run,) = open_recorded_runs([output])
    assert len(list(run.iter_records())) == 2
    path = run.paths.output
    (tmp_path / "new").write_bytes(path.read_bytes())
    os.replace(tmp_path / "new", path)
    with pytest.raises(SettingsError, match=r"qa\.jsonl was changed while it was read"):
        list(run.iter_records())


def test_an_output_that_loses_rows_during_a_pass_is_refused(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).leave_unfinished([make_record(1), make_record(2)])
    (run,) = open_recorded_runs([output])
    lines = run.paths.output.read_bytes().splitlines(keepends=True)
    run.paths.output.write_bytes(lines[0])
    with pytest.raises(SettingsError, match="was changed while it was read"):
        list(run.iter_records())


def test_records_come_in_the_order_of_the_output_after_a_retry(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1, "<mam> sits."), make_record(2), make_record(3)])
    details = RunFiles.for_output(output).details
    details.write_bytes(b"".join(details.read_bytes().splitlines(keepends=True)[::2]))
    add_details(output, make_record(2, usage=Usage(7, 7)))
    assert [each.provenance.prompt_tokens for each in read_records(output)] == [100, 7, 100]


def test_an_edited_answer_is_the_answer(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    lines = output.read_text().splitlines(keepends=True)
    output.write_text(lines[0] + lines[1].replace("a cup", "two cups"))
    assert [each.answer for each in read_records(output)] == ["<mam> holds a cup.", "<mam> holds two cups."]
    assert read_records(output)[1].provenance.raw == "<mam> holds a cup."


@pytest.mark.parametrize(
    ("style", "added"),
    [
        ("qa", {"pers_qa": f"Question: {QUESTION}, Answer: I can't help."}),
        ("answer", {"question": QUESTION, "pers_qa": "I can't help."}),
    ],
)
def test_a_rejected_answer_has_the_line_that_it_would_have_in_the_output(
    style: str, added: dict[str, str], tmp_path: Path
) -> None:
    outcomes: list[Outcome] = [
        make_record(1),
        make_input_failure(2),
        make_failure(3, raw=None, raws=()),
        make_failure(4),
    ]
    output = WrittenRun(tmp_path, style=style).finish(outcomes, {4: {"image": "d.png", "split": "a"}})
    (run,) = open_recorded_runs([output])
    (found,) = run.iter_rejected()
    assert (found.id, found.images, found.question) == ("qa-4", ("d.png",), QUESTION)
    assert (found.answer, found.checks.problem, found.tags) == ("I can't help.", "refusal", ("<mam>",))
    assert found.source is not None
    assert json.loads(found.source.line) == {"image": "d.png", "split": "a"} | added


def test_a_run_without_details_has_its_output_lines_as_places(tmp_path: Path) -> None:
    records = read_records(WrittenRun(tmp_path, details=False).finish([make_record(3), make_record(5)]))
    assert [(each.id, each.provenance.row, each.provenance.raw) for each in records] == [
        ("qa-o1", None, None),
        ("qa-o2", None, None),
    ]


def test_the_same_rows_are_read_as_in_a_report(tmp_path: Path) -> None:
    raws = (RawAnswer("A cup.", "no_tag"), RawAnswer("<mam> holds a cup.", None))
    outcomes: list[Outcome] = [
        make_record(1),
        make_failure(2),
        make_record(3, raws=raws),
        make_record(4, "<mam> sits."),
    ]
    output = WrittenRun(tmp_path).finish(outcomes)
    shown = [row for row in read_run(output).rows if row.task_id and row.outcome.task_id.row != 2]
    assert [(each.provenance.row, each.images) for each in read_records(output)] == [
        (row.outcome.task_id.row, row.images) for row in shown
    ]


def test_runs_with_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    runs = open_recorded_runs([WrittenRun(folder).finish([make_record(1)]) for folder in folders])
    assert [record.id for run in runs for record in run.iter_records()] == ["qa-1", "qa-2-1"]


def test_an_output_that_is_missing_or_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no output"):
        open_recorded_runs([tmp_path / "qa.jsonl"])
    output = WrittenRun(tmp_path).finish([make_record(1)])
    with pytest.raises(SettingsError, match="given twice"):
        open_recorded_runs([output, tmp_path / "." / "qa.jsonl"])


def test_no_answer_waits_for_a_run_that_was_killed_in_its_last_step(tmp_path: Path) -> None:
    """Its journal is still there."""
    run = WrittenRun(tmp_path)
    run.leave_unfinished([make_record(1), make_record(2)], journaled=[make_record(1), make_record(2)])
    files = RunFiles.for_output(run.output)
    checkpoint = read_checkpoint(files)
    assert checkpoint is not None
    write_checkpoint(files, replace(checkpoint, phase="finishing", run={}))
    (opened,) = open_recorded_runs([run.output])
    assert (opened.state, opened.extent.rows, opened.extent.waiting) == ("unfinished", 2, 0)


@needs_pipes
def test_a_run_that_ends_while_it_is_opened_is_opened_as_a_finished_one(tmp_path: Path) -> None:
    """A pipe in place of the journal holds the reader there until the run has ended."""
    run = WrittenRun(tmp_path)
    run.leave_unfinished([make_record(1)], journaled=[make_record(2)])
    files = RunFiles.for_output(run.output)
    journal = files.journal_generation(1)
    journal.unlink()
    os.mkfifo(journal)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_recorded_runs, [run.output])
        with journal.open("wb"):  # waits for the reader
            for partial, finished in (
                (files.failed_partial, files.failed),
                (files.details_partial, files.details),
                (files.partial, files.output),
            ):
                if partial.exists():
                    partial.rename(finished)
            run.finish([make_record(1), make_record(2)])
            files.checkpoint.unlink()
        (opened,) = opening.result()
    assert (opened.state, opened.extent.rows, opened.extent.waiting) == ("finished", 2, 0)
    assert [record.provenance.row for record in opened.iter_records()] == [1, 2]

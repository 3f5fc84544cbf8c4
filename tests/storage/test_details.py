"""The details file has a line for each question, with all raw answers, and goes on from runs that had none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Failure, Outcome, RawAnswer
from persqa_client.storage.details import outcome_from_details, render_details
from persqa_client.storage.records import render_record
from persqa_client.types import TaskId
from tests.storage.scenario import (
    FAILED,
    LINES,
    announce,
    answer_first_run,
    answer_lines,
    answer_retry,
    make_failure,
    make_lines,
    make_record,
    open_ledger,
    read_folder,
    render,
    retry_to_end,
    run_to_end,
)
from tests.storage.test_ledger import TASK_IDS
from tests.storage.test_records import LINE, OUTCOMES, RECORD


def read_details(folder: Path, name: str = "qa.details.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


def places(details: list[dict[str, Any]]) -> list[TaskId]:
    return [TaskId(line["row"], line["question_number"]) for line in details]


def expected_details(tasks: list[TaskId], outcomes: list[Outcome]) -> bytes:
    lines = {task_id: line.data for line in LINES for task_id in line.task_ids}
    return b"".join(
        render_details(lines[task_id], outcome, render(lines[task_id], outcome))
        for task_id, outcome in zip(tasks, outcomes, strict=True)
    )


def downgrade(folder: Path) -> None:
    """Turns the files of a run into those of the format before, which had no details."""
    for path in folder.glob("qa.details.jsonl*"):
        path.unlink()
    for name in ("qa.run.json", "qa.jsonl.checkpoint"):
        if (folder / name).exists():
            fields = json.loads((folder / name).read_bytes())
            fields["format"] = 2
            lengths = fields["lengths"]
            fields["lengths"] = lengths[:2] if isinstance(lengths, list) else {**lengths, "details": None}
            if isinstance(lengths, dict):
                del fields["lengths"]["details"]
            (folder / name).write_text(json.dumps(fields))


def test_each_question_has_a_line_in_input_order(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    details = read_details(tmp_path)
    assert places(details) == TASK_IDS
    assert [line["file"] for line in details] == ["failed" if task_id in FAILED else "output" for task_id in TASK_IDS]
    assert {tuple(raw["text"] for raw in line["raws"]) for line in details} == {
        ("<mam> reads.",),
        ("She reads.", "Reading."),
    }


def test_a_line_of_an_accepted_answer() -> None:
    written = render_record(LINE, RECORD, output_key="pers_qa", style="qa", details=False)
    assert json.loads(render_details(LINE, RECORD, written)) == {
        "row": 3,
        "question_number": 1,
        "file": "output",
        "attempts": 2,
        "asks": 1,
        "refused": "loop",
        "usage": {"prompt": 900, "completion": 12},
        "pictures": [{"media_type": "image/jpeg", "width": 40, "height": 30, "bytes": 800, "tokens": 4}],
        "raws": [
            {
                "text": "It. It. It.",
                "problem": "loop",
                "finish_reason": "stop",
                "model": "qwen",
                "seed": 8,
                "prompt_tokens": 450,
                "completion_tokens": 6,
                "max_tokens": 512,
            },
            {
                "text": "**mam** wears a jacket.",
                "steps": ["repair"],
                "finish_reason": "stop",
                "model": "qwen",
                "prompt_tokens": 450,
                "completion_tokens": 6,
                "max_tokens": 512,
                "seed": 8,
            },
        ],
        "kind": "qa",
        "tag": "<mam>",
        "question": "What is <mam> wearing?",
        "answer": "<mam> wears a jacket.",
        "seed": 7,
        "model": "qwen",
        "made_good_by": ["repair"],
        "strategy": "prefill",
        "surrogate": None,
        "question_id": "clothes-top",
        "category": "human",
    }


def test_a_line_of_a_failure_says_where_it_failed() -> None:
    failure = Failure(TaskId(3), "bad_line", "Line 3: not JSON.", whole_row=True)
    assert json.loads(render_details(b"[", failure, b"")) == {
        "row": 3,
        "question_number": 0,
        "file": "failed",
        "attempts": 0,
        "asks": 0,
        "raw": None,
        "refused": None,
        "usage": {"prompt": 0, "completion": 0},
        "pictures": [],
        "raws": [],
        "code": "bad_line",
        "message": "Line 3: not JSON.",
        "stage": "input",
        "whole_row": True,
    }
    details = json.loads(render_details(b"{}", make_failure(TaskId(2)), b""))
    assert (details["stage"], details["code"], details["question"], details["tag"]) == (
        *("answer", "no_tag"),
        *("What is 0?", "<mam>"),
    )


def test_an_input_line_that_the_output_changed_is_kept() -> None:
    line = b'{"conversation": [{"from": "human", "value": "hi"}], "n": 1}'
    for style, kept in (("qa", None), ("answer", line.decode())):
        written = render_record(line, RECORD, output_key="pers_qa", style=style, details=True)  # type: ignore[arg-type]
        assert json.loads(render_details(line, RECORD, written)).get("line") == kept


@given(OUTCOMES)
def test_outcomes_are_read_back_from_their_details(outcome: Outcome) -> None:
    """But for the text and the ending, which are those of one raw answer, if there are any."""
    again = outcome_from_details(json.loads(render_details(b"{}", outcome, b"{")))
    chosen = ("raw", "finish_reason", "task", "task_id") if outcome.raws else ()
    for name in type(outcome).__dataclass_fields__:
        if name not in chosen:
            assert getattr(again, name) == getattr(outcome, name), name


@pytest.mark.parametrize("answer", [answer_first_run, make_record])
def test_a_line_of_the_run_is_read_back(answer: Any) -> None:
    for task_id in TASK_IDS:
        outcome = answer(task_id)
        assert outcome_from_details(json.loads(render_details(b"{}", outcome, b"{}"))) == outcome


@pytest.mark.parametrize("data", [{}, {"row": 1, "raws": [], "usage": {}}, {"raws": [{"texts": ""}]}])
def test_other_json_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a line of a details file"):
        outcome_from_details(data)


def test_a_retry_keeps_the_lines_and_appends_its_own(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = (tmp_path / "qa.details.jsonl").read_bytes()
    retry_to_end(tmp_path)
    added = expected_details(FAILED, [answer_retry(task_id) for task_id in FAILED])
    assert (tmp_path / "qa.details.jsonl").read_bytes() == before + added
    run_file = json.loads((tmp_path / "qa.run.json").read_text())
    assert run_file["lengths"]["details"] == len(before + added)


def test_rows_added_after_a_retry_follow_its_lines(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    retry_to_end(tmp_path)
    before = (tmp_path / "qa.details.jsonl").read_bytes()
    with open_ledger(tmp_path) as ledger:
        ledger.reopen()
        answer_lines(ledger, make_lines(12), make_record)
        ledger.finish({})
    assert (tmp_path / "qa.details.jsonl").read_bytes().startswith(before)
    assert places(read_details(tmp_path))[-2:] == [TaskId(11), TaskId(11, 1)]


def test_the_unfinished_file_is_truncated_at_resume(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        ledger.store_outcome(make_record(TaskId(1)))
        ledger.store_outcome(make_record(TaskId(1, 1)))
    path = tmp_path / "qa.details.jsonl.partial"
    written = path.read_bytes()
    path.write_bytes(written + b'{"row": 2, "ques')
    run_to_end(tmp_path)
    assert places(read_details(tmp_path)) == TASK_IDS
    assert (tmp_path / "qa.details.jsonl").read_bytes().startswith(written)


def test_an_empty_file_is_not_left(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, [line for line in LINES if not line.data], make_record)
        ledger.finish({})
    assert sorted(read_folder(tmp_path)) == ["qa.jsonl", "qa.run.json"]


def test_a_fresh_run_replaces_the_details(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    retry_to_end(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        answer_lines(ledger, LINES[:1], make_record)
        ledger.finish({})
    assert places(read_details(tmp_path)) == [TaskId(1), TaskId(1, 1)]


@pytest.mark.parametrize("how", ["reopen", "retry"])
def test_a_finished_run_without_details_gets_them_from_there_on(how: str, tmp_path: Path) -> None:
    """A run of the format before, and a run whose details were removed."""
    for name in ("old", "removed"):
        folder = tmp_path / name
        run_to_end(folder, lines=LINES[:5] if how == "reopen" else LINES)
        if name == "old":
            downgrade(folder)
        else:
            (folder / "qa.details.jsonl").unlink()
        with open_ledger(folder) as ledger:
            assert ledger.state == "finished"
            getattr(ledger, how)()
            answer_lines(ledger, LINES, answer_retry)
            ledger.finish({})
        asked = [task_id for task_id in TASK_IDS if task_id.row > 5] if how == "reopen" else FAILED
        assert places(read_details(folder)) == asked
        with open_ledger(folder) as ledger:
            assert ledger.state == "finished"


@pytest.mark.parametrize("retried", [False, True])
def test_an_unfinished_run_of_the_format_before_goes_on(retried: bool, tmp_path: Path) -> None:
    """Outcomes in its journal have no raw answers, but their text is kept."""
    if retried:
        run_to_end(tmp_path)
        downgrade(tmp_path)
    with open_ledger(tmp_path) as ledger:
        if retried:
            ledger.retry()
        announce(ledger)
        for task_id in (FAILED[0], FAILED[2]):
            ledger.store_outcome(answer_first_run(task_id))
        if not retried:
            for task_id in TASK_IDS[:2]:
                ledger.store_outcome(answer_first_run(task_id))
        ledger.checkpoint()()
    downgrade(tmp_path)
    for path in tmp_path.glob("qa.jsonl.journal*"):
        entries = [json.loads(line) for line in path.read_bytes().splitlines()]
        for entry in entries:
            for name in ("raws", "task", "surrogate"):
                entry.pop(name, None)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "resumed"
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})
    details = read_details(tmp_path)
    assert [line["raw"] for line in details if not line["raws"]] == ["Reading."]
    assert places(details) == [FAILED[1], FAILED[2]] if retried else TASK_IDS[3:]


def test_a_foreign_file_beside_an_unfinished_run_of_the_format_before_is_not_overwritten(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        ledger.store_outcome(make_record(TaskId(1)))
    downgrade(tmp_path)
    (tmp_path / "qa.details.jsonl.partial").write_text("precious")
    for fresh in (False, True):
        with pytest.raises(SettingsError, match=r"qa\.details\.jsonl\.partial exists, but was not written by a run"):
            open_ledger(tmp_path, fresh=fresh)
    (tmp_path / "qa.details.jsonl.partial").write_text("")
    run_to_end(tmp_path)


def test_a_retry_is_refused_if_the_details_changed_meanwhile(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce(ledger)
        ledger.store_outcome(make_record(FAILED[0]))
    with (tmp_path / "qa.details.jsonl").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SettingsError, match=r"qa\.details\.jsonl exists, but was not written by a run or was changed"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("when", ["while stopped", "while running"])
def test_a_retry_whose_details_were_removed_meanwhile_begins_new_ones(when: str, tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce(ledger)
        ledger.store_outcome(make_record(FAILED[0]))
    details = tmp_path / "qa.details.jsonl"
    if when == "while stopped":
        details.unlink()
    with open_ledger(tmp_path) as ledger:
        details.unlink(missing_ok=True)
        answer_lines(ledger, LINES, make_record)
        ledger.finish({})
    assert places(read_details(tmp_path)) == FAILED
    assert json.loads((tmp_path / "qa.run.json").read_text())["lengths"]["details"] == details.stat().st_size
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.tally.failed_total) == ("finished", 0)


def test_an_unfinished_run_whose_details_were_removed_begins_new_ones(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES[:5], make_record)
        ledger.checkpoint()()
    (tmp_path / "qa.details.jsonl.partial").unlink()
    run_to_end(tmp_path)
    assert places(read_details(tmp_path)) == [task_id for line in LINES[5:] for task_id in line.task_ids]


def test_raw_answers_of_a_resumed_run_come_from_the_journal(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        ledger.store_outcome(make_failure(TaskId(3, 1)))
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES, make_record)
        ledger.finish({})
    [raws] = [line["raws"] for line in read_details(tmp_path) if line["file"] == "failed"]
    assert [RawAnswer(**raw).problem for raw in raws] == ["pronoun_only", "no_tag"]

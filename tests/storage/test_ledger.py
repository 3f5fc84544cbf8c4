"""The ledger writes rows in input order, whatever the order of the outcomes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.outcomes import Outcome
from persqa_client.storage.transient_ledgers import MemoryLedger
from persqa_client.types import TaskId
from tests.storage.scenario import (
    FAILED,
    IDENTITY,
    LINES,
    STAMP,
    Line,
    announce,
    answer_first_run,
    answer_lines,
    make_failure,
    make_record,
    open_ledger,
    read_folder,
    render,
    run_to_end,
)


def expected(lines: list[Line], failed: bool) -> bytes:
    outcomes = [(line.data, answer_first_run(task_id)) for line in lines for task_id in line.task_ids]
    return b"".join(render(data, outcome) for data, outcome in outcomes if hasattr(outcome, "code") is failed)


TASK_IDS = [task_id for line in LINES for task_id in line.task_ids]


@settings(max_examples=25, deadline=None)
@given(st.permutations(TASK_IDS), st.integers(1, 20))
def test_outcomes_in_any_order_are_written_in_input_order(order: list[TaskId], every: int) -> None:
    """With checkpoints in between."""
    with tempfile.TemporaryDirectory() as place, open_ledger(Path(place)) as ledger:
        announce(ledger)
        for number, task_id in enumerate(order):
            ledger.store_outcome(answer_first_run(task_id))
            if number % every == 0:
                ledger.checkpoint()()
        ledger.finish({})
        left = read_folder(Path(place))
    assert left["qa.jsonl"] == expected(LINES, failed=False)
    assert left["qa.failed.jsonl"] == expected(LINES, failed=True)


def test_a_run_leaves_four_files_and_describes_itself(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    assert list(read_folder(tmp_path)) == ["qa.details.jsonl", "qa.failed.jsonl", "qa.jsonl", "qa.run.json"]
    run_file = json.loads((tmp_path / "qa.run.json").read_text())
    assert run_file["note"] == "ours"
    assert run_file["identity"] == IDENTITY
    assert run_file["counts"]["units"] == len(TASK_IDS)
    assert run_file["counts"]["failed"] == {"no_tag": 3}
    assert run_file["position"]["number"] == 10
    assert run_file["lengths"] == {
        "output": (tmp_path / "qa.jsonl").stat().st_size,
        "failed": (tmp_path / "qa.failed.jsonl").stat().st_size,
        "details": (tmp_path / "qa.details.jsonl").stat().st_size,
    }
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        assert (ledger.state, ledger.stamp, ledger.start) == ("finished", STAMP, LINES[-1].position)


def test_a_row_is_in_the_partial_file_once_all_rows_before_it_are(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        assert (ledger.buffer.tasks, ledger.buffer.bytes) == (len(TASK_IDS), sum(len(line.data) for line in LINES))
        ledger.store_outcome(make_record(TaskId(1, 1)))
        ledger.store_outcome(make_record(TaskId(2)))
        assert (tmp_path / "qa.jsonl.partial").read_bytes() == b""
        ledger.store_outcome(make_record(TaskId(1, 0)))
        assert (tmp_path / "qa.jsonl.partial").read_bytes().count(b"\n") == 3
        assert (ledger.buffer.tasks, ledger.tally.tasks) == (len(TASK_IDS) - 3, 3)


def test_written_rows_leave_the_buffer(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES, answer_first_run)
        assert (ledger.buffer.tasks, ledger.buffer.bytes) == (0, 0)
        assert not ledger.buffer.rows
        assert list(ledger.buffer.unwritten_entries()) == []


def test_a_run_with_failures_only_leaves_an_empty_output(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES[:3], make_failure)
        ledger.finish({})
    assert (tmp_path / "qa.jsonl").read_bytes() == b""
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "finished"


def test_an_empty_input_leaves_an_empty_output(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.finish({})
    assert sorted(read_folder(tmp_path)) == ["qa.jsonl", "qa.run.json"]


def test_finishing_twice_changes_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({"note": "ours"})
        after_first = read_folder(tmp_path)
        ledger.finish({"note": "other"})
        assert read_folder(tmp_path) == after_first
        assert (ledger.state, ledger.tally.tasks) == ("finished", len(TASK_IDS))


def test_an_outcome_is_stored_once_and_only_if_expected(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger, LINES[:2])
        ledger.store_outcome(make_record(TaskId(2)))
        for task_id in (TaskId(2), TaskId(9)):
            with pytest.raises(RuntimeError, match="settled twice, or was never expected"):
                ledger.store_outcome(make_record(task_id))
        with pytest.raises(RuntimeError, match="3 tasks are not written"):
            ledger.finish({})
        with pytest.raises(RuntimeError, match="line 2 was registered after line 2"):
            ledger.skip(LINES[1].position)
    with pytest.raises(RuntimeError, match="finished or closed"):
        ledger.store_outcome(make_record(TaskId(1)))


def test_a_row_that_can_not_be_rendered_is_not_written_in_part(tmp_path: Path) -> None:
    """The exception is not caught, and the run can be resumed without it."""

    def fail_for_one_task(line: bytes, outcome: Outcome) -> bytes:
        if outcome.task_id == TaskId(3, 1):
            raise ZeroDivisionError
        return render(line, outcome)

    with open_ledger(tmp_path / "bug", render=fail_for_one_task) as ledger, pytest.raises(ZeroDivisionError):
        answer_lines(ledger, LINES, answer_first_run)
    assert (tmp_path / "bug" / "qa.jsonl.partial").read_bytes() == expected(LINES[:2], failed=False)
    run_to_end(tmp_path / "bug")
    run_to_end(tmp_path / "none")
    assert read_folder(tmp_path / "bug") == read_folder(tmp_path / "none")


def test_a_ledger_in_memory_returns_the_rows_that_files_would_have() -> None:
    ledger = MemoryLedger(render)
    announce(ledger)
    for task_id in reversed(TASK_IDS[1:]):
        ledger.store_outcome(answer_first_run(task_id))
    assert len(ledger.get_rows(failed=False)) == len(TASK_IDS) - len(FAILED) - 1
    ledger.store_outcome(answer_first_run(TASK_IDS[0]))
    for failed in (False, True):
        assert ledger.get_rows(failed=failed) == [json.loads(row) for row in expected(LINES, failed).splitlines()]
    assert (ledger.buffer.tasks, ledger.tally.rows, ledger.tally.tasks) == (0, 8, len(TASK_IDS))

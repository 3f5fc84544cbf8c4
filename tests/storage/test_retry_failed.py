"""A retry asks the failures of a finished run again, and writes the answers in their places."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.ledger import Ledger
from persqa_client.types import TaskId
from tests.storage.scenario import (
    FAILED,
    LINES,
    Line,
    announce,
    answer_first_run,
    answer_lines,
    answer_retry,
    make_lines,
    make_record,
    open_ledger,
    read_folder,
    render,
    retry_to_end,
    run_to_end,
)


def announce_first_failure(ledger: Ledger) -> None:
    """Announces rows up to the first one that is asked again."""
    asked = any(ledger.register_row(line.data, line.task_ids, line.position) for line in LINES[:3])
    assert asked


def test_only_failures_are_asked_and_written_in_their_places(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    log = retry_to_end(tmp_path)
    assert sorted(log.asked) == FAILED
    outcomes: list[tuple[bytes, Outcome]] = [
        (line.data, answer_retry(task_id) if task_id in FAILED else answer_first_run(task_id))
        for line in LINES
        for task_id in line.task_ids
    ]
    for name, failed in (("qa.jsonl", False), ("qa.failed.jsonl", True)):
        lines = [render(data, outcome) for data, outcome in outcomes if isinstance(outcome, Failure) is failed]
        assert (tmp_path / name).read_bytes() == b"".join(lines)


def test_the_old_files_stay_unchanged_until_the_end(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = read_folder(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        assert (ledger.mode, ledger.end, ledger.start.number) == ("retry", LINES[-1].position, 0)
        answer_lines(ledger, LINES, make_record)
        assert {name: data for name, data in read_folder(tmp_path).items() if name in before} == before


def test_tasks_are_counted_once_and_costs_add_up(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    first = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    retry_to_end(tmp_path)
    second = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    assert (first["units"], first["good"], first["failed"]) == (13, 10, {"no_tag": 3})
    assert (second["units"], second["good"], second["failed"]) == (13, 12, {"no_tag": 1})
    assert second["tokens"]["prompt"] == first["tokens"]["prompt"] + 25


def test_a_retry_that_succeeds_removes_the_failure_file(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        answer_lines(ledger, LINES, make_record)
        ledger.finish({})
        assert ledger.tally.failed_total == 0
        assert (ledger.state, ledger.mode, ledger.end) == ("finished", "run", None)
        ledger.retry()
        before = (tmp_path / "qa.jsonl").read_bytes()
        log = answer_lines(ledger, LINES, make_record)
        ledger.finish({})
    assert log.asked == []
    assert sorted(read_folder(tmp_path)) == ["qa.details.jsonl", "qa.jsonl", "qa.run.json"]
    assert (tmp_path / "qa.jsonl").read_bytes() == before


def test_copied_lines_are_not_held_in_memory(tmp_path: Path) -> None:
    """The buffer has rows that are asked, and only the number of lines to copy after each."""
    lines = make_lines(400)
    run_to_end(tmp_path, lines=lines[:2])
    with open_ledger(tmp_path) as ledger:
        ledger.reopen()
        answer_lines(ledger, lines, make_record, every=1000)
        ledger.finish({})
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce(ledger, lines)
        assert ledger.buffer.tasks == 1
        assert len(ledger.buffer.rows) == 1
        ledger.store_outcome(make_record(TaskId(2)))
        assert ledger.buffer.tasks == 0
        ledger.finish({})
    rows = (tmp_path / "qa.jsonl").read_bytes().splitlines()
    assert [json.loads(row)["image"] for row in rows] == [
        f"{task_id.row}.jpg" for line in lines for task_id in line.task_ids
    ]


def test_a_row_that_failed_to_render_is_written_with_the_next_outcome(tmp_path: Path) -> None:
    """The lines that were copied for it are read again."""
    failures_left = iter([True])

    def fail_once(line: bytes, outcome: Outcome) -> bytes:
        if outcome.task_id == TaskId(3, 1) and next(failures_left, False):
            raise ZeroDivisionError
        return render(line, outcome)

    for folder in ("bug", "none"):
        run_to_end(tmp_path / folder)
    with open_ledger(tmp_path / "bug", render=fail_once) as ledger:
        ledger.retry()
        announce(ledger)
        ledger.store_outcome(answer_retry(TaskId(2)))
        with pytest.raises(ZeroDivisionError):
            ledger.store_outcome(answer_retry(TaskId(3, 1)))
        ledger.store_outcome(answer_retry(TaskId(9, 1)))
        ledger.finish({"note": "ours"})
    retry_to_end(tmp_path / "none")
    assert read_folder(tmp_path / "bug") == read_folder(tmp_path / "none")


def test_lines_after_the_finished_run_are_not_retried(tmp_path: Path) -> None:
    lines = make_lines(16)
    run_to_end(tmp_path, lines=lines[:10])
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        log = answer_lines(ledger, lines, make_record)
        ledger.finish({})
        assert ledger.start == lines[9].position
    assert sorted(log.asked) == FAILED


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            [*LINES[:9], replace(LINES[9], position=replace(LINES[9].position, digest="other"))],
            "its first 10 lines",
            id="a line edited",
        ),
        pytest.param(LINES[:7], "line 7.* line 10", id="shorter"),
        pytest.param(make_lines(11)[1:], "the input changed", id="shifted"),
    ],
)
def test_a_changed_input_is_refused_before_a_file_is_replaced(lines: list[Line], message: str, tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = read_folder(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        with pytest.raises(SettingsError, match=message):  # noqa: PT012
            answer_lines(ledger, lines, make_record)
            ledger.finish({})
    assert {name: data for name, data in read_folder(tmp_path).items() if name in before} == before


@pytest.mark.parametrize("lines", [LINES[:-1], LINES], ids=["ends there", "more rows follow"])
def test_a_line_break_added_to_the_last_line_is_no_change(lines: list[Line], tmp_path: Path) -> None:
    """The finished run read the line without it, one byte shorter."""
    last = lines[8]
    shorter = replace(last, position=replace(last.position, offset=last.position.offset - 1))
    run_to_end(tmp_path, lines=[*lines[:8], shorter])
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        log = answer_lines(ledger, lines, make_record)
        ledger.finish({})
        assert ledger.tally.failed_total == 0
    assert sorted(log.asked) == FAILED


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_retry_without_outcomes_leaves_the_finished_run(how: str, tmp_path: Path) -> None:
    """Copied lines do not count as outcomes."""
    run_to_end(tmp_path)
    before = read_folder(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce_first_failure(ledger)
        ledger.checkpoint()()
        assert (tmp_path / "qa.jsonl.partial").stat().st_size > 0
        left = read_folder(tmp_path)
    if how == "killed":
        for name, data in left.items():
            (tmp_path / name).write_bytes(data)
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.mode, ledger.start) == ("finished", "run", LINES[-1].position)
    assert {name: data for name, data in read_folder(tmp_path).items() if "lock" not in name} == before


def test_a_retry_with_an_outcome_is_resumed(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce_first_failure(ledger)
        ledger.store_outcome(make_record(FAILED[0]))
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.mode) == ("resumed", "retry")
        assert sorted(answer_lines(ledger, LINES, make_record).asked) == FAILED[1:]


def test_a_fresh_run_discards_a_retry_and_keeps_the_finished_output(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = read_folder(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert (ledger.state, ledger.mode, ledger.end) == ("new", "run", None)
    assert {name: data for name, data in read_folder(tmp_path).items() if name in before} == before


def test_a_retry_needs_the_old_output(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        announce_first_failure(ledger)
        ledger.store_outcome(make_record(FAILED[0]))
    (tmp_path / "qa.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"qa\.jsonl has changed"):
        open_ledger(tmp_path)

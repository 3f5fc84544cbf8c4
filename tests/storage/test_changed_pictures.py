"""Answers about pictures that have changed are asked again, and all other lines of the run stay as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from persqa_client.outcomes import Failure, Outcome, SentPicture
from persqa_client.storage.checkpoint import read_checkpoint
from persqa_client.storage.previous import PictureChecks
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.storage.scenario import (
    CHANGED,
    FAILED,
    LINES,
    answer_changed,
    answer_first_run,
    answer_lines,
    ask_changed_to_end,
    has_changed,
    make_record,
    open_ledger,
    read_folder,
    render,
    run_to_end,
)

ASKED = [task_id for line in LINES for task_id in line.task_ids if task_id.row in CHANGED and task_id not in FAILED]


def test_only_changed_pictures_are_asked_about_and_written_in_their_places(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = read_folder(tmp_path)
    log = ask_changed_to_end(tmp_path)
    assert sorted(log.asked) == ASKED
    outcomes: list[tuple[bytes, Outcome]] = [
        (line.data, answer_changed(task_id) if task_id in ASKED else answer_first_run(task_id))
        for line in LINES
        for task_id in line.task_ids
    ]
    for name, failed in (("qa.jsonl", False), ("qa.failed.jsonl", True)):
        lines = [render(data, outcome) for data, outcome in outcomes if isinstance(outcome, Failure) is failed]
        assert (tmp_path / name).read_bytes() == b"".join(lines)
    assert (tmp_path / "qa.details.jsonl").read_bytes().startswith(before["qa.details.jsonl"])


def test_answers_are_counted_once_and_costs_add_up(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    first = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    ask_changed_to_end(tmp_path)
    second = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    assert (first["units"], first["good"], first["failed"]) == (13, 10, {"no_tag": 3})
    assert (second["rows"], second["units"], second["good"], second["failed"]) == (8, 13, 9, {"no_tag": 4})
    assert second["tokens"]["prompt"] == first["tokens"]["prompt"] + 10 * (len(ASKED) - 1) + 5


def test_failures_and_changed_pictures_are_asked_in_one_pass(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path, pictures=PictureChecks(has_changed)) as ledger:
        ledger.retry(changed=True)
        log = answer_lines(ledger, LINES, make_record)
        ledger.finish({})
        assert (ledger.tally.succeeded, ledger.tally.failed_total) == (13, 0)
    assert sorted(log.asked) == sorted({*ASKED, *FAILED})
    assert not (tmp_path / "qa.failed.jsonl").exists()


def test_an_answer_is_not_lost_if_the_picture_changes_back(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path, pictures=PictureChecks(has_changed)) as ledger:
        ledger.retry(failed=False, changed=True)
        for line in LINES[:6]:
            if line.data:
                ledger.register_row(line.data, line.task_ids, line.position)
        ledger.store_outcome(make_record(TaskId(6), "<mam> is blue now."))
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.mode) == ("resumed", "retry")
        assert answer_lines(ledger, LINES, make_record).asked == []
        ledger.finish({})
        assert ledger.tally.tasks == 13
    assert (tmp_path / "qa.jsonl").read_text().count("blue now") == 1


def test_written_answers_count_as_begun(tmp_path: Path) -> None:
    """Also if no failure is replaced, and their journal is removed."""
    run_to_end(tmp_path)
    with open_ledger(tmp_path, pictures=PictureChecks(has_changed)) as ledger:
        ledger.retry(failed=False, changed=True)
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
        for task_id in LINES[0].task_ids:
            ledger.store_outcome(make_record(task_id))
        ledger.checkpoint()()
    checkpoint = read_checkpoint(RunFiles.for_output(tmp_path / "qa.jsonl"))
    assert checkpoint is not None
    assert checkpoint.before is not None
    assert checkpoint.before.replaced == 2


def test_a_plain_retry_keeps_the_checkpoint_of_earlier_versions(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        assert json.loads((tmp_path / "qa.jsonl.checkpoint").read_text())["before"].keys() == {
            "lengths",
            "done",
            "until",
        }


def test_earlier_answers_of_a_row_are_told(tmp_path: Path) -> None:
    """In a retry, and after a kill between two questions of a row."""
    noted: list[tuple[int, Sequence[str], int]] = []

    def expect(row: int, images: Sequence[str], pictures: Sequence[SentPicture]) -> None:
        noted.append((row, images, pictures[0].width))

    checks = PictureChecks(expect=expect)
    with open_ledger(tmp_path) as ledger:
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
        ledger.store_outcome(make_record(TaskId(1)))
    with open_ledger(tmp_path, pictures=checks) as ledger:
        assert ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position, ["a.png"]) == (TaskId(1, 1),)
        assert noted == [(1, ["a.png"], 1)]
    run_to_end(tmp_path)
    noted.clear()
    with open_ledger(tmp_path, pictures=checks) as ledger:
        ledger.retry()
        for line in LINES:
            if line.data:
                ledger.register_row(line.data, line.task_ids, line.position, ["b.png"])
    assert noted == [(3, ["b.png"], 3), (9, ["b.png"], 9)]

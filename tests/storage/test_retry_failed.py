"""A retry asks a finished run's failures again, and puts the answers into their places."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.storage.ledger import Ledger
from persqa_client.types import Failure, Outcome, TaskId
from tests.storage.scenario import (
    LINES,
    Line,
    drive,
    fails_again,
    fails_at_first,
    good,
    make_lines,
    open_ledger,
    render,
    results,
    retry_to_end,
    run_to_end,
)


def feed_until_asked(ledger: Ledger) -> None:
    """Announces rows up to the first one that is to be asked again."""
    asked = any(ledger.expect(line.data, line.units, line.position) for line in LINES[:3])
    assert asked


FAILED = [TaskId(2), TaskId(3, 1), TaskId(9, 1)]


def test_only_failures_are_asked_and_land_in_their_places(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    log = retry_to_end(tmp_path)
    assert sorted(log.asked) == FAILED
    outcomes: list[tuple[bytes, Outcome]] = [
        (line.data, fails_again(unit) if unit in FAILED else fails_at_first(unit))
        for line in LINES
        for unit in line.units
    ]
    for name, failed in (("qa.jsonl", False), ("qa.failed.jsonl", True)):
        lines = [render(data, outcome) for data, outcome in outcomes if isinstance(outcome, Failure) is failed]
        assert (tmp_path / name).read_bytes() == b"".join(lines)


def test_the_old_files_stay_as_they_are_until_the_end(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = results(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        assert (ledger.mode, ledger.until, ledger.start.number) == ("retry", LINES[-1].position, 0)
        drive(ledger, LINES, good)
        assert {name: data for name, data in results(tmp_path).items() if name in before} == before


def test_units_are_counted_once_and_costs_add_up(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    first = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    retry_to_end(tmp_path)
    second = json.loads((tmp_path / "qa.run.json").read_text())["counts"]
    assert (first["units"], first["good"], first["failed"]) == (13, 10, {"no_tag": 3})
    assert (second["units"], second["good"], second["failed"]) == (13, 12, {"no_tag": 1})
    assert second["tokens"]["prompt"] == first["tokens"]["prompt"] + 25


def test_a_retry_without_failures_changes_nothing_but_the_failure_file(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        drive(ledger, LINES, good)
        ledger.finish({})
        assert ledger.tally.failed_total == 0
        ledger.retry()
        before = (tmp_path / "qa.jsonl").read_bytes()
        log = drive(ledger, LINES, good)
        ledger.finish({})
    assert log.asked == []
    assert sorted(results(tmp_path)) == ["qa.jsonl", "qa.run.json"]
    assert (tmp_path / "qa.jsonl").read_bytes() == before


def test_a_long_stretch_behind_one_failure_is_not_held_in_memory(tmp_path: Path) -> None:
    """Only rows that are asked wait; what is carried over after them is counted, not kept."""
    lines = make_lines(400)
    run_to_end(tmp_path, lines=lines[:2])
    with open_ledger(tmp_path) as ledger:
        ledger.reopen()
        drive(ledger, lines, good, every=1000)
        ledger.finish({})
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        for line in lines:
            if line.data:
                ledger.expect(line.data, line.units, line.position)
            else:
                ledger.skip(line.position)
        assert ledger.waiting == 1
        assert ledger.intake is not None
        assert len(ledger.intake.window.slots) == 1
        ledger.settle(good(TaskId(2)))
        assert ledger.waiting == 0
        ledger.finish({})
    rows = (tmp_path / "qa.jsonl").read_bytes().splitlines()
    assert [json.loads(row)["image"] for row in rows] == [f"{unit.row}.jpg" for line in lines for unit in line.units]


def test_a_row_that_could_not_be_written_is_written_whole_later(tmp_path: Path) -> None:
    """What was carried over for it is read again, in the same process as in the next."""
    tries = iter([True])

    def breaks_once(line: bytes, outcome: Outcome) -> bytes:
        if outcome.task_id == TaskId(3, 1) and next(tries, False):
            raise ZeroDivisionError
        return render(line, outcome)

    for folder in ("bug", "none"):
        run_to_end(tmp_path / folder)
    with open_ledger(tmp_path / "bug", render=breaks_once) as ledger:
        ledger.retry()
        for line in LINES:
            if line.data:
                ledger.expect(line.data, line.units, line.position)
            else:
                ledger.skip(line.position)
        ledger.settle(fails_again(TaskId(2)))
        with pytest.raises(ZeroDivisionError):
            ledger.settle(fails_again(TaskId(3, 1)))
        ledger.settle(fails_again(TaskId(9, 1)))
        ledger.finish({"note": "ours"})
    retry_to_end(tmp_path / "none")
    assert results(tmp_path / "bug") == results(tmp_path / "none")


def test_lines_after_the_finished_run_are_no_part_of_the_pass(tmp_path: Path) -> None:
    lines = make_lines(16)
    run_to_end(tmp_path, lines=lines[:10])
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        log = drive(ledger, lines, good)
        ledger.finish({})
        assert ledger.start == lines[9].position
    assert sorted(log.asked) == FAILED


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(
            [*LINES[:9], replace(LINES[9], position=replace(LINES[9].position, digest="other"))],
            "its first 10 lines are not those of the finished run",
            id="a line edited",
        ),
        pytest.param(LINES[:7], "ends at line 7, and the finished run went on to line 10", id="shorter"),
        pytest.param(
            make_lines(11)[1:], "row 3 of it|not those of the finished run|more rows|fewer rows", id="shifted"
        ),
    ],
)
def test_another_input_is_refused_before_anything_is_replaced(lines: list[Line], words: str, tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = results(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        with pytest.raises(SettingsError, match=words):  # noqa: PT012
            drive(ledger, lines, good)
            ledger.finish({})
    assert {name: data for name, data in results(tmp_path).items() if name in before} == before


@pytest.mark.parametrize("lines", [LINES[:-1], LINES], ids=["ends there", "more rows follow"])
def test_a_last_line_that_was_given_an_end_since_is_the_same_line(lines: list[Line], tmp_path: Path) -> None:
    """The finished run read it without its end, one byte shorter."""
    last = lines[8]
    shorter = replace(last, position=replace(last.position, offset=last.position.offset - 1))
    run_to_end(tmp_path, lines=[*lines[:8], shorter])
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        log = drive(ledger, lines, good)
        ledger.finish({})
        assert ledger.tally.failed_total == 0
    assert sorted(log.asked) == FAILED


@pytest.mark.parametrize("how", ["refused", "killed"])
def test_a_retry_in_which_nothing_was_settled_gives_the_finished_run_back(how: str, tmp_path: Path) -> None:
    """Old rows may have been carried over: nobody paid for those."""
    run_to_end(tmp_path)
    before = results(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        feed_until_asked(ledger)
        ledger.checkpoint()()
        assert (tmp_path / "qa.jsonl.partial").stat().st_size > 0
        left = results(tmp_path)
    if how == "killed":
        for name, data in left.items():
            (tmp_path / name).write_bytes(data)
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.mode, ledger.start) == ("finished", "run", LINES[-1].position)
    assert {name: data for name, data in results(tmp_path).items() if "lock" not in name} == before


def test_a_retry_in_which_something_was_settled_goes_on(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        feed_until_asked(ledger)
        ledger.settle(good(FAILED[0]))
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.mode) == ("resumed", "retry")
        assert sorted(drive(ledger, LINES, good).asked) == FAILED[1:]


def test_a_fresh_run_gives_up_a_retry_and_keeps_the_finished_output(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = results(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        ledger.expect(LINES[0].data, LINES[0].units, LINES[0].position)
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert (ledger.state, ledger.mode, ledger.until) == ("new", "run", None)
    assert {name: data for name, data in results(tmp_path).items() if name in before} == before


def test_an_old_output_that_is_gone_ends_the_retry(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.retry()
        feed_until_asked(ledger)
        ledger.settle(good(FAILED[0]))
    (tmp_path / "qa.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"qa\.jsonl is not as the finished run left it"):
        open_ledger(tmp_path)

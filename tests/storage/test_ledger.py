"""The ledger writes in input order whatever the order of the answers, and says what stands in a run's way."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.types import Outcome, TaskId
from tests.storage.scenario import (
    IDENTITY,
    LINES,
    STAMP,
    Line,
    bad,
    drive,
    fails_at_first,
    good,
    open_ledger,
    render,
    results,
    run_to_end,
)


def expected(lines: list[Line], failed: bool) -> bytes:
    outcomes = [(line.data, fails_at_first(unit)) for line in lines for unit in line.units]
    return b"".join(render(data, outcome) for data, outcome in outcomes if hasattr(outcome, "code") is failed)


def announce(ledger: object, lines: list[Line] = LINES) -> None:
    for line in lines:
        if line.data:
            ledger.expect(line.data, line.units, line.position)  # type: ignore[attr-defined]
        else:
            ledger.skip(line.position)  # type: ignore[attr-defined]


UNITS = [unit for line in LINES for unit in line.units]


@settings(max_examples=25, deadline=None)
@given(st.permutations(UNITS), st.integers(1, 20))
def test_any_order_of_answers_gives_the_order_of_the_input(order: list[TaskId], every: int) -> None:
    """Good and bad ones each in their own file, with checkpoints in between."""
    with tempfile.TemporaryDirectory() as place, open_ledger(Path(place)) as ledger:
        announce(ledger)
        for number, unit in enumerate(order):
            ledger.settle(fails_at_first(unit))
            if number % every == 0:
                ledger.checkpoint()()
        ledger.finish({})
        left = results(Path(place))
    assert left["qa.jsonl"] == expected(LINES, failed=False)
    assert left["qa.failed.jsonl"] == expected(LINES, failed=True)


def test_a_run_leaves_three_files_and_tells_of_itself(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    assert list(results(tmp_path)) == ["qa.failed.jsonl", "qa.jsonl", "qa.run.json"]
    told = json.loads((tmp_path / "qa.run.json").read_text())
    assert told["note"] == "ours"
    assert told["identity"] == IDENTITY
    assert told["counts"]["units"] == len(UNITS)
    assert told["counts"]["failed"] == {"no_tag": 3}
    assert told["position"]["number"] == 10
    assert told["lengths"] == {
        "output": (tmp_path / "qa.jsonl").stat().st_size,
        "failed": (tmp_path / "qa.failed.jsonl").stat().st_size,
    }
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        assert (ledger.state, ledger.stamp, ledger.start) == ("finished", STAMP, LINES[-1].position)


def test_the_partial_files_can_be_read_along(tmp_path: Path) -> None:
    """Rows are there as soon as the head has passed them, and not before."""
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        assert (ledger.waiting, ledger.waiting_bytes) == (len(UNITS), sum(len(line.data) for line in LINES))
        ledger.settle(good(TaskId(1, 1)))
        ledger.settle(good(TaskId(2)))
        assert (tmp_path / "qa.jsonl.partial").read_bytes() == b""
        ledger.settle(good(TaskId(1, 0)))
        assert (tmp_path / "qa.jsonl.partial").read_bytes().count(b"\n") == 3
        assert (ledger.waiting, ledger.tally.units) == (len(UNITS) - 3, 3)


def test_nothing_is_held_of_what_is_written(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        drive(ledger, LINES, fails_at_first)
        assert (ledger.waiting, ledger.waiting_bytes) == (0, 0)
        assert ledger.intake is not None
        window = ledger.intake.window
        assert (len(window.slots), len(window.open)) == (0, 0)


def test_a_run_without_good_rows_leaves_an_empty_output(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        drive(ledger, LINES[:3], bad)
        ledger.finish({})
    assert (tmp_path / "qa.jsonl").read_bytes() == b""
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "finished"


def test_an_empty_input_is_a_run_too(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.finish({})
    assert sorted(results(tmp_path)) == ["qa.jsonl", "qa.run.json"]


def test_finishing_twice_is_harmless(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        drive(ledger, LINES, fails_at_first)
        ledger.finish({"note": "ours"})
        once = results(tmp_path)
        ledger.finish({"note": "other"})
        assert results(tmp_path) == once
        assert (ledger.state, ledger.tally.units) == ("finished", len(UNITS))


def test_a_unit_is_settled_once_and_only_if_expected(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        announce(ledger, LINES[:2])
        ledger.settle(good(TaskId(2)))
        for unit in (TaskId(2), TaskId(9)):
            with pytest.raises(RuntimeError, match="settled twice, or was never expected"):
                ledger.settle(good(unit))
        with pytest.raises(RuntimeError, match="3 units are not written"):
            ledger.finish({})
        with pytest.raises(RuntimeError, match="line 2 was announced after line 2"):
            ledger.skip(LINES[1].position)
    with pytest.raises(RuntimeError, match="finished or closed"):
        ledger.settle(good(TaskId(1)))


def test_a_row_whose_line_cannot_be_made_is_not_half_written(tmp_path: Path) -> None:
    """A bug is not caught, but the run's files stay good and the same run goes on when it is mended."""

    def breaks(line: bytes, outcome: Outcome) -> bytes:
        if outcome.task_id == TaskId(3, 1):
            raise ZeroDivisionError
        return render(line, outcome)

    with open_ledger(tmp_path / "bug", render=breaks) as ledger, pytest.raises(ZeroDivisionError):
        drive(ledger, LINES, fails_at_first)
    assert (tmp_path / "bug" / "qa.jsonl.partial").read_bytes() == expected(LINES[:2], failed=False)
    run_to_end(tmp_path / "bug")
    run_to_end(tmp_path / "none")
    assert results(tmp_path / "bug") == results(tmp_path / "none")

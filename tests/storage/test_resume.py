"""A run that was broken off, or is finished, goes on only as the same run; the rest is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.types import Position, TaskId
from tests.storage.scenario import (
    IDENTITY,
    LINES,
    bad,
    drive,
    fails_at_first,
    good,
    make_lines,
    open_ledger,
    results,
    run_to_end,
)
from tests.storage.test_ledger import UNITS, announce, expected


def interrupted(folder: Path) -> None:
    """A run with row 1 settled in part, and row 2 ahead of it."""
    with open_ledger(folder) as ledger:
        announce(ledger, LINES[:3])
        ledger.settle(good(TaskId(1, 1)))
        ledger.settle(bad(TaskId(2)))


def test_a_changed_line_is_refused_by_its_number(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.expect(LINES[0].data, LINES[0].units, LINES[0].position)
        with pytest.raises(SettingsError, match="the input changed at line 2"):
            ledger.expect(b'{"image": "other.jpg"}', LINES[1].units, LINES[1].position)
    run_to_end(tmp_path)
    assert (tmp_path / "qa.jsonl").read_bytes() == expected(LINES, failed=False)


@pytest.mark.parametrize("prepare", [interrupted, run_to_end], ids=["unfinished", "finished"])
@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({**IDENTITY, "seed": 8}, "the setting seed was 7 in this run and is 8 now"),
        ({"model": "qwen"}, "the setting seed was 7 in this run and is not set now"),
        ({**IDENTITY, "tag": "<mam>"}, 'the setting tag was not set in this run and is "<mam>" now'),
    ],
)
def test_a_changed_setting_is_refused_by_its_name(
    prepare: object, identity: dict[str, object], words: str, tmp_path: Path
) -> None:
    prepare(tmp_path)  # type: ignore[operator]
    before = results(tmp_path)
    with pytest.raises(SettingsError, match=f"{words}: give the old value, choose another -o, or .* --fresh"):
        open_ledger(tmp_path, identity=identity)
    assert results(tmp_path) == before
    with open_ledger(tmp_path, identity=identity, fresh=True) as ledger:
        assert (ledger.state, ledger.start.number, ledger.tally.units) == ("new", 0, 0)


def test_a_setting_is_the_same_after_its_way_through_json(tmp_path: Path) -> None:
    identity = {"made_of": ("a", "b")}
    for state in ("new", "resumed"):
        with open_ledger(tmp_path, identity=identity) as ledger:
            assert ledger.state == state
            if state == "new":
                announce(ledger)
                ledger.settle(good(TaskId(10)))


def test_a_run_in_which_nothing_was_settled_leaves_nothing_and_binds_nobody(tmp_path: Path) -> None:
    with open_ledger(tmp_path, identity={"model": "wrong"}) as ledger:
        announce(ledger)
    assert list(tmp_path.iterdir()) == []
    with open_ledger(tmp_path, identity={"model": "wrong"}):
        copy = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, content in copy.items():  # as a kill would have left it
        (tmp_path / name).write_bytes(content)
    with open_ledger(tmp_path, identity={"model": "right"}) as ledger:
        assert ledger.state == "new"


def test_a_fresh_run_in_which_nothing_was_settled_leaves_the_finished_one(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with open_ledger(tmp_path, fresh=True, identity={"model": "other"}) as ledger:
        announce(ledger)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "finished"


def test_a_fresh_run_leaves_the_finished_output_in_place_until_its_end(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    old = (tmp_path / "qa.jsonl").read_bytes()
    with open_ledger(tmp_path, fresh=True) as ledger:
        drive(ledger, LINES[:5], good)
        assert (tmp_path / "qa.jsonl").read_bytes() == old
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "resumed"
        drive(ledger, LINES[:5], good)
        ledger.finish({})
    assert len((tmp_path / "qa.jsonl").read_bytes().splitlines()) == 7
    assert not (tmp_path / "qa.failed.jsonl").exists()


def test_a_fresh_run_knows_nothing_of_the_unfinished_one(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        log = drive(ledger, LINES, fails_at_first)
        ledger.finish({})
    assert sorted(log.asked) == UNITS


def test_the_inputs_stamp_is_noted_with_the_first_checkpoint_of_ones_own(tmp_path: Path) -> None:
    """Until then the old one is kept, so a look at the input that found it changed is not forgotten."""
    interrupted(tmp_path)
    for _ in range(2):
        with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
            assert ledger.stamp == {"size": 1, "mtime_ns": 2}
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        ledger.checkpoint()()
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        assert ledger.stamp == {"size": 9}


def test_time_adds_up_over_resumes(tmp_path: Path) -> None:
    for expected_before in (0.0, 10.0):
        ticks = iter(range(0, 100, 10))
        with open_ledger(tmp_path, clock=lambda ticks=ticks: float(next(ticks))) as ledger:
            assert ledger.books is not None
            assert ledger.books.opened.seconds == expected_before
            announce(ledger)
            if not expected_before:
                ledger.settle(good(TaskId(10)))


def test_a_checkpoint_that_comes_late_undoes_nothing(tmp_path: Path) -> None:
    """Two taken, the later one made first: the earlier one's journal is gone, so it must not count any more."""
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        ledger.settle(good(TaskId(10)))
        early = ledger.checkpoint()
        ledger.settle(good(TaskId(9, 0)))
        late = ledger.checkpoint()
        late()
        early()
    with open_ledger(tmp_path) as ledger:
        assert ledger.books is not None
        assert set(ledger.books.replayed) == {TaskId(10), TaskId(9, 0)}
    late()
    assert (tmp_path / "qa.jsonl.checkpoint").exists()


def test_a_checkpoint_before_the_journal_is_read_back_loses_nothing(tmp_path: Path) -> None:
    """What an earlier process settled is known until its row is announced again, however often the run is resumed."""
    interrupted(tmp_path)
    open_ledger(tmp_path).close()
    with open_ledger(tmp_path) as ledger:
        ledger.checkpoint()()
        ledger.expect(LINES[0].data, LINES[0].units, LINES[0].position)
        ledger.checkpoint()()
    with open_ledger(tmp_path) as ledger:
        assert ledger.expect(LINES[0].data, LINES[0].units, LINES[0].position) == (TaskId(1, 0),)
        assert ledger.expect(LINES[1].data, LINES[1].units, LINES[1].position) == ()
        ledger.sync()


def test_a_file_of_the_run_that_is_gone_is_named(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    (tmp_path / "qa.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"qa\.jsonl is gone: put it back, or start again with --fresh"):
        open_ledger(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert ledger.state == "new"


def test_a_reopened_run_equals_one_that_was_never_finished(tmp_path: Path) -> None:
    """Lines were appended, or the limit was raised."""
    lines = make_lines(16)
    run_to_end(tmp_path / "parts", lines=lines[:7])
    with open_ledger(tmp_path / "parts") as ledger:
        assert (ledger.state, ledger.start) == ("finished", lines[6].position)
        ledger.reopen()
        assert ledger.start == lines[6].position
        log = drive(ledger, lines, fails_at_first)
        ledger.finish({"note": "ours"})
    assert min(log.asked).row == 9
    run_to_end(tmp_path / "whole", lines=lines)
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_only_a_finished_run_is_reopened_or_retried(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        for go_on in (ledger.reopen, ledger.retry):
            with pytest.raises(RuntimeError, match="only a finished run"):
                go_on()


def test_positions_are_kept_to_the_byte(tmp_path: Path) -> None:
    """Blank lines after the last row count as read."""
    with open_ledger(tmp_path) as ledger:
        drive(ledger, LINES[:8], fails_at_first)
        ledger.checkpoint()()
    with open_ledger(tmp_path) as ledger:
        assert ledger.start == LINES[7].position == Position(*vars_of(LINES[7].position))


def vars_of(position: Position) -> tuple[int, int, str]:
    return position.offset, position.number, position.digest

"""A run stops if its first results are all the same failure of the endpoint."""

from __future__ import annotations

import pytest

from persqa_client.engines.early_stop import FIRST_RESULTS, EarlyStop, UnusableStart
from persqa_client.errors import RunStopped
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.types import TaskId


def make_failure(row: int, code: str = "too_large", raw: str = "too large") -> Failure:
    return Failure(TaskId(row), code, "Too large.", "endpoint", 1, raw)


def make_record(row: int) -> Record:
    return Record(TaskId(row), "attribute", "<mam>", "q", "<mam> a", "<mam> a", 0)


def test_equal_failures_stop_the_run() -> None:
    early_stop = EarlyStop()
    for row in range(1, FIRST_RESULTS):
        assert early_stop.admit(make_failure(row, raw=f"Row of {row} tokens is too large")) == []
    with pytest.raises(RunStopped, match="20"):
        early_stop.admit(make_failure(FIRST_RESULTS, raw=f"Row of {FIRST_RESULTS} tokens is too large"))


@pytest.mark.parametrize("other", [make_record(9), make_failure(9, code="rejected"), make_failure(9, raw="else")])
def test_a_different_result_admits_all_from_then_on(other: Failure | Record) -> None:
    early_stop = EarlyStop()
    first = [make_failure(row) for row in range(1, 6)]
    assert [early_stop.admit(failure) for failure in first] == [[]] * 5
    assert early_stop.admit(other) == [*first, other]
    later = [make_failure(row) for row in range(10, 60)]
    assert [early_stop.admit(failure) for failure in later] == [[failure] for failure in later]


def test_failures_of_the_input_are_admitted_and_not_counted() -> None:
    early_stop = EarlyStop(first_results=2)
    missing = Failure(TaskId(1), "image_missing", "m")
    assert [early_stop.admit(missing) for _ in range(50)] == [[missing]] * 50
    assert early_stop.admit(make_failure(2)) == []
    with pytest.raises(RunStopped):
        early_stop.admit(make_failure(3))


def test_rejected_answers_are_admitted() -> None:
    early_stop = EarlyStop(first_results=2)
    bad = Failure(TaskId(1), "no_tag", "m", "answer", 2)
    assert [early_stop.admit(bad) for _ in range(5)] == [[bad]] * 5


def test_held_failures_are_released_at_the_end() -> None:
    early_stop = EarlyStop()
    held = [make_failure(1), make_failure(2)]
    for failure in held:
        early_stop.admit(failure)
    assert early_stop.release() == held
    assert early_stop.release() == []


def test_a_run_with_earlier_answers_is_not_stopped() -> None:
    early_stop = EarlyStop(first_results=2, passed=True)
    assert [early_stop.admit(make_failure(row)) for row in (1, 2, 3)] == [[make_failure(row)] for row in (1, 2, 3)]


def fail_input(row: int, code: str = "bad_line") -> Failure:
    return Failure(TaskId(row), code, f"Line {row}: not JSON.")


def admit(start: UnusableStart, outcome: Failure | Record, *, usable: bool = False, room: bool = True) -> list[Outcome]:
    return start.admit(outcome, has_usable_rows=usable, has_room=room)


def test_unusable_first_rows_are_held_and_explained() -> None:
    start = UnusableStart(3)
    failures = [fail_input(2), fail_input(1), fail_input(3, "no_image")]
    admitted = [(admit(start, failure), start.is_at_limit) for failure in failures]
    assert admitted == [([], False), ([], False), ([], True)]
    assert str(start.explain()) == (
        "None of the first 3 rows could be asked about (bad_line 2, no_image 1), so the run was stopped. "
        "Line 1: not JSON. Correct these rows, or leave them out. In JSONL, a row is one JSON object on a line. "
        "None of these rows was marked as failed. If later rows are good, let these fail with --max-bad-rows 0."
    )


@pytest.mark.parametrize("usable", [False, True])
def test_a_usable_row_releases_them_for_good(usable: bool) -> None:
    start = UnusableStart(3)
    first = [fail_input(1), fail_input(2)]
    for failure in first:
        admit(start, failure)
    other = fail_input(3) if usable else make_failure(3)
    assert admit(start, other, usable=usable) == [*first, other]
    later = [fail_input(row) for row in range(4, 20)]
    assert [admit(start, failure) for failure in later] == [[failure] for failure in later]
    assert not start.is_at_limit


def test_the_questions_of_a_row_count_once() -> None:
    start = UnusableStart(2)
    for question in range(5):
        admit(start, Failure(TaskId(1, question), "image_missing", "m"))
    assert not start.is_at_limit


def test_without_memory_they_are_stored_and_still_count() -> None:
    start = UnusableStart(2)
    assert admit(start, fail_input(1), room=False) == [fail_input(1)]
    assert admit(start, fail_input(2)) == []
    assert start.is_at_limit
    assert "1 of them are in the failure file." in str(start.explain())


@pytest.mark.parametrize("start", [UnusableStart(0), UnusableStart(1, passed=True)])
def test_it_can_be_turned_off(start: UnusableStart) -> None:
    assert admit(start, fail_input(1)) == [fail_input(1)]
    assert not start.is_at_limit

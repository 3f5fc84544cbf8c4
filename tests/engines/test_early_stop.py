"""The first results: twenty alike are the run's fault, anything else is the rows'."""

from __future__ import annotations

import pytest

from persqa_client.engines.row_loop import FIRST_RESULTS, EarlyStop
from persqa_client.errors import RunStopped
from persqa_client.types import Failure, Record, TaskId


def refused(row: int, code: str = "too_large", raw: str = "too large") -> Failure:
    return Failure(TaskId(row), code, "Too large.", "endpoint", 1, raw)


def good(row: int) -> Record:
    return Record(TaskId(row), "attribute", "<mam>", "q", "<mam> a", "<mam> a", 0)


def test_twenty_refusals_alike_stop_the_run() -> None:
    probation = EarlyStop()
    for row in range(1, FIRST_RESULTS):
        assert probation.judge(refused(row, raw=f"Row of {row} tokens is too large")) == []
    with pytest.raises(RunStopped, match="first 20 results"):
        probation.judge(refused(FIRST_RESULTS, raw=f"Row of {FIRST_RESULTS} tokens is too large"))


@pytest.mark.parametrize("other", [good(9), refused(9, code="rejected"), refused(9, raw="else")])
def test_one_different_result_lets_all_through_for_good(other: Failure | Record) -> None:
    probation = EarlyStop()
    first = [refused(row) for row in range(1, 6)]
    assert [probation.judge(failure) for failure in first] == [[]] * 5
    assert probation.judge(other) == [*first, other]
    later = [refused(row) for row in range(10, 60)]
    assert [probation.judge(failure) for failure in later] == [[failure] for failure in later]


def test_rows_that_were_never_sent_go_through_and_prove_nothing() -> None:
    probation = EarlyStop(most=2)
    missing = Failure(TaskId(1), "image_missing", "m")
    assert [probation.judge(missing) for _ in range(50)] == [[missing]] * 50
    assert probation.judge(refused(2)) == []
    with pytest.raises(RunStopped):
        probation.judge(refused(3))


def test_refused_answers_are_the_rows_own() -> None:
    probation = EarlyStop(most=2)
    bad = Failure(TaskId(1), "no_tag", "m", "answer", 2)
    assert [probation.judge(bad) for _ in range(5)] == [[bad]] * 5


def test_what_is_held_at_the_end_is_released() -> None:
    probation = EarlyStop()
    held = [refused(1), refused(2)]
    for failure in held:
        probation.judge(failure)
    assert probation.release() == held
    assert probation.release() == []


def test_a_run_that_was_answered_before_has_passed() -> None:
    probation = EarlyStop(most=2, passed=True)
    assert [probation.judge(refused(row)) for row in (1, 2, 3)] == [[refused(row)] for row in (1, 2, 3)]

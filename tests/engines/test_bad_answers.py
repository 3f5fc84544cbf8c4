"""Rejected answers are held until a good answer shows that they are the rows' own."""

from __future__ import annotations

import pytest

from persqa_client.engines.bad_answers import BadAnswers
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.types import TaskId


def reject(row: int, code: str = "refusal", raw: str | None = "I'm sorry, but I can't help with that.") -> Failure:
    message = f"Line {row}: Both answers were rejected; last reason: refusal."
    return Failure(TaskId(row), code, message, "answer", 2, raw)


def make_record(row: int) -> Record:
    return Record(TaskId(row), "attribute", "<mam>", "q", "<mam> a", "<mam> a", 0)


def admit_in_turn(bad_answers: BadAnswers, *outcomes: Outcome) -> list[list[Outcome]]:
    """Each is asked after the one before."""
    return [bad_answers.admit(each, began=number, ended=number + 1) for number, each in enumerate(outcomes)]


def test_a_later_good_answer_releases_the_failures() -> None:
    first, second, good = reject(1), reject(2, "no_tag"), make_record(3)
    assert admit_in_turn(BadAnswers(20), first, second, good) == [[], [], [first, second, good]]


def test_a_good_answer_releases_only_what_ended_before_it_was_asked_for() -> None:
    bad_answers = BadAnswers(20)
    early, late, later = reject(1), reject(2), reject(5)
    assert bad_answers.admit(early, began=0, ended=1) == []
    assert bad_answers.admit(late, began=0, ended=2) == []
    assert bad_answers.admit(make_record(3), began=0, ended=3) == [make_record(3)]
    assert bad_answers.admit(make_record(4), began=1, ended=4) == [early, make_record(4)]
    assert bad_answers.admit(later, began=3, ended=5) == []
    assert bad_answers.admit(make_record(6), began=5, ended=6) == [late, later, make_record(6)]


@pytest.mark.parametrize("codes", [("refusal",), ("no_tag", "loop", "wrong_language")])
def test_the_limit_counts_failures_of_any_code_since_a_good_answer(codes: tuple[str, ...]) -> None:
    bad_answers = BadAnswers(4)
    failures = [reject(row, codes[row % len(codes)]) for row in range(4)]
    admit_in_turn(bad_answers, *failures[:3])
    bad_answers.admit(make_record(9), began=0, ended=4)
    admit_in_turn(bad_answers, *failures[:3])
    assert not bad_answers.is_at_limit
    admit_in_turn(bad_answers, failures[3])
    assert bad_answers.is_at_limit


@pytest.mark.parametrize("stage", ["input", "endpoint"])
def test_other_failures_pass_and_show_nothing(stage: str) -> None:
    bad_answers = BadAnswers(2)
    other = Failure(TaskId(2), "x", "m", stage)  # type: ignore[arg-type]
    assert admit_in_turn(bad_answers, reject(1), other, reject(3)) == [[], [other], []]
    assert bad_answers.is_at_limit


def test_without_a_limit_nothing_is_held() -> None:
    bad_answers = BadAnswers(0)
    failures = [reject(row) for row in range(40)]
    assert admit_in_turn(bad_answers, *failures) == [[failure] for failure in failures]
    assert not bad_answers.is_at_limit
    assert not bad_answers.has_enough_for_check


def test_a_streak_is_three_or_the_limit() -> None:
    bad_answers, strict = BadAnswers(20), BadAnswers(1)
    admit_in_turn(bad_answers, reject(1), reject(2))
    admit_in_turn(strict, reject(1))
    assert (bad_answers.has_enough_for_check, strict.has_enough_for_check) == (False, True)
    admit_in_turn(bad_answers, reject(3))
    assert bad_answers.has_enough_for_check


def test_failures_are_released_once() -> None:
    bad_answers = BadAnswers(20)
    admit_in_turn(bad_answers, reject(1), reject(2))
    assert bad_answers.release() == [reject(1), reject(2)]
    assert bad_answers.release() == []


def test_the_message_names_the_kinds_an_example_and_the_way_on() -> None:
    bad_answers = BadAnswers(3)
    admit_in_turn(bad_answers, reject(1), reject(2), reject(3, "no_tag", "The man\n reads."))
    stop = bad_answers.explain(checked=False)
    assert stop.code == "no_tag"
    assert str(stop) == (
        "The last 3 answers were rejected (refusal 2, no_tag 1), so the run was stopped. Line 3: Both answers were "
        'rejected; last reason: refusal. The answer was: "The man reads." None of these rows was marked as failed. '
        "Another --strategy may help. If the rows are the reason, let them fail with --max-bad-answers 0."
    )


def test_the_message_tells_of_a_model_check_and_shortens_the_answer() -> None:
    bad_answers = BadAnswers(1)
    admit_in_turn(bad_answers, reject(7, "empty", "!" * 500))
    message = str(bad_answers.explain(checked=True))
    assert "and so was the answer to a row that had been answered before" in message
    assert f'Line 7: Both answers were rejected; last reason: refusal. The answer was: "{"!" * 160}…"' in message

"""Which rows of several runs ask the same."""

from __future__ import annotations

from typing import Any

from persqa_client.outcomes import Outcome
from persqa_client.report.matching import match_rows
from persqa_client.report.row_reader import ReportRow
from persqa_client.types import TaskId
from tests.report.runs import make_failure, make_input_failure, make_record


def make_row(outcome: Outcome, *images: str, **fields: Any) -> ReportRow:
    return ReportRow(fields.pop("task_id", outcome.task_id), 1, images, outcome, **fields)


def asked(line: int, question: str = "What is it?", image: str = "a.png", **fields: Any) -> ReportRow:
    return make_row(make_record(line, asked=question, **fields), image)


def test_rows_of_the_same_line_picture_and_question_match() -> None:
    one = [asked(1), asked(2), asked(3, "Where is it?")]
    other = [asked(3, "Where is it?"), asked(1), asked(4)]
    assert match_rows([one, other]) == [[0, 1, 2], [2, 0, 1]]


def test_another_question_or_picture_is_another_row() -> None:
    assert match_rows([[asked(1)], [asked(1, "Where is it?")]]) == [[0], [1]]
    assert match_rows([[asked(1)], [asked(1, image="b.png")]]) == [[0], [1]]


def test_the_same_line_counts_more_than_the_order() -> None:
    assert match_rows([[asked(1), asked(2)], [asked(2), asked(1)]]) == [[0, 1], [1, 0]]


def test_a_folder_that_has_moved_has_the_same_pictures_in_the_same_lines() -> None:
    assert match_rows([[asked(1, image="old/a.png")], [asked(1, image="new/a.png")]]) == [[0], [0]]
    assert match_rows([[asked(1, image="old/a.png")], [asked(2, image="new/a.png")]]) == [[0], [1]]


def test_a_question_is_known_by_its_identifier_if_its_words_differ() -> None:
    one, other = asked(1, "What does <mam> hold?", question_id="hold"), asked(1, "What does <bo> hold?")
    assert match_rows([[one], [other]]) == [[0], [1]]
    other = asked(5, "What does <bo> hold?", question_id="hold")
    assert match_rows([[one], [other]]) == [[0], [0]]


def test_a_failure_without_a_question_has_the_number_of_its_question() -> None:
    failure = make_row(make_input_failure(1), "a.png")
    assert match_rows([[asked(1)], [failure]]) == match_rows([[failure], [asked(1)]]) == [[0], [0]]
    rejected = make_row(make_failure(1, asked="Where is it?"), "a.png")
    assert match_rows([[asked(1)], [rejected]]) == [[0], [1]]
    assert match_rows([[asked(1, "Where is it?")], [rejected]]) == [[0], [0]]


def test_rows_whose_line_is_not_known_have_their_order() -> None:
    unknown = [make_row(make_record(0, asked="What is it?"), "a.png", task_id=None) for _ in range(2)]
    assert match_rows([[asked(1), asked(2)], unknown]) == [[0, 1], [0, 1]]


def test_three_runs_share_their_numbers() -> None:
    assert match_rows([[asked(1)], [asked(2, image="b.png")], [asked(2, image="b.png"), asked(1)]]) == [
        [0],
        [1],
        [1, 0],
    ]
    assert match_rows([[asked(1), asked(1)]]) == [[0, 1]]


def test_each_question_of_a_line_has_its_own_match() -> None:
    rows = [make_row(make_record(1, question=number, asked=f"What {number}?"), "a.png") for number in range(3)]
    assert match_rows([rows, rows[::-1]]) == [[0, 1, 2], [2, 1, 0]]
    failed = make_row(make_input_failure(1), "a.png")
    assert match_rows([rows, [failed]])[1] == [0]
    assert failed.task_id == TaskId(1)

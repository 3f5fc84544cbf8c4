"""What came of each row of a run, from the lines that the run wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from persqa_client.dataflow.base import reworded

ROW_KEY = "row"
"""The member of a run's rows that says which row of the frame each is, from 1."""
OUTPUT_KEY = "pers_qa"


class Answer(NamedTuple):
    """One question's end: ``text``, or ``error``, its code and reason."""

    text: str | None
    question: str | None = None
    error: str | None = None


def answers_of(rows: int, records: Iterable[dict[str, Any]], failures: Iterable[dict[str, Any]]) -> list[list[Answer]]:
    """For each row its answers in the order of its questions; one failure for a row that could not be asked about.

    ``records`` are in order; a failure says its question's number, 0 where it says none.
    """
    answers: list[list[Answer]] = [[] for _ in range(rows)]
    for record in records:
        question = record[f"{OUTPUT_KEY}_meta"]["question"]
        answers[record[ROW_KEY] - 1].append(Answer(record[OUTPUT_KEY], question))
    # In ascending order, each finds its place among those that went before.
    for failure in sorted(failures, key=lambda line: line["error"].get("question", 0)):
        error = failure["error"]
        answers[failure[ROW_KEY] - 1].insert(error.get("question", 0), Answer(None, error=reason_of(error)))
    return answers


def reason_of(error: dict[str, Any]) -> str:
    """The code and the message, which stands beside its row and needs no line's number."""
    place = f"Line {error['row']}: "
    return f"{error['code']}: {reworded(error['message'].removeprefix(place))}"

"""Finds the rows of several runs that ask the same: of the same input line, picture and question.

A line may have moved, a question may have other words with another tag, and a folder may have moved with its pictures.
So what fits best is matched first: the line, the names of the pictures and the words of the question; then their
identifier instead of their words; then the same without the line, but with the paths of the pictures. A failure may not
say its question. It is matched by its line, pictures and the number of the question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePath

from persqa_client.outcomes import AskedTask, Outcome, Record
from persqa_client.report.row_reader import ReportRow

MakeKey = Callable[[ReportRow], Hashable]


def match_rows(runs: Sequence[Sequence[ReportRow]]) -> list[list[int]]:
    """A number for each row of each run. Rows of different runs that ask the same have the same one; the rows of one
    run have different ones.
    """
    numbers: list[list[int]] = []
    known: list[tuple[int, ReportRow]] = []
    count = 0
    for rows in runs:
        found = match_to_known(known, rows) if known else {}
        own = []
        for place, row in enumerate(rows):
            if place not in found:
                found[place] = count
                known.append((count, row))
                count += 1
            own.append(found[place])
        numbers.append(own)
    return numbers


def match_to_known(known: Sequence[tuple[int, ReportRow]], rows: Sequence[ReportRow]) -> dict[int, int]:
    """Numbers of ``known`` by places of ``rows``; each number at most once."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    for make_key in KEYS:
        open_places: dict[Hashable, deque[int]] = {}
        for place, row in enumerate(rows):
            if place not in found and (key := make_key(row)) is not None:
                open_places.setdefault(key, deque()).append(place)
        for number, row in known if open_places else ():
            places = open_places.get(make_key(row)) if number not in taken else None
            if places and may_match(make_key, row, rows[places[0]]):
                found[places.popleft()] = number
                taken.add(number)
    return found


def key_with_line(row: ReportRow) -> Hashable:
    if row.task_id is None or (text := find_question_text(row.outcome)) is None:
        return None
    return row.task_id.row, list_picture_names(row), text


def key_with_line_and_id(row: ReportRow) -> Hashable:
    if row.task_id is None or (identifier := find_question_id(row.outcome)) is None:
        return None
    return row.task_id.row, list_picture_names(row), identifier


def key_without_line(row: ReportRow) -> Hashable:
    text = find_question_text(row.outcome)
    return (row.images, text) if row.images and text is not None else None


def key_without_line_by_id(row: ReportRow) -> Hashable:
    identifier = find_question_id(row.outcome)
    return (row.images, identifier) if row.images and identifier is not None else None


def key_by_number(row: ReportRow) -> Hashable:
    return None if row.task_id is None else (row.task_id, list_picture_names(row))


KEYS: tuple[MakeKey, ...] = (
    key_with_line,
    key_with_line_and_id,
    key_without_line,
    key_without_line_by_id,
    key_by_number,
)


def may_match(make_key: MakeKey, one: ReportRow, other: ReportRow) -> bool:
    """Questions that are both known and differ are not the same, whatever their numbers."""
    return make_key is not key_by_number or None in (find_question_text(one.outcome), find_question_text(other.outcome))


def list_picture_names(row: ReportRow) -> tuple[str, ...]:
    """The names of the pictures, without their folders. They are not known for a row that is not complete."""
    return tuple(PurePath(image).name if not image.startswith("data:") else image for image in row.images)


def find_task(outcome: Outcome) -> Record | AskedTask | None:
    return outcome if isinstance(outcome, Record) else outcome.task


def find_question_text(outcome: Outcome) -> str | None:
    task = find_task(outcome)
    return None if task is None else task.question


def find_question_id(outcome: Outcome) -> str | None:
    task = find_task(outcome)
    return None if task is None else task.question_id

"""Reads the details of a finished run in input order."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.jsonl import load_object
from persqa_client.outcomes import Outcome
from persqa_client.storage.checkpoint import foreign_file_error
from persqa_client.storage.details import outcome_from_details
from persqa_client.types import Json, TaskId

# The first members of each line of a details file.
PLACE = re.compile(rb'\{"row":(\d+),"question_number":(\d+),')


def open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SettingsError(
            f"{path} can't be read ({error.strerror or error}): make it readable, or move it"
        ) from error


class Segment(NamedTuple):
    """Lines in input order. Each retry and each recheck begins a new segment."""

    start: int
    end: int


class PlacedLine(NamedTuple):
    task_id: TaskId
    line: bytes


class DetailsIndex:
    """The segments of a details file. Memory grows with their number only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.segments: list[Segment] = []
        self.lines = 0
        start = offset = 0
        previous = TaskId(0)
        with open_file(path) as file:
            for line in file:
                task_id = parse_place(path, line)
                if task_id <= previous:
                    self.segments.append(Segment(start, offset))
                    start = offset
                previous = task_id
                offset += len(line)
                self.lines += 1
        self.segments.append(Segment(start, offset))

    def count_questions(self) -> int:
        return self.lines if len(self.segments) == 1 else sum(1 for _ in self.group())

    def read(self) -> Iterator[tuple[TaskId, tuple[Json, ...]]]:
        for task_id, lines in self.group():
            try:
                yield task_id, tuple([load_object(line.line) for line in lines])
            except ValueError as error:
                raise foreign_file_error(self.path) from error

    def group(self) -> Iterator[tuple[TaskId, Iterator[PlacedLine]]]:
        """The lines of a question are in the order of the segments, because the merge is stable."""
        segments = [self._read_segment(segment) for segment in self.segments]
        return groupby(heapq.merge(*segments, key=itemgetter(0)), key=itemgetter(0))

    def _read_segment(self, segment: Segment) -> Iterator[PlacedLine]:
        with open_file(self.path) as file:
            offset = file.seek(segment.start)
            while offset < segment.end:
                line = file.readline()
                offset += len(line)
                yield PlacedLine(parse_place(self.path, line), line)


def parse_place(path: Path, line: bytes) -> TaskId:
    found = PLACE.match(line)
    if found is None:
        raise foreign_file_error(path)
    return TaskId(int(found[1]), int(found[2]))


class LatestOutcomes:
    """The last outcome of each question, for rows in ascending order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._questions = DetailsIndex(path).group()
        self._next = next(self._questions, None)

    def take(self, task_ids: tuple[TaskId, ...]) -> dict[TaskId, Outcome]:
        """Those of the tasks of a row; later rows follow."""
        found: dict[TaskId, Outcome] = {}
        while self._next is not None and self._next[0] <= task_ids[-1]:
            task_id, lines = self._next
            if task_id in task_ids:
                *_, latest = lines
                try:
                    found[task_id] = outcome_from_details(load_object(latest.line))
                except ValueError as error:
                    raise foreign_file_error(self._path) from error
            self._next = next(self._questions, None)
        return found

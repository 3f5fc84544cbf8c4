"""The details file: what was asked, each answer as it was received, and what became of it.

Each retry and each recheck appends its lines in input order; a finished file is read in the order of the whole input.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.json_members import WHITESPACE_BYTES
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture
from persqa_client.storage.checkpoint import foreign_file_error
from persqa_client.storage.records import describe_picture, outcome_from_json, outcome_to_json
from persqa_client.types import Json, TaskId

# Members of a raw answer that are left out without a value.
OPTIONAL = frozenset({"problem", "steps", "sent_finish_reason", "refusal"})
# Members that are about the files.
NOT_OF_OUTCOMES = frozenset({"file", "line", "rechecked"})
# The first members of each line.
PLACE = re.compile(rb'\{"row":(\d+),"question_number":(\d+),')
ANSWERED = re.compile(PLACE.pattern + rb'"file":"output"')


def render_details(line: bytes, outcome: Outcome, written: bytes, *, rechecked: bool = False) -> bytes:
    """``line`` and ``written``: the input line, and the line of the output or of the failure file.

    The input line is added if it can't be restored from the written one by removing members from its end.
    ``rechecked``: the line replaces earlier ones of the question, and has their raw answers.
    """
    fields = outcome_to_details(outcome)
    if rechecked:
        fields["rechecked"] = True
    if isinstance(outcome, Record) and not written.startswith(line.rstrip(WHITESPACE_BYTES)[:-1]):
        fields["line"] = line.decode(errors="replace")
    return dump_compact(fields) + b"\n"


def outcome_to_details(outcome: Outcome) -> Json:
    fields = outcome_to_json(outcome)
    where = "failed" if isinstance(outcome, Failure) else "output"
    # First, so that the place of a question is found without parsing the line.
    place: Json = {"row": fields.pop("row"), "question_number": fields.pop("question_number"), "file": where}
    fields |= {
        "usage": {"prompt": outcome.usage.prompt, "completion": outcome.usage.completion},
        "pictures": [describe_picture(picture, with_file=True) for picture in outcome.pictures],
        "raws": [_describe_raw(raw) for raw in outcome.raws],
    }
    if outcome.raws and (isinstance(outcome, Record) or outcome.stage == "answer"):
        # One of the raw answers has the same text and finish reason (see outcome_from_details).
        del fields["raw"]
        fields.pop("finish_reason", None)
    if isinstance(outcome, Failure):
        del fields["task"]
        fields |= outcome.task._asdict() if outcome.task is not None else {}
    return place | fields


def _describe_raw(raw: RawAnswer) -> Json:
    return {name: value for name, value in raw._asdict().items() if value not in (None, ()) or name not in OPTIONAL}


def outcome_from_details(details: Json) -> Outcome:
    """Raises ValueError."""
    try:
        fields = {name: value for name, value in details.items() if name not in NOT_OF_OUTCOMES}
        raws = tuple(_parse_raw(raw) for raw in fields.pop("raws"))
        usage = fields.pop("usage")
        fields |= {"usage": (usage["prompt"], usage["completion"]), "raws": raws}
        fields["pictures"] = [SentPicture(**picture) for picture in fields["pictures"]]
        if "code" in fields:
            return _failure_from_details(fields)
        if raws:
            accepted = next((raw for raw in raws if raw.problem is None), raws[-1])
            fields["raw"] = accepted.text
            fields["finish_reason"] = accepted.sent_finish_reason or accepted.finish_reason
        return outcome_from_json(fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a line of a details file: {error}") from error


def _failure_from_details(fields: Json) -> Outcome:
    raws = fields["raws"]
    if raws and fields["stage"] == "answer":
        fields["raw"] = raws[-1].refusal or raws[-1].text
    if "question" in fields:
        fields["task"] = AskedTask(**{name: fields.pop(name) for name in AskedTask._fields})
    return outcome_from_json(fields)


def _parse_raw(fields: Json) -> RawAnswer:
    raw = RawAnswer(**fields)
    return raw._replace(steps=tuple(raw.steps))


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
                if not line.endswith(b"\n"):
                    # Of a file that is being written.
                    break
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

    def iter_latest(self) -> Iterator[bytes]:
        """The last line of each question."""
        for _, lines in self.group():
            *_, latest = lines
            yield latest.line

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


def is_answered_line(line: bytes) -> bool:
    """Whether the line is about an accepted answer."""
    return ANSWERED.match(line) is not None


class LatestOutcomes:
    """The last outcome of each question. Rows are taken in ascending order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._questions = DetailsIndex(path).group()
        self._next = next(self._questions, None)

    def take(self, task_ids: tuple[TaskId, ...]) -> dict[TaskId, Outcome]:
        """Returns the latest outcomes of a row's tasks. Call it for rows in ascending order."""
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

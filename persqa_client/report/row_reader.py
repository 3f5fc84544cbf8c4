"""Reads one question of a run from its lines: the one in the output or the failure file, and those of the details."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.rows import parse_images
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.run.finished_run import ANSWER_CODES, read_details, split_answer
from persqa_client.storage.decisions import Decision, Decisions, Subject, get_decided_text
from persqa_client.storage.records import NO_ROW, outcome_from_json, parse_failure_line
from persqa_client.types import Json, TaskId

# Settings of an output whose run file is lost.
DEFAULT_IDENTITY: Json = {"image-key": "image", "output-key": "pers_qa", "tag": "mam"}
# Ends of names of files that are beside an output.
OTHER_FILES = (".failed.jsonl", ".details.jsonl", ".listing.jsonl", ".decisions.jsonl", ".timeline.jsonl", ".run.json")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One question. ``task_id`` is None if no file says which input line it belongs to."""

    task_id: TaskId | None
    # Number of the line in the output or the failure file, from 1.
    line: int
    images: tuple[str, ...]
    outcome: Outcome
    # Text of an input line that is not a row.
    text: str | None = None
    # Whether the output has another answer than the run stored.
    edited: bool = False
    # Only the journal has the outcome, because its row or an earlier one is open. Its images are then not known.
    is_waiting: bool = False
    # The latest decision of a person. If it is about another answer than the present one, it does not apply.
    decision: Decision | None = None
    # Whether a details line was found, or is not needed.
    has_details: bool = True

    @property
    def question(self) -> str:
        if isinstance(self.outcome, Record):
            return self.outcome.question
        if self.outcome.task is not None:
            return self.outcome.task.question
        return (self.text or "") if self.outcome.code != NO_ROW else ""

    @property
    def decided_text(self) -> str:
        return get_decided_text(self.outcome)

    @property
    def subject(self) -> Subject:
        return Subject(self.task_id, self.images, self.question)

    def with_decision(self, decisions: Decisions) -> ReportRow:
        found = decisions.find(self.subject, self.decided_text)
        if found is None:
            found = decisions.find_stale(self.subject, self.decided_text)
        elif found.is_empty:
            found = None
        return self if found is None else replace(self, decision=found)


class WrittenRow(NamedTuple):
    """A line of the output or of the failure file as it is, its members, and the run's details about it."""

    line: bytes
    fields: Json
    row: ReportRow


class RowReader:
    """``output`` and ``failed`` are the paths in messages."""

    def __init__(self, identity: Json, output: Path, failed: Path) -> None:
        self._output, self._failed = output, failed
        self._image_key: str = identity["image-key"]
        self._output_key: str = identity["output-key"]
        self._default_tag = f"<{identity['tag']}>"

    def read_output_line(self, number: int, line: bytes, record: Record | None) -> WrittenRow:
        """``record``: what the details say of the answer. Raises SettingsError for a line that no run wrote."""
        fields = self._load_row(number, line)
        images = self._find_images(fields)
        if record is None:
            row = ReportRow(None, number, images, self._read_written(fields), has_details=False)
            return WrittenRow(line, fields, row)
        is_same = contains_answer(line, record)
        if not is_same:
            record = replace(record, answer=self._read_answer(fields, record.tag, record.question)[1])
        return WrittenRow(line, fields, ReportRow(record.task_id, number, images, record, edited=not is_same))

    def read_failure_line(self, number: int, line: bytes, outcome: Outcome | None) -> ReportRow:
        """``outcome``: the one of the details. Raises SettingsError for a line that no run wrote."""
        fields = load_own_line(self._failed, line)
        task_id, code = read_failed_place(self._failed, number, line)
        has_details = outcome is not None or code not in ANSWER_CODES
        if not isinstance(outcome, Failure):
            error = fields["error"]
            stage: Any = "answer" if code in ANSWER_CODES else "input"
            outcome = Failure(task_id, code, str(error["message"]), stage, int(error["attempts"]), error["raw"])
        text = fields.get("line") if code == NO_ROW else fields.get("question")
        text = text if isinstance(text, str) else None
        return ReportRow(task_id, number, self._find_images(fields), outcome, text, has_details=has_details)

    def _load_row(self, number: int, line: bytes) -> Json:
        try:
            fields = load_object(line)
        except ValueError as error:
            raise self._foreign_error(number, str(error)) from error
        if not isinstance(fields.get(self._output_key), str):
            raise self._foreign_error(number, f"it has no text {self._output_key!r}")
        return fields

    def _foreign_error(self, number: int, reason: str) -> SettingsError:
        path = self._output
        suffix = next((each for each in OTHER_FILES if path.name.endswith(each)), None)
        advice = f": name {path.name.removesuffix(suffix)}.jsonl" if suffix else ""
        return SettingsError(f"{path} is not the output of a run (line {number}: {reason}){advice}")

    def _read_written(self, fields: Json) -> Record:
        """Reads what the output line has; with ``--details`` that is nearly everything."""
        record = self._read_meta(fields)
        if record is not None:
            return record
        tag = fields.get("tag")
        tag = f"<{tag.strip('<> ')}>" if isinstance(tag, str) and tag.strip("<> ") else self._default_tag
        question, answer = self._read_answer(fields, tag, None)
        return Record(TaskId(0), "attribute", tag, question, answer, answer, 0)

    def _read_meta(self, fields: Json) -> Record | None:
        meta = fields.get(f"{self._output_key}_meta")
        if not isinstance(meta, dict) or not isinstance(usage := meta.get("usage"), dict):
            return None
        pictures = [tuple(picture.values()) for picture in meta.get("pictures", ())]
        shared = {"row": 0, "question_number": 0, "usage": tuple(usage.values()), "pictures": pictures}
        try:
            record = outcome_from_json(meta | shared)
        except ValueError:
            return None
        return record if isinstance(record, Record) else None

    def _read_answer(self, fields: Json, tag: str, question: str | None) -> tuple[str, str]:
        text: str = fields[self._output_key]
        try:
            return split_answer(text, tag, question)
        except ValueError:
            own = fields.get("question")
            return question or (own if isinstance(own, str) else ""), text

    def _find_images(self, fields: Json) -> tuple[str, ...]:
        try:
            return parse_images(fields, self._image_key)
        except RowError:
            return ()


def read_outcome(lines: tuple[Json, ...]) -> Outcome:
    """Reads an outcome with the raw answers of all lines of the question that are about the present picture."""
    try:
        return read_details(lines).outcome
    except ValueError as error:
        raise SettingsError(f"the details of row {lines[-1].get('row')} can't be read: {error}") from error


def contains_answer(line: bytes, record: Record) -> bool:
    return dump_compact(record.answer)[1:-1] in line


def read_failed_place(path: Path, number: int, line: bytes) -> tuple[TaskId, str]:
    try:
        return parse_failure_line(line)
    except ValueError as error:
        raise SettingsError(f"{path} is not the failure file of a run (line {number}: {error})") from error


def load_own_line(path: Path, line: bytes) -> dict[str, Any]:
    try:
        return load_object(line)
    except ValueError as error:
        raise SettingsError(f"{path} was not written by a run, or was changed since: {error}") from error

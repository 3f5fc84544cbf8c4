"""Reads the files of a run, finished or not, into rows of a report: each question once, in input order.

The files are neither locked nor changed. Those of an unfinished run are read as far as they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.rows import parse_images
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.run.finished_run import ANSWER_CODES, read_details, split_answer
from persqa_client.run.image_roots import find_image_roots
from persqa_client.run.timeline import TimelineStart, read_timeline
from persqa_client.storage.checkpoint import find_recorded_roots, read_checkpoint, read_run_file
from persqa_client.storage.details import DetailsIndex, is_answered_line, open_file, parse_place
from persqa_client.storage.journal import read_journal
from persqa_client.storage.records import NO_ROW, outcome_from_json, parse_failure_line
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json, TaskId

RunState = Literal["finished", "unfinished", "unknown"]
# Of an output whose run file is lost.
DEFAULT_IDENTITY: Json = {"image-key": "image", "output-key": "pers_qa", "tag": "mam"}
# Ends of names of files that are beside an output.
OTHER_FILES = (".failed.jsonl", ".details.jsonl", ".listing.jsonl", ".timeline.jsonl", ".run.json")


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


class AcceptedRow(NamedTuple):
    """A line of the output as it is, its members, and what the run knows of it."""

    line: bytes
    fields: Json
    row: ReportRow


@dataclass(frozen=True, slots=True)
class ReportedRun:
    output: Path
    state: RunState
    identity: Json
    rows: list[ReportRow]
    # Where relative paths of images start.
    roots: tuple[Path, ...]
    # Rows without details: neither raw answers nor tokens are known.
    without_details: int
    # Whether an input line has several questions.
    numbers_questions: bool
    timeline: Sequence[TimelineStart] = ()


def read_run(output: Path) -> ReportedRun:
    """Raises SettingsError if there is no such output, if it has no rows, and if it is not one of a run."""
    try:
        return _read_run(output)
    except SettingsError as error:
        problem, colon, advice = str(error).rpartition(": ")
        # Advice of the storage, which is for a run.
        raise SettingsError(problem if colon and advice.endswith("choose another -o") else str(error)) from error


def _read_run(output: Path) -> ReportedRun:
    files = RunFiles.for_output(output)
    paths, state = choose_files(files)
    identity = DEFAULT_IDENTITY | (read_identity(files) or {})
    if state == "finished" and not files.run.exists():
        state = "unknown"
    reader = RunReader(identity, paths)
    rows = list(reader.read_rows())
    if state == "unfinished":
        rows = add_waiting(rows, files)
    if not rows:
        raise SettingsError(f"{paths.output} has no rows: wait until the run has answered some")
    roots = find_image_roots(None, output.parent, find_recorded_roots(output))
    numbers_questions = any(row.task_id is not None and row.task_id.question for row in rows)
    timeline = read_timeline(find_timeline(files, state))
    return ReportedRun(output, state, identity, rows, roots, reader.without_details, numbers_questions, timeline)


def find_timeline(files: RunFiles, state: RunState) -> Path:
    return files.timeline_partial if state == "unfinished" else files.timeline


@dataclass(frozen=True, slots=True)
class ReadPaths:
    """The files to read. Only the output must exist."""

    output: Path
    failed: Path
    details: Path


def choose_files(files: RunFiles) -> tuple[ReadPaths, RunState]:
    """Those of the finished run while it is retried, else those that grow."""
    if files.output.is_dir():
        raise SettingsError(
            f"{files.output} is a folder: name the output of a run, such as {files.output / 'qa.jsonl'}"
        )
    if files.output.exists():
        return ReadPaths(files.output, files.failed, files.details), "finished"
    if files.partial.exists():
        return ReadPaths(files.partial, files.failed_partial, files.details_partial), "unfinished"
    raise SettingsError(f"there is no output {files.output}: name the output of a run")


def read_identity(files: RunFiles) -> Json | None:
    run = read_run_file(files) or read_checkpoint(files)
    return run.identity if run is not None else None


def add_waiting(rows: list[ReportRow], files: RunFiles) -> list[ReportRow]:
    """With the outcomes that are only in the journal, each in its place if the places of all are known."""
    checkpoint = read_checkpoint(files)
    if checkpoint is None:
        return rows
    written = {row.task_id for row in rows}
    outcomes = {entry.outcome.task_id: entry.outcome for entry in read_journal(files, checkpoint.generation)}
    waiting = [
        ReportRow(task_id, 0, (), outcome, is_waiting=True)
        for task_id, outcome in sorted(outcomes.items())
        if task_id not in written
    ]
    merged = [*rows, *waiting]
    return merged if None in written else sorted(merged, key=lambda row: row.task_id or TaskId(0))


class RunReader:
    def __init__(self, identity: Json, paths: ReadPaths) -> None:
        self._paths = paths
        self._image_key: str = identity["image-key"]
        self._output_key: str = identity["output-key"]
        self._default_tag = f"<{identity['tag']}>"
        self.without_details = 0

    def read_rows(self) -> Iterator[ReportRow]:
        """Accepted and failed rows, merged as in the input."""
        details = {task_id: read_outcome(lines) for task_id, lines in self._read_details()}
        failures = self._read_failures(details)
        failure = next(failures, None)
        for row in self._read_output([each for each in details.values() if isinstance(each, Record)]):
            while failure is not None and is_before(failure, row):
                yield failure
                failure = next(failures, None)
            yield row
        while failure is not None:
            yield failure
            failure = next(failures, None)

    def _read_details(self) -> Iterator[tuple[TaskId, tuple[Json, ...]]]:
        """Sorted, because a retry appends its lines. All are in memory, as the rows of the page are."""
        found: dict[TaskId, list[Json]] = {}
        for _, line in iter_lines(self._paths.details):
            found.setdefault(parse_place(self._paths.details, line), []).append(load_line(self._paths.details, line))
        for task_id in sorted(found):
            yield task_id, tuple(found[task_id])

    def iter_accepted(self) -> Iterator[AcceptedRow]:
        """The rows of the output, one at a time: memory does not grow with the run."""
        if not self._paths.details.exists():
            yield from self._join_output(iter(()), is_whole=False)
            return
        index = DetailsIndex(self._paths.details)
        count = sum(is_answered_line(line) for line in index.iter_latest())
        lines = sum(1 for _ in iter_lines(self._paths.output))
        outcomes = (read_outcome(details) for _, details in index.read())
        records = (each for each in outcomes if isinstance(each, Record))
        yield from self._join_output(records, is_whole=lines == count)

    def _read_output(self, records: Sequence[Record]) -> Iterator[ReportRow]:
        lines = sum(1 for _ in iter_lines(self._paths.output))
        return (each.row for each in self._join_output(iter(records), is_whole=lines == len(records)))

    def _join_output(self, records: Iterator[Record], *, is_whole: bool) -> Iterator[AcceptedRow]:
        """``is_whole``: no details are missing, so the answers are in the same order, also those edited since."""
        record = next(records, None)
        for number, line in iter_lines(self._paths.output):
            fields = self._load_row(number, line)
            if record is not None and (is_whole or contains_answer(line, record)):
                yield AcceptedRow(line, fields, self._make_described_row(number, line, fields, record))
                record = next(records, None)
            else:
                self.without_details += 1
                yield AcceptedRow(line, fields, self._make_written_row(number, fields))

    def _load_row(self, number: int, line: bytes) -> Json:
        try:
            fields = load_object(line)
        except ValueError as error:
            raise self._foreign_error(number, str(error)) from error
        if not isinstance(fields.get(self._output_key), str):
            raise self._foreign_error(number, f"it has no text {self._output_key!r}")
        return fields

    def _foreign_error(self, number: int, reason: str) -> SettingsError:
        path = self._paths.output
        suffix = next((each for each in OTHER_FILES if path.name.endswith(each)), None)
        advice = f": name {path.name.removesuffix(suffix)}.jsonl" if suffix else ""
        return SettingsError(f"{path} is not the output of a run (line {number}: {reason}){advice}")

    def _make_described_row(self, number: int, line: bytes, fields: Json, record: Record) -> ReportRow:
        is_same = contains_answer(line, record)
        if not is_same:
            record = replace(record, answer=self._read_answer(fields, record.tag, record.question)[1])
        return ReportRow(record.task_id, number, self._find_images(fields), record, edited=not is_same)

    def _make_written_row(self, number: int, fields: Json) -> ReportRow:
        """What the output itself says; with ``--details`` that is nearly everything."""
        record = self._read_meta(fields)
        if record is None:
            tag = fields.get("tag")
            tag = f"<{tag.strip('<> ')}>" if isinstance(tag, str) and tag.strip("<> ") else self._default_tag
            question, answer = self._read_answer(fields, tag, None)
            record = Record(TaskId(0), "attribute", tag, question, answer, answer, 0)
        return ReportRow(None, number, self._find_images(fields), record)

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

    def _read_failures(self, details: dict[TaskId, Outcome]) -> Iterator[ReportRow]:
        path = self._paths.failed
        for number, line in iter_lines(path):
            fields = load_line(path, line)
            try:
                task_id, code = parse_failure_line(line)
            except ValueError as error:
                raise SettingsError(f"{path} is not the failure file of a run (line {number}: {error})") from error
            outcome = details.get(task_id)
            if not isinstance(outcome, Failure):
                self.without_details += outcome is None and code in ANSWER_CODES
                error_fields = fields["error"]
                outcome = Failure(
                    task_id,
                    code,
                    str(error_fields["message"]),
                    "answer" if code in ANSWER_CODES else "input",
                    int(error_fields["attempts"]),
                    error_fields["raw"],
                )
            text = fields.get("line") if code == NO_ROW else fields.get("question")
            yield ReportRow(
                task_id, number, self._find_images(fields), outcome, text if isinstance(text, str) else None
            )

    def _find_images(self, fields: Json) -> tuple[str, ...]:
        try:
            return parse_images(fields, self._image_key)
        except RowError:
            return ()


def read_outcome(lines: tuple[Json, ...]) -> Outcome:
    """With the raw answers of all lines of the question, as far as they are about the present picture."""
    try:
        return read_details(lines).outcome
    except ValueError as error:
        raise SettingsError(f"the details of row {lines[-1].get('row')} can't be read: {error}") from error


def contains_answer(line: bytes, record: Record) -> bool:
    return dump_compact(record.answer)[1:-1] in line


def is_before(failure: ReportRow, row: ReportRow) -> bool:
    return row.task_id is not None and failure.task_id is not None and failure.task_id < row.task_id


def iter_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered from 1, without blank ones and without an incomplete one at the end of a growing file."""
    if not path.exists():
        return
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip() and (line.endswith(b"\n") or not path.name.endswith(".partial")):
                yield number, line


def load_line(path: Path, line: bytes) -> dict[str, Any]:
    try:
        return load_object(line)
    except ValueError as error:
        raise SettingsError(f"{path} was not written by a run, or was changed since: {error}") from error

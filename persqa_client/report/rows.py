"""Reads the files of a run, finished or not, into rows of a report: each question once, in input order.

The files are neither locked nor changed. Those of an unfinished run are read as far as they go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, Record
from persqa_client.report.row_reader import (
    DEFAULT_IDENTITY,
    ReportRow,
    RowReader,
    WrittenRow,
    contains_answer,
    load_own_line,
    read_failed_place,
    read_outcome,
)
from persqa_client.run.image_roots import find_image_roots
from persqa_client.run.timeline import TimelineStart, read_timeline
from persqa_client.storage.checkpoint import find_recorded_roots, read_checkpoint, read_run_file
from persqa_client.storage.decisions import read_decisions
from persqa_client.storage.details import DetailsIndex, is_answered_line, open_file, parse_place
from persqa_client.storage.journal import read_journal
from persqa_client.storage.run_files import RunFiles
from persqa_client.suggestions import suggest_path
from persqa_client.types import Json, TaskId

RunState = Literal["finished", "unfinished", "unknown"]


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
        raise leave_out_advice(error) from error


def leave_out_advice(error: SettingsError) -> SettingsError:
    """The message without the advice of the storage, which applies to a run."""
    problem, colon, advice = str(error).rpartition(": ")
    return SettingsError(problem if colon and advice.endswith("choose another -o") else str(error))


def _read_run(output: Path) -> ReportedRun:
    files = RunFiles.for_output(output)
    paths, state = choose_files(files)
    identity = DEFAULT_IDENTITY | (read_identity(files) or {})
    if state == "finished" and not files.run.exists():
        state = "unknown"
    decisions = read_decisions(output)
    rows = [row.with_decision(decisions) for row in RunReader(identity, paths).read_rows()]
    if state == "unfinished":
        rows = add_waiting(rows, files)
    if not rows:
        raise SettingsError(f"{paths.output} has no rows: wait until the run has answered some")
    roots = find_image_roots(None, output.parent, find_recorded_roots(output))
    numbers_questions = any(row.task_id is not None and row.task_id.question for row in rows)
    without_details = sum(not row.has_details for row in rows)
    timeline = read_timeline(find_timeline(files, state))
    return ReportedRun(output, state, identity, rows, roots, without_details, numbers_questions, timeline)


def find_timeline(files: RunFiles, state: RunState) -> Path:
    return files.timeline_partial if state == "unfinished" else files.timeline


@dataclass(frozen=True, slots=True)
class ReadPaths:
    """The files to read. Only the output must exist."""

    output: Path
    failed: Path
    details: Path


def choose_files(files: RunFiles) -> tuple[ReadPaths, RunState]:
    """Chooses the files of the finished run while it is retried, else those that grow."""
    if files.output.is_dir():
        raise SettingsError(
            f"{files.output} is a folder: name the output of a run, such as {files.output / 'qa.jsonl'}"
        )
    if files.output.exists():
        return ReadPaths(files.output, files.failed, files.details), "finished"
    if files.partial.exists():
        checkpoint = read_checkpoint(files)
        if checkpoint is not None and checkpoint.phase == "finishing":
            # The output gets its name after the others.
            failed, details = (
                partial if partial.exists() else finished
                for partial, finished in ((files.failed_partial, files.failed), (files.details_partial, files.details))
            )
            return ReadPaths(files.partial, failed, details), "unfinished"
        return ReadPaths(files.partial, files.failed_partial, files.details_partial), "unfinished"
    raise SettingsError(f"there is no output {files.output}{suggest_path(files.output)}: name the output of a run")


def refuse_repeated_outputs(outputs: Sequence[Path]) -> None:
    """Raises SettingsError for an output that is given twice, however it is written."""
    known = set[str]()
    for output in outputs:
        real = os.path.realpath(RunFiles.for_output(output).output)
        if real in known:
            raise SettingsError(f"the output {output} is given twice: name it once")
        known.add(real)


def read_identity(files: RunFiles) -> Json | None:
    run = read_run_file(files) or read_checkpoint(files)
    return run.identity if run is not None else None


def add_waiting(rows: list[ReportRow], files: RunFiles) -> list[ReportRow]:
    """Adds the outcomes that are only in the journal, each in its place if the places of all are known."""
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
        self._reader = RowReader(identity, paths.output, paths.failed)

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
        path = self._paths.details
        for _, line in iter_lines(path):
            found.setdefault(parse_place(path, line), []).append(load_own_line(path, line))
        for task_id in sorted(found):
            yield task_id, tuple(found[task_id])

    def iter_accepted(self) -> Iterator[WrittenRow]:
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

    def iter_failures(self) -> Iterator[WrittenRow]:
        """The rows of the failure file, one at a time, with what the details say of each."""
        has_details = self._paths.details.exists()
        outcomes = DetailsIndex(self._paths.details).read() if has_details else iter(())
        found = next(outcomes, None)
        for number, line in iter_lines(self._paths.failed):
            task_id, _ = read_failed_place(self._paths.failed, number, line)
            while found is not None and found[0] < task_id:
                found = next(outcomes, None)
            outcome = read_outcome(found[1]) if found is not None and found[0] == task_id else None
            row = self._reader.read_failure_line(number, line, outcome)
            yield WrittenRow(line, load_own_line(self._paths.failed, line), row)

    def _read_output(self, records: Sequence[Record]) -> Iterator[ReportRow]:
        lines = sum(1 for _ in iter_lines(self._paths.output))
        return (each.row for each in self._join_output(iter(records), is_whole=lines == len(records)))

    def _join_output(self, records: Iterator[Record], *, is_whole: bool) -> Iterator[WrittenRow]:
        """``is_whole``: no details are missing, so the answers are in the same order, also those edited since."""
        record = next(records, None)
        for number, line in iter_lines(self._paths.output):
            if record is not None and (is_whole or contains_answer(line, record)):
                yield self._reader.read_output_line(number, line, record)
                record = next(records, None)
            else:
                yield self._reader.read_output_line(number, line, None)

    def _read_failures(self, details: dict[TaskId, Outcome]) -> Iterator[ReportRow]:
        path = self._paths.failed
        for number, line in iter_lines(path):
            task_id, _ = read_failed_place(path, number, line)
            yield self._reader.read_failure_line(number, line, details.get(task_id))


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

"""Reads the output, the failure file and the details of a finished run together, in input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Self

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import FinishedRun, foreign_file_error, read_run_members
from persqa_client.storage.details import DetailsIndex, is_answered_line, open_file
from persqa_client.storage.records import parse_failure_line
from persqa_client.storage.recovery import (
    FoundRuns,
    check_nothing_missing,
    find_runs,
    has_no_outcome,
    remove_unfinished,
)
from persqa_client.storage.run_files import RunFiles, RunLock, find_owner
from persqa_client.storage.tally import Tally
from persqa_client.suggestions import suggest_path
from persqa_client.types import Json, TaskId


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """A question and its line in the output or the failure file, with the line break."""

    task_id: TaskId
    line: bytes
    failed: bool
    # The lines of the question in the details file, the oldest first.
    details: tuple[Json, ...]


class KeptLines(NamedTuple):
    """A question with its line in the output or the failure file, and its lines in the details file."""

    task_id: TaskId
    line: bytes
    failed: bool
    # The oldest first.
    details: tuple[bytes, ...]


class UnfinishedRun(SettingsError):
    """A run whose results are not complete yet."""


def describe_no_run(files: RunFiles) -> str:
    output = files.output
    if output.is_dir():
        return f"{output} is a folder: name the output of a run, such as {output / 'qa.jsonl'}"
    if (owner := find_owner(output)) is not None:
        return f"{output} is a file beside the output of a run: name {owner}"
    reason = f"{files.run.name} is missing" if output.exists() else f"it does not exist{suggest_path(output)}"
    return f"there is no run with the output {output} ({reason})"


class FinishedResults:
    """A finished run in locked files. Raises SettingsError, also while it is read, if files do not fit together."""

    def __init__(self, files: RunFiles) -> None:
        if not files.run.exists() and not files.checkpoint.exists():
            raise SettingsError(describe_no_run(files))
        self.files = files
        self._lock = RunLock(files)
        self._lock.acquire()
        try:
            self.run = self._find_finished()
            self.members = read_run_members(files)
            self.details = DetailsIndex(files.details) if self.run.lengths.details else None
        except BaseException:
            self._lock.release()
            raise

    def _find_finished(self) -> FinishedRun:
        found = find_runs(self.files)
        if found.unfinished is not None and found.finished is not None and has_no_outcome(self.files, found.unfinished):
            remove_unfinished(self.files)
            found = FoundRuns(None, found.finished)
        if found.unfinished is not None or found.finished is None:
            raise UnfinishedRun(
                f"the run with the output {self.files.output} is not finished: "
                "run its command again until it ends, then recheck it"
            )
        check_nothing_missing(self.files, found)
        return found.finished

    @property
    def has_all_details(self) -> bool:
        described = self.details.count_questions() if self.details is not None else 0
        return described == Tally.from_json(self.run.tally).tasks

    def read_questions(self, tasks: Iterable[TaskId] | None = None) -> Iterator[KeptQuestion]:
        """``tasks``: the tasks of the input. Required if the details file does not cover every question."""
        details = DetailsCursor(self.details.read() if self.details is not None else iter(()))
        with ExitStack() as stack:
            output = stack.enter_context(open_file(self.files.output))
            failed = FailedLines(self.files, stack)
            for task_id in details.task_ids() if tasks is None else tasks:
                is_failed = failed.task_id == task_id
                line = failed.take() if is_failed else output.readline()
                lines = details.take(task_id)
                if not line or (lines and (lines[-1].get("file") == "failed") is not is_failed):
                    raise self.mismatch_error()
                yield KeptQuestion(task_id, line, is_failed, lines)
            if failed.task_id is not None or details.task_id is not None or output.readline():
                raise self.mismatch_error()

    def read_lines(self) -> Iterator[KeptLines]:
        """All questions in input order, as they stand in the files. Needs the details of all of them."""
        with ExitStack() as stack:
            output = stack.enter_context(open_file(self.files.output))
            failed = FailedLines(self.files, stack)
            for task_id, placed in self.details.group() if self.details is not None else ():
                details = tuple(each.line for each in placed)
                is_failed = failed.task_id == task_id
                line = failed.take() if is_failed else output.readline()
                if not line or is_answered_line(details[-1]) is is_failed:
                    raise self.mismatch_error()
                yield KeptLines(task_id, line, is_failed, details)
            if failed.task_id is not None or output.readline():
                raise self.mismatch_error()

    def mismatch_error(self) -> SettingsError:
        files = self.files
        return SettingsError(
            f"the lines of {files.output.name}, {files.failed.name} and {files.details.name} do not fit together: "
            "restore the files of the run"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class FailedLines:
    def __init__(self, files: RunFiles, stack: ExitStack) -> None:
        self._path = files.failed
        self._file: BinaryIO | None = None
        if files.failed.exists():
            self._file = stack.enter_context(open_file(files.failed))
        self.task_id: TaskId | None = None
        self._read_next()

    def _read_next(self) -> None:
        self._line = self._file.readline() if self._file is not None else b""
        try:
            self.task_id = parse_failure_line(self._line)[0] if self._line else None
        except ValueError as error:
            raise foreign_file_error(self._path) from error

    def take(self) -> bytes:
        line = self._line
        self._read_next()
        return line


class DetailsCursor:
    """Reads the details of questions in input order; there may be none of a question."""

    def __init__(self, questions: Iterator[tuple[TaskId, tuple[Json, ...]]]) -> None:
        self._questions = questions
        self._next = next(questions, None)

    @property
    def task_id(self) -> TaskId | None:
        return self._next[0] if self._next is not None else None

    def task_ids(self) -> Iterator[TaskId]:
        while self._next is not None:
            yield self._next[0]

    def take(self, task_id: TaskId) -> tuple[Json, ...]:
        if self._next is None or self._next[0] != task_id:
            return ()
        details = self._next[1]
        self._next = next(self._questions, None)
        return details

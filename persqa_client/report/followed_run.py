"""Reads the files of a run into the index, and keeps the index up to date while the run writes or finishes.

If a file only grew, reading continues where it ended. If a file was replaced, as by a retry or a recheck, the run is
read again. The files are neither locked nor changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, Record
from persqa_client.report.open_run import OpenRun, PinnedFile, open_run
from persqa_client.report.row_index import IndexedRow, RowIndex, RowPlace, describe_decision
from persqa_client.report.row_queries import (
    count_answers,
    find_details,
    iter_accepted_tasks,
    list_decided,
    read_place,
)
from persqa_client.report.row_reader import (
    ReportRow,
    contains_answer,
    read_failed_place,
)
from persqa_client.storage.checkpoint import foreign_file_error
from persqa_client.storage.decisions import DecisionsFile
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId

# Rows of one step; the first ones are shown after it.
STEP_ROWS = 500
# Lines of the details of one step.
STEP_DETAILS = 5_000
# Number of checks after which missing files are an error, and not a rename in progress.
MISSED_LOOKS = 4
PLACE = re.compile(rb'\{"row":(\d+),"question_number":(\d+),("file":"output")?')


FilesState = Literal["same", "changed", "moving"]


class DetailsProgress:
    """How far the details are read."""

    def __init__(self) -> None:
        self.end = 0
        self.last = (0, 0)
        # Whether lines of a retry or a recheck follow those of the run, so that the last line of a question counts.
        self.is_mixed = False


class RowsProgress:
    """How far the output and the failure file are read: bytes, and lines."""

    def __init__(self) -> None:
        self.output = self.failed = 0
        self.output_lines = self.failed_lines = 0
        # Place of the last output row whose input line is known, and of the last answer of the details.
        self.place = self.accepted = TaskId(0)


class ReadRow(NamedTuple):
    indexed: IndexedRow
    # Offset in the file after this row.
    end: int
    # Task of the answer in the details; None if they have none.
    accepted: TaskId | None


class FollowedRun:
    """Only one thread may call ``advance``."""

    def __init__(self, index: RowIndex, number: int, output: Path) -> None:
        """Raises SettingsError if there is no such output, or if its first line is not one of a run."""
        self._index, self._number = index, number
        self.output = output
        self._files = RunFiles.for_output(output)
        self.decisions = DecisionsFile(self._files.decisions)
        self._details, self._progress = DetailsProgress(), RowsProgress()
        self.open = open_run(output)
        # Inodes of the files at the previous check, if they differ from those of the open files.
        self._suspect: tuple[object, ...] | None = None
        # Number of checks since the files could last be opened.
        self._missed = 0
        self._whole: tuple[tuple[object, ...], bool] = ((), False)
        for _, line in self.open.output.iter_lines(0, is_growing=self.open.is_growing):
            if line.strip():
                self.open.reader.read_output_line(1, line, None)
                break

    def advance(self) -> bool:
        """Reads what is new, at most ``STEP_ROWS`` rows. Returns whether anything changed. Raises SettingsError."""
        has_new_decisions = self.refresh_decisions()
        found = self._refresh_files()
        if found != "same":
            return found == "changed" or has_new_decisions
        has_new_details = self._read_details()
        rows: list[IndexedRow] = []
        # After the first rows were shown, all details are read before further rows.
        is_ready = self._has_read_details or not self._progress.output
        try:
            for read in self._iter_new_rows() if is_ready else ():
                rows.append(read.indexed)
                self._note(read)
                if len(rows) == STEP_ROWS:
                    break
        finally:
            # Rows before a line that can't be read are shown, too.
            if rows:
                self._index.add_rows(rows, self.open.identity)
        return bool(rows) or has_new_decisions or has_new_details

    def _refresh_files(self) -> FilesState:
        """Returns "changed" if the rows must be read again or the run has another state, "moving" if nothing can be
        read now.
        """
        before = self.open
        try:
            now = open_run(self.output)
        except SettingsError as error:
            self._missed += 1
            if self._missed < MISSED_LOOKS:
                return "moving"  # a run that finishes, or is started over
            raise self._describe_missing(error) from error
        self._missed = 0
        if self._is_continued(before, now):
            self.open, self._suspect = now, None
            return "same" if before.state == now.state else "changed"
        is_renamed = before.is_growing and not now.is_growing and self._files.checkpoint.exists()
        if is_renamed or self._suspect != now.inodes:
            # A run that finishes renames its files one by one. If the inodes are the same at the next check, the files
            # were replaced.
            self._suspect = None if is_renamed else now.inodes
            return "moving"
        self.open, self._suspect = now, None
        self._index.forget_details(self._number)
        self._details = DetailsProgress()
        self._forget_rows()
        return "changed"

    def _describe_missing(self, error: SettingsError) -> SettingsError:
        if self._files.output.exists() or self._files.partial.exists():
            return error
        return SettingsError(f"there is no {self.output} any more: the rows are those that were read before")

    def _forget_rows(self) -> None:
        self._index.forget_rows(self._number)
        self._progress = RowsProgress()

    def _is_continued(self, before: OpenRun, now: OpenRun) -> bool:
        """Whether the lines that were already read are unchanged, at the same offsets."""
        if not before.is_growing:
            return before.versions == now.versions
        done = (self._progress.output, self._progress.failed, self._details.end)
        sizes = [each.size if each is not None else 0 for each in now.files]
        return all(
            size >= end and (old in (None, new) or not end)
            for size, end, old, new in zip(sizes, done, before.inodes, now.inodes, strict=True)
        )

    def refresh_decisions(self) -> bool:
        """Shows decisions that were added in the rows that are indexed. Raises SettingsError."""
        new = self.decisions.refresh()
        changed = set() if new is not None else set(list_decided(self._index.database, self._number))
        subjects = {each.subject for each in (self.decisions.decisions if new is None else new)}
        for subject in subjects:
            changed.update(self._index.find_subject(self._number, subject))
        for row_id in changed:
            row = self.read_by_id(row_id)
            if row is not None:
                is_commented = row.decision is not None and bool(row.decision.comment)
                self._index.set_decision(row_id, describe_decision(row), is_commented)
        return new is None or bool(new)

    def measure_progress(self) -> tuple[int, int]:
        """Bytes that are read, and all bytes; (1, 1) for a run in progress, whose end is not known."""
        files = (self.open.output, self.open.failed)
        size = sum(each.size for each in files if each is not None)
        done = self._progress.output + self._progress.failed
        return (1, 1) if self.open.is_growing else (done, size)

    def read_by_id(self, row_id: int) -> ReportRow | None:
        found = read_place(self._index.database, row_id)
        return None if found is None else self.open.read_row(*found).with_decision(self.decisions.decisions)

    @property
    def _has_read_details(self) -> bool:
        file = self.open.details
        return file is None or self._details.end >= file.size

    def _read_details(self) -> bool:
        """Reads the next lines of the details. Returns whether there were any."""
        file, before = self.open.details, self._details.end
        if file is None or self._has_read_details:
            return False
        was_mixed = self._details.is_mixed
        self._index.add_details(self._number, islice(self._iter_details(file), STEP_DETAILS))
        if self._details.is_mixed and not was_mixed and self._progress.output and not self.open.is_growing:
            self._forget_rows()
        return self._details.end > before

    def _iter_details(self, file: PinnedFile) -> Iterator[tuple[int, int, int, int, bool]]:
        details = self._details
        for start, line in file.iter_lines(details.end, is_growing=self.open.is_growing):
            details.end = start + len(line)
            found = PLACE.match(line)
            if found is None:
                if line.strip():
                    raise foreign_file_error(file.path)
                continue
            place = (int(found[1]), int(found[2]))
            details.is_mixed |= place <= details.last
            details.last = place
            yield *place, start, len(line), found[3] is not None

    def _iter_new_rows(self) -> Iterator[ReadRow]:
        """Accepted and failed rows, merged as in the input. ``_note`` must be called with each row before the next."""
        answers = self._iter_answers()
        failures = self._iter_failures()
        answer, failure = next(answers, None), next(failures, None)
        while answer is not None or failure is not None:
            if answer is None or (failure is not None and is_earlier(failure, answer)):
                assert failure is not None
                yield failure
                failure = next(failures, None)
            else:
                yield answer
                answer = next(answers, None)

    def _iter_answers(self) -> Iterator[ReadRow]:
        run, progress = self.open, self._progress
        accepted = self._iter_accepted(progress.accepted)
        record = next(accepted, None)
        has_all = self._has_read_details and not run.is_growing
        is_whole = has_all and self._has_same_answers()
        place, number = progress.place, progress.output_lines
        for start, line in run.output.iter_lines(progress.output, is_growing=run.is_growing):
            number += 1
            if not line.strip():
                continue
            if record is None and run.details is not None and not has_all:
                return  # its details are not read, or not written yet
            taken = None
            if record is not None and (is_whole or contains_answer(line, record)):
                row = run.reader.read_output_line(number, line, record).row
                place = taken = record.task_id
                record = next(accepted, None)
            elif run.details is not None and not (has_all or run.is_growing):
                return  # whether it was edited is known when the details are read
            else:
                row = run.reader.read_output_line(number, line, None).row
            row = row.with_decision(self.decisions.decisions)
            where = RowPlace(self._number, *place, number, row.task_id is not None, False, start, len(line))
            yield ReadRow(IndexedRow(where, row), start + len(line), taken)

    def _has_same_answers(self) -> bool:
        """Whether each line of the output has its answer in the details, so that they are in the same order."""
        versions = self.open.versions
        if self._whole[0] != versions:
            lines = sum(1 for _, line in self.open.output.iter_lines(0, is_growing=False) if line.strip())
            answers = count_answers(self._index.database, self._number)
            self._whole = (versions, lines == answers)
        return self._whole[1]

    def _iter_accepted(self, after: TaskId) -> Iterator[Record]:
        """The answers that the details have, in input order."""
        for task_id in iter_accepted_tasks(self._index.database, self._number, after):
            outcome = self._read_outcome(task_id)
            if isinstance(outcome, Record):
                yield outcome

    def _read_outcome(self, task_id: TaskId) -> Outcome | None:
        return self.open.read_details(find_details(self._index.database, self._number, task_id))

    def _iter_failures(self) -> Iterator[ReadRow]:
        run, number = self.open, self._progress.failed_lines
        if run.failed is None:
            return
        has_all = self._has_read_details and not run.is_growing
        for start, line in run.failed.iter_lines(self._progress.failed, is_growing=run.is_growing):
            number += 1
            if not line.strip():
                continue
            task_id, _ = read_failed_place(run.failed.path, number, line)
            if run.details is not None and not has_all and task_id > self._details.last:
                return  # its details are not read, or not written yet
            row = run.reader.read_failure_line(number, line, self._read_outcome(task_id))
            row = row.with_decision(self.decisions.decisions)
            where = RowPlace(self._number, *task_id, number, True, True, start, len(line))
            yield ReadRow(IndexedRow(where, row), start + len(line), None)

    def _note(self, read: ReadRow) -> None:
        progress, place = self._progress, read.indexed.place
        if place.is_failed:
            progress.failed, progress.failed_lines = read.end, place.line
            return
        progress.output, progress.output_lines = read.end, place.line
        progress.place = TaskId(place.row, place.question)
        progress.accepted = read.accepted or progress.accepted


def is_earlier(failure: ReadRow, answer: ReadRow) -> bool:
    place, other = failure.indexed.place, answer.indexed.place
    return other.is_known and (place.row, place.question) < (other.row, other.question)

"""Looks at the pictures of a finished run, and reports those that changed since they were asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from persqa_client.images.changes import ADVICE, ChangeReport, PictureFiles, PictureState
from persqa_client.inputs.sources import Source, read_named_lines
from persqa_client.outcomes import Outcome, Record
from persqa_client.run.compose import RowReader
from persqa_client.storage.details_index import LatestOutcomes
from persqa_client.storage.ledger import Ledger
from persqa_client.types import START_POSITION, Row, TaskId


class PictureSurvey:
    """``asks``: whether answers about changed pictures are asked again afterwards."""

    def __init__(self, files: PictureFiles, warn: Callable[[str], None], *, asks: bool) -> None:
        self._files = files
        self._warn = warn
        advice = "its questions are asked again." if asks else f"{ADVICE}."
        self._changed = ChangeReport(warn, f"changed since it was asked about; {advice}", "changed")
        self._unreadable = ChangeReport(warn, "can't be read any more; the answer stays.", "can't be read any more")
        # Answers about changed pictures, and those that were kept without what is compared.
        self.answers = self.unknown = 0

    def look(self, ledger: Ledger, source: Source, reader: RowReader, is_stopped: Callable[[], bool]) -> None:
        """Takes a few seconds for each 100,000 rows. Raises SettingsError if the details can't be read."""
        details = ledger.files.details
        outcomes = LatestOutcomes(details) if details.exists() else None
        described = 0
        for row, task_ids in iter_rows(ledger, source, reader):
            if is_stopped():
                return
            if outcomes is not None:
                found = outcomes.take(task_ids)
                described += sum(isinstance(outcome, Record) for outcome in found.values())
                self._look_at_row(row, found)
        self.unknown += max(0, ledger.tally.succeeded - described)
        self._changed.finish()
        self._unreadable.finish()
        if self.unknown:
            self._warn(
                f"The pictures of {self.unknown:,} answers are not compared, because the details of the run do not "
                "say which files were sent."
            )

    def _look_at_row(self, row: Row, outcomes: dict[TaskId, Outcome]) -> None:
        named: set[str] = set()
        for outcome in outcomes.values():
            if not isinstance(outcome, Record):
                continue
            states: set[PictureState] = set()
            for reference, picture in zip(row.images, outcome.pictures, strict=False):
                state = self._files.compare(reference, picture)
                states.add(state)
                if state in (PictureState.CHANGED, PictureState.UNREADABLE) and reference not in named:
                    named.add(reference)
                    report = self._changed if state is PictureState.CHANGED else self._unreadable
                    report.add(row.number, reference)
            self.unknown += PictureState.UNKNOWN in states
            self.answers += PictureState.CHANGED in states and PictureState.UNREADABLE not in states


def iter_rows(ledger: Ledger, source: Source, reader: RowReader) -> Iterator[tuple[Row, tuple[TaskId, ...]]]:
    """The rows of the finished part of the input."""
    for line, position, name, path in read_named_lines(source, START_POSITION):
        if position.number > ledger.start.number:
            return
        row = reader.parse(position.number, line, name, path) if line.strip() else None
        if isinstance(row, Row):
            yield row, reader.task_ids(row)

"""Brings rows back into input order, since their outcomes arrive in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from persqa_client.errors import SettingsError
from persqa_client.storage.journal import JournalEntry
from persqa_client.types import Outcome, Position, TaskId


@dataclass(slots=True, eq=False)
class PendingRow:
    """A row that waits for its outcomes, or for the rows before it."""

    line: bytes
    # All tasks of the row, in the order in which they are written.
    task_ids: tuple[TaskId, ...]
    # Those that need an outcome. In a retry each has the code that it failed with, and the others are copied.
    asked: dict[TaskId, str]
    # Where reading continues after this row and the blank lines that follow it.
    position: Position
    digest: str = ""
    # In a retry: how much of the old failure file is used up after this row.
    failed_offset: int = 0
    # In a retry: how many lines of the old output follow this row unchanged.
    copied_after: int = 0
    outcomes: dict[TaskId, Outcome] = field(default_factory=dict)

    @property
    def open_tasks(self) -> tuple[TaskId, ...]:
        return tuple(task_id for task_id in self.asked if task_id not in self.outcomes)


class ReorderBuffer:
    """Rows in input order, until they are written.

    ``journaled`` are outcomes from an earlier process, whose rows are yet to be added.
    """

    def __init__(self, journaled: Iterable[JournalEntry] = ()) -> None:
        self.journaled = {entry.outcome.task_id: entry for entry in journaled}
        self.rows: deque[PendingRow] = deque()
        self._row_of: dict[TaskId, PendingRow] = {}
        # The tasks that these rows ask, and the bytes of their input lines.
        self.tasks = 0
        self.bytes = 0

    def add(self, row: PendingRow) -> None:
        """Adds the next row. Raises SettingsError if its outcomes in the journal belong to another input line."""
        entries = [self.journaled[task_id] for task_id in row.asked if task_id in self.journaled]
        if any(entry.digest != row.digest for entry in entries):
            raise SettingsError(
                f"the input changed at line {row.task_ids[0].row}, which is already answered: "
                "restore the line, choose another -o, or start again with --fresh"
            )
        self.rows.append(row)
        self._row_of.update(dict.fromkeys(row.asked, row))
        self.tasks += len(row.asked)
        self.bytes += len(row.line)
        for entry in entries:
            self.settle(entry.outcome)
            del self.journaled[entry.outcome.task_id]

    def get_row(self, task_id: TaskId) -> PendingRow:
        """Raises RuntimeError if the task has no outcome to wait for."""
        try:
            return self._row_of[task_id]
        except KeyError:
            raise RuntimeError(f"{task_id} was settled twice, or was never expected") from None

    def settle(self, outcome: Outcome) -> None:
        self.get_row(outcome.task_id).outcomes[outcome.task_id] = outcome
        del self._row_of[outcome.task_id]

    def first_complete(self) -> PendingRow | None:
        """The oldest row, if all its outcomes are there."""
        row = self.rows[0] if self.rows else None
        return row if row is not None and len(row.outcomes) == len(row.asked) else None

    def remove_first(self) -> None:
        row = self.rows.popleft()
        self.tasks -= len(row.asked)
        self.bytes -= len(row.line)

    def unwritten_entries(self) -> Iterator[JournalEntry]:
        """Known outcomes of rows that are not written, for the next generation of the journal."""
        yield from self.journaled.values()
        for row in self.rows:
            yield from (JournalEntry(row.digest, outcome) for outcome in row.outcomes.values())

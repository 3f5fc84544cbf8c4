"""Reads rows, registers them with the ledger, and makes jobs of their open tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from persqa_client.engines.engine import Job
from persqa_client.inputs.files import find_row
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.sources import NamedLine, Source, encode_name, read_named_lines
from persqa_client.storage.ledger import AnyLedger
from persqa_client.storage.writer import AnsweredRowChanged
from persqa_client.types import START_POSITION, BadRow, Position, Row, TaskId

# Number of lines without a task after which the reader yields to the event loop.
LINES_PER_PAUSE = 200


class TaskPlanner(Protocol):
    # Jobs to run per permit; above 1 if jobs wait for other tasks of their row.
    @property
    def jobs_per_permit(self) -> int: ...

    # Whether the run asks about the row; others count as blank lines.
    def includes(self, row: NamedLine) -> bool: ...

    def parse(self, number: int, line: bytes, name: str | None = None, path: str | None = None) -> Row | BadRow: ...

    def task_ids(self, row: Row | BadRow) -> tuple[TaskId, ...]: ...

    # Upper estimate of a task's bytes in memory.
    def weigh(self, row: Row | BadRow, task_id: TaskId) -> int: ...


def has_more_rows(source: Source, start: Position) -> bool:
    if isinstance(source, ListedSource):
        return source.has_more_names(start)
    return any(line.strip() for line, _ in source.lines(start))


class RowFeed:
    """Registers input lines with the ledger and makes jobs of their open tasks.

    Stops after ``max_rows`` rows, but not before line ``min_line``. Rows that the plan does not include are counted.
    """

    def __init__(
        self, source: Source, ledger: AnyLedger, plan: TaskPlanner, max_rows: int | None, min_line: int
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._plan = plan
        self._max_rows = max_rows
        self._min_line = min_line
        # Position after the last registered line.
        self.position = START_POSITION

    def jobs(self) -> Iterator[Job | None]:
        """Yields jobs, and None after every ``LINES_PER_PAUSE`` lines without one."""
        rows = 0
        for lines, named in enumerate(read_named_lines(self._source, self._ledger.start), 1):
            line, position = named.line, named.position
            if self._is_past_end(position, rows):
                return
            self.position = position
            if line.strip():
                rows += 1
            if line.strip() and self._plan.includes(named):
                yield from self._register_row(named)
            else:
                self._ledger.skip(position)
            if lines % LINES_PER_PAUSE == 0:
                yield None

    def _is_past_end(self, position: Position, rows: int) -> bool:
        end = self._ledger.end
        if end is not None and position.number > end.number:
            return True
        return self._max_rows is not None and rows >= self._max_rows and position.number > self._min_line

    def _register_row(self, named: NamedLine) -> Iterator[Job]:
        line, position, name, path = named
        row = self._plan.parse(position.number, line, name, path)
        images = row.pictures if isinstance(row, Row) else ()
        # The key is the line as read. The parsed line can differ between versions; it is accepted as ``former_key``.
        key, former_key = (line, row.given or row.line) if name is None else (encode_name(name), None)
        task_ids = self._plan.task_ids(row)
        try:
            open_tasks = self._ledger.register_row(row.line, task_ids, position, images, key, former_key)
        except AnsweredRowChanged as error:
            where = find_row(self._source, error.number)
            place = f"the input {where.source} changed at {where.row_name} {where.number}"
            raise AnsweredRowChanged(error.number, place) from None
        for task_id in open_tasks:
            yield Job(row, task_id, self._plan.weigh(row, task_id))

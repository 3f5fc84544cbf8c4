"""Reads rows, has an engine answer their tasks, and stores the outcomes in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from persqa_client.config import Limits
from persqa_client.engines.early_stop import BadAnswers, EarlyStop, UnusableStart
from persqa_client.engines.engine import AnswerFunction, Engine, Job
from persqa_client.engines.local_engine import LocalEngine, task_limit
from persqa_client.errors import RunStopped
from persqa_client.inputs.files import find_row
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.sources import NamedLine, Source, encode_name, read_named_lines
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.storage.ledger import AnyLedger
from persqa_client.storage.writer import AnsweredRowChanged
from persqa_client.types import START_POSITION, BadRow, Position, Row, TaskId

# Number of lines without a task after which the reader yields to the event loop.
LINES_PER_PAUSE = 200
# Seconds between journal syncs; syncs between checkpoints. A resumed run replays the journal since the last checkpoint.
SYNC_INTERVAL = 1.0
SYNCS_PER_CHECKPOINT = 5
# Seconds between checks whether the reader of standard output has caught up.
READER_POLL_INTERVAL = 0.02


class TaskPlanner(Protocol):
    # Jobs to run per permit; above 1 if jobs wait for other tasks of their row.
    @property
    def jobs_per_permit(self) -> int: ...

    def parse(self, number: int, line: bytes, name: str | None = None, path: str | None = None) -> Row | BadRow: ...

    def task_ids(self, row: Row | BadRow) -> tuple[TaskId, ...]: ...

    # Upper estimate of a task's bytes in memory.
    def weigh(self, row: Row | BadRow, task_id: TaskId) -> int: ...


class EndpointPool(Protocol):
    @property
    def permits(self) -> int: ...

    @property
    def backing_off(self) -> int: ...

    def drain(self) -> None: ...


@dataclass(slots=True)
class RunProgress:
    # Sizes in the source's unit: bytes of a file, or images of a folder.
    total: int | None = None
    read: int = 0
    # Size that earlier processes have read.
    read_at_start: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    phase: str = "starting"


def has_more_rows(source: Source, start: Position) -> bool:
    if isinstance(source, ListedSource):
        return source.has_more_names(start)
    return any(line.strip() for line, _ in source.lines(start))


class RowFeed:
    """Registers input lines with the ledger and makes jobs of their open tasks.

    Stops after ``max_rows`` rows, but not before line ``min_line``.
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
        images = row.images if isinstance(row, Row) else ()
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


class TrialJobs(Iterator[Job | None]):
    """The jobs of the rows, with those of ``next_trial`` in between and after the last row.

    The argument of ``next_trial`` is whether all rows were read.
    """

    def __init__(self, rows: Iterator[Job | None], next_trial: Callable[[bool], Job | None]) -> None:
        self._rows = rows
        self._next_trial = next_trial

    def __next__(self) -> Job | None:
        trial = self._next_trial(False)
        if trial is not None:
            return trial
        try:
            return next(self._rows)
        except StopIteration:
            trial = self._next_trial(True)
            if trial is None:
                raise
            return trial


class RowLoop:
    """Answers the rows from ``ledger.start`` on, and syncs the ledger periodically.

    ``find_answered`` returns a row that was answered in an earlier process, or None.
    """

    def __init__(
        self,
        source: Source,
        ledger: AnyLedger,
        plan: TaskPlanner,
        answer: AnswerFunction,
        limits: Limits,
        progress: RunProgress,
        pool: EndpointPool,
        find_answered: Callable[[], Row | None] = lambda: None,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._plan = plan
        self._progress = progress
        self._max_waiting_tasks = max(1024, 8 * limits.concurrency_cap)
        self._max_waiting_bytes = limits.max_inflight_bytes
        # If the endpoint answered earlier processes, equal failures are due to the rows.
        passed = ledger.mode == "retry" or ledger.tally.succeeded > 0
        self._early_stop = EarlyStop(passed=passed)
        self._unusable_start = UnusableStart(
            limits.max_bad_rows, passed=passed, whole=ledger.start == START_POSITION and not ledger.tally.tasks
        )
        self._bad_answers = BadAnswers(limits.max_bad_answers)
        self._find_answered = find_answered
        # Latest row with a good answer. Answered rows not yet used for a trial; None if no trial
        # was made since that answer.
        self._answered: tuple[Row, TaskId] | None = None
        self._untried: list[tuple[Row, TaskId]] | None = None
        self._trial: Job | None = None
        self._dropped_failures = 0
        jobs_per_permit = plan.jobs_per_permit
        self.engine: Engine = LocalEngine(
            answer,
            max_jobs=lambda: jobs_per_permit * task_limit(pool.permits, pool.backing_off),
            max_bytes=limits.max_inflight_bytes,
            on_stop=pool.drain,
        )

    async def run(self, max_rows: int | None, *, is_part: bool = False) -> bool:
        """Returns False if stopped before every row had an outcome. Raises RunStopped and StorageError.

        ``is_part``: whether the input is a part of a larger one, whose other rows may be usable. Outcomes from the
        journal are always stored, even beyond ``max_rows``.
        """
        feed = RowFeed(self._source, self._ledger, self._plan, max_rows, min_line=self._ledger.last_journaled_row)
        try:
            await self._answer_rows(feed, is_part)
        except RunStopped:
            await asyncio.to_thread(self._ledger.checkpoint())
            raise
        if not self._is_complete:
            await asyncio.to_thread(self._ledger.checkpoint())
        return self._is_complete

    async def _answer_rows(self, feed: RowFeed, is_part: bool) -> None:
        progress = self._progress
        progress.total, progress.phase = self._source.progress_total(), "running"
        progress.read_at_start = progress.read = self._source.progress_at(self._ledger.start)
        syncing = asyncio.create_task(self._sync_periodically())
        try:
            async for job, outcome in self.engine.run(TrialJobs(feed.jobs(), self._next_trial), self._has_room):
                if syncing.done():
                    syncing.result()
                self._store(self._judge(outcome) if job is self._trial else self._admit(job, outcome))
                progress.in_flight = self.engine.running
                if not progress.in_flight:
                    self._try_model()
                while self._ledger.is_behind and not self.engine.stopping:  # noqa: ASYNC110 - a thread writes
                    await asyncio.sleep(READER_POLL_INTERVAL)
                progress.read = self._source.progress_at(feed.position)
            if syncing.done():
                syncing.result()
            if self._is_complete:
                if self._unusable_start.is_unusable_at_end and not is_part:
                    raise self._unusable_start.explain(at_end=True)
                self._store(
                    [*self._unusable_start.release(), *self._early_stop.release(), *self._bad_answers.release()]
                )
                progress.read = self._source.progress_at(feed.position)
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)

    @property
    def _is_complete(self) -> bool:
        return self.engine.complete and not self._dropped_failures

    def _has_room(self) -> bool:
        if self._unusable_start.is_at_limit or self._bad_answers.is_at_limit or self._trial is not None:
            return False
        return self._has_buffer_room()

    def _has_buffer_room(self) -> bool:
        buffer = self._ledger.buffer
        return buffer.tasks < self._max_waiting_tasks and buffer.bytes < self._max_waiting_bytes

    def _admit(self, job: Job, outcome: Outcome) -> list[Outcome]:
        """Drops failures after a stop, because the stop may have caused them."""
        if self.engine.stopping and isinstance(outcome, Failure):
            self._dropped_failures += 1
            return []
        admitted = [outcome]
        if not self._unusable_start.has_passed:
            admitted = self._unusable_start.admit(
                outcome, has_usable_rows=self.engine.has_loaded, has_room=self._has_buffer_room()
            )
        try:
            if not self._early_stop.has_passed:
                admitted = [each for one in admitted for each in self._early_stop.admit(one)]
        except RunStopped as error:
            self.engine.stop_with(error)
            return []
        if isinstance(outcome, Record) and isinstance(job.row, Row):
            self._answered, self._untried = (job.row, job.task_id), None
        began, ended = job.began, self.engine.ended
        return [stored for each in admitted for stored in self._bad_answers.admit(each, began=began, ended=ended)]

    def _try_model(self) -> None:
        """Starts a trial, or stops. Called once nothing is in flight; until then, a good answer may still arrive."""
        if self.engine.stopping or self._trial is not None:
            return
        if self._unusable_start.is_at_limit:
            self.engine.stop_with(self._unusable_start.explain())
        elif self._bad_answers.is_at_limit:
            self._trial = self._make_trial()
            if self._trial is None:
                self.engine.stop_with(self._bad_answers.explain(tried=False))

    def _next_trial(self, at_end: bool) -> Job | None:
        if at_end and self._trial is None and self._bad_answers.is_streak and not self.engine.running:
            self._trial = self._make_trial()
        return None if self._trial is None or self.engine.running else self._trial

    def _make_trial(self) -> Job | None:
        """Asks an answered row again."""
        if self._untried is None:
            earlier = self._find_answered()
            self._untried = [self._answered] if self._answered is not None else []
            self._untried += [(earlier, self._plan.task_ids(earlier)[0])] if earlier is not None else []
        if not self._untried:
            return None
        row, task_id = self._untried.pop(0)
        return Job(row, task_id, self._plan.weigh(row, task_id))

    def _judge(self, outcome: Outcome) -> list[Outcome]:
        """Decides by the outcome of a trial whether the rows or the model caused the held failures."""
        self._trial = None
        if isinstance(outcome, Record):
            self._untried = None
            return self._bad_answers.release()
        if self.engine.stopping:
            self._dropped_failures += self._bad_answers.drop()
        elif self._untried:
            self._trial = self._make_trial()
        elif outcome.stage == "answer":
            self.engine.stop_with(self._bad_answers.explain(tried=True))
        elif not self._bad_answers.is_at_limit:
            return self._bad_answers.release()
        return []

    def _store(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._ledger.store_outcome(outcome)
            self._progress.done += 1
            self._progress.failed += isinstance(outcome, Failure)

    async def _sync_periodically(self) -> None:
        """Stops the engine on a disk error."""
        syncs = 0
        try:
            while True:
                await asyncio.sleep(SYNC_INTERVAL)
                syncs += 1
                is_checkpoint = syncs % SYNCS_PER_CHECKPOINT == 0
                await asyncio.to_thread(self._ledger.checkpoint() if is_checkpoint else self._ledger.sync)
        except Exception:
            self.engine.stop()
            raise

"""Reads rows, has an engine answer their tasks, and stores the outcomes in the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from persqa_client.config import Limits
from persqa_client.engines.bad_answers import BadAnswers, CheckedJobs, ModelCheck
from persqa_client.engines.budget import BUDGET, Spending, check_budget
from persqa_client.engines.early_stop import EarlyStop, UnusableStart
from persqa_client.engines.engine import AnswerFunction, Engine, Job
from persqa_client.engines.local_engine import LocalEngine, task_limit
from persqa_client.engines.row_feed import RowFeed, TaskPlanner
from persqa_client.engines.row_waits import RowsInWork, RowWait, find_row_wait
from persqa_client.errors import RunStopped
from persqa_client.inputs.sources import Source
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.storage.ledger import AnyLedger
from persqa_client.task_groups import loop_time
from persqa_client.types import START_POSITION, Row

# Seconds between journal syncs; syncs between checkpoints. A resumed run replays the journal since the last checkpoint.
SYNC_INTERVAL = 1.0
SYNCS_PER_CHECKPOINT = 5
# Seconds between checks whether the reader of standard output has caught up.
READER_POLL_INTERVAL = 0.02


class EndpointPool(Protocol):
    @property
    def permits(self) -> int: ...

    @property
    def backing_off(self) -> int: ...

    def drain(self) -> None: ...


# The phase in which rows are answered.
ANSWERING = "Answering"


@dataclass(slots=True)
class RunProgress:
    # Sizes in the source's unit: bytes of a file, or images of a folder.
    total: int | None = None
    read: int = 0
    # Size that earlier processes have read.
    read_at_start: int = 0
    # Tasks of this process, and those that earlier ones have finished.
    done: int = 0
    earlier: int = 0
    failed: int = 0
    earlier_failed: int = 0
    # Counts of this process: failures by code, and ``accepted``.
    outcomes: Counter[str] = field(default_factory=Counter)
    # Whether failed rows are asked again.
    is_retry: bool = False
    in_flight: int = 0
    # What the run does, in words, or ``ANSWERING``.
    phase: str = "Starting"
    find_wait: Callable[[], RowWait | None] = lambda: None
    spending: Spending = field(default_factory=Spending)


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
        self._limits = limits
        self._dropped_failures = 0
        jobs_per_permit = plan.jobs_per_permit
        self.engine: Engine = LocalEngine(
            answer,
            max_jobs=lambda: jobs_per_permit * task_limit(pool.permits, pool.backing_off),
            max_bytes=limits.max_inflight_bytes,
            on_stop=pool.drain,
        )
        self._model_check = ModelCheck(self._bad_answers, self.engine, plan, find_answered)

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
        progress.total, progress.phase = self._source.progress_total(), ANSWERING
        progress.find_wait = self._find_wait
        progress.is_retry = self._ledger.mode == "retry"
        progress.earlier = progress.earlier_failed = 0
        if not progress.is_retry:
            waiting = [entry.outcome for entry in self._ledger.buffer.unwritten_entries()]
            failed = sum(isinstance(outcome, Failure) for outcome in waiting)
            progress.earlier = self._ledger.tally.tasks + len(waiting) - progress.done
            progress.earlier_failed = self._ledger.tally.failed_total + failed - progress.failed
        progress.read_at_start = progress.read = self._source.progress_at(self._ledger.start)
        syncing = asyncio.create_task(self._sync_periodically())
        try:
            try:
                await self._store_outcomes(feed, syncing)
            except RunStopped as error:
                # The last row may reach the budget.
                if error.code != BUDGET or not self._is_complete:
                    raise
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
            progress.find_wait = lambda: None
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)

    async def _store_outcomes(self, feed: RowFeed, syncing: asyncio.Task[None]) -> None:
        progress, check = self._progress, self._model_check
        async for job, outcome in self.engine.run(CheckedJobs(feed.jobs(), check), self._has_room):
            if syncing.done():
                syncing.result()
            self._store(check.handle_result(outcome) if job is check.job else self._admit(job, outcome))
            self._check_budget()
            progress.in_flight = self.engine.running
            if not progress.in_flight:
                self._stop_or_check_model()
            while self._ledger.is_behind and not self.engine.stopping:  # noqa: ASYNC110 - a thread writes
                await asyncio.sleep(READER_POLL_INTERVAL)
            progress.read = self._source.progress_at(feed.position)

    def _find_wait(self) -> RowWait | None:
        engine, check = self.engine, self._model_check.job
        if engine.oldest is None:
            return None
        return find_row_wait(
            RowsInWork(
                oldest=engine.oldest.task_id.row,
                seconds=loop_time() - engine.oldest.began_at,
                running=engine.running,
                stopping=engine.stopping,
                all_started=engine.all_started,
                has_room=self._has_buffer_room(),
                checked=None if check is None else check.task_id.row,
            )
        )

    @property
    def _is_complete(self) -> bool:
        return self.engine.complete and not self._dropped_failures and not self._bad_answers.dropped

    def _has_room(self) -> bool:
        if self._unusable_start.is_at_limit or self._bad_answers.is_at_limit or self._model_check.job is not None:
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
            self._model_check.record_answer(job.row, job.task_id)
        began, ended = job.began, self.engine.ended
        return [stored for each in admitted for stored in self._bad_answers.admit(each, began=began, ended=ended)]

    def _stop_or_check_model(self) -> None:
        """Called once nothing is in flight; until then, a good answer may still arrive."""
        if self.engine.stopping or self._model_check.job is not None:
            return
        if self._unusable_start.is_at_limit:
            self.engine.stop_with(self._unusable_start.explain())
        elif self._bad_answers.is_at_limit:
            self._model_check.start_or_stop()

    def _store(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._ledger.store_outcome(outcome)
            self._progress.done += 1
            self._progress.failed += isinstance(outcome, Failure)
            self._progress.outcomes[outcome.code if isinstance(outcome, Failure) else "accepted"] += 1
            self._progress.spending.add(outcome)

    def _check_budget(self) -> None:
        error = check_budget(self._limits, self._progress.spending)
        if error is not None and not self.engine.stopping:
            self.engine.stop_with(error)

    async def _sync_periodically(self) -> None:
        """Stops the engine on a disk error."""
        syncs = 0
        try:
            while True:
                await asyncio.sleep(SYNC_INTERVAL)
                self._check_budget()  # also while no outcome arrives
                syncs += 1
                is_checkpoint = syncs % SYNCS_PER_CHECKPOINT == 0
                await asyncio.to_thread(self._ledger.checkpoint() if is_checkpoint else self._ledger.sync)
        except Exception:
            self.engine.stop()
            raise

"""One pass over an input: rows in, outcomes settled in the book, the book kept safe meanwhile. Composes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from persqa_client.config import Limits
from persqa_client.engines.local import AnswerFunction, Job, LocalEngine, task_limit
from persqa_client.errors import RunStopped
from persqa_client.inputs.sources import START_POSITION, Source
from persqa_client.types import BadRow, Failure, Outcome, Position, Row, TaskId

# From the input's lines to jobs: announces each to the ledger, asks for what is still to be answered. Reads.

BREATH = 200
"""Lines without a job, after which the event loop gets a turn."""


class Book(Protocol):
    """What a feed needs of a ledger."""

    @property
    def start(self) -> Position: ...
    @property
    def until(self) -> Position | None: ...
    def expect(self, line: bytes, units: tuple[TaskId, ...], position: Position) -> tuple[TaskId, ...]: ...
    def skip(self, position: Position) -> None: ...


class Reading(Protocol):
    """How lines become rows, what is asked about a row, and what a question of it holds in memory."""

    def parse(self, number: int, line: bytes) -> Row | BadRow: ...
    def units(self, row: Row | BadRow) -> tuple[TaskId, ...]: ...
    def weigh(self, row: Row | BadRow, unit: TaskId) -> int: ...


@dataclass(slots=True)
class Feed:
    """Draws lines from a source as an engine asks for jobs. ``rows`` bounds how many rows are announced."""

    source: Source
    book: Book
    reading: Reading
    rows: int | None = None
    at_least: int = 0
    """A line up to which rows are announced whatever ``rows`` says: answers for them are paid and journalled."""
    position: Position = START_POSITION
    """After the line that was announced last."""

    def jobs(self) -> Iterator[Job | None]:
        left = self.rows
        for quiet, (line, position) in enumerate(self.source.lines(self.book.start), 1):
            if self._is_past(position, left):
                return
            self.position = position
            if line.strip():
                left = None if left is None else left - 1
                yield from self._announce(line, position)
            else:
                self.book.skip(position)
            if quiet % BREATH == 0:
                yield None

    def _is_past(self, position: Position, left: int | None) -> bool:
        until = self.book.until
        if until is not None and position.number > until.number:
            return True
        return left is not None and left <= 0 and position.number > self.at_least

    def _announce(self, line: bytes, position: Position) -> Iterator[Job]:
        row = self.reading.parse(position.number, line)
        for unit in self.book.expect(row.line, self.reading.units(row), position):
            yield Job(row, unit, self.reading.weigh(row, unit))


def has_more_rows(source: Source, start: Position) -> bool:
    """Whether a row follows a position (blank lines are none)."""
    return any(line.strip() for line, _ in source.lines(start))


# Whether the first results speak of the rows or of the run. Pure.

FIRST_RESULTS = 20


class EarlyStop:
    """Holds the endpoint's first refusals back until one result differs: twenty alike are the run's fault."""

    def __init__(self, most: int = FIRST_RESULTS, *, passed: bool = False) -> None:
        self._most = most
        self._held: list[Failure] = []
        self._passed = passed

    def judge(self, outcome: Outcome) -> list[Outcome]:
        """The outcomes that may be written now. Raises RunStopped when the first results are all the same refusal.

        Failures that no endpoint had a part in (a missing picture) go through and prove nothing.
        """
        if self._passed or (isinstance(outcome, Failure) and outcome.stage == "input"):
            return [outcome]
        if not isinstance(outcome, Failure) or outcome.stage != "endpoint" or not self._alike(outcome):
            self._passed = True
            return [*self.release(), outcome]
        self._held.append(outcome)
        if len(self._held) >= self._most:
            raise RunStopped(
                outcome.code,
                f"The first {self._most} results were all the same, so the run would bring nothing: {outcome.message} "
                "No row was written as failed.",
            )
        return []

    def _alike(self, failure: Failure) -> bool:
        return not self._held or _kind(self._held[0]) == _kind(failure)

    def release(self) -> list[Outcome]:
        """What is held back, when the run ends before it was decided."""
        held, self._held = self._held, []
        return list(held)


def _kind(failure: Failure) -> tuple[str, str]:
    """Code and the server's words without their numbers, which differ from row to row."""
    return failure.code, re.sub(r"\d+", "#", failure.raw or "")


SYNC_EVERY = 1.0
CHECKPOINT_EVERY = 5
"""In syncs: what a crash leaves to be replayed is some seconds' worth of rows."""


class Planned(Reading, Protocol):
    """A reading that knows how many of its questions wait for others."""

    @property
    def spread(self) -> int: ...


class SafeBook(Book, Protocol):
    """A book that can be made to last, and that says how much waits for its head."""

    @property
    def waiting(self) -> int: ...
    @property
    def waiting_bytes(self) -> int: ...
    def settle(self, outcome: Outcome) -> None: ...
    def sync(self) -> None: ...
    def checkpoint(self) -> Callable[[], None]: ...


@dataclass(slots=True)
class RunProgress:
    """How a run stands, for whoever looks on; filled by the run, read by anyone."""

    total: int | None = None
    """How much input there is, in the measure of ``read``: bytes of a file, pictures of a folder."""
    read: int = 0
    read_at_start: int = 0
    """What of it was done by an earlier start."""
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    phase: str = "starting"


class RowLoop:
    """Answers rows from where the book stands to the input's end, or to ``rows`` more of them.

    ``proven``: earlier rows of this run were answered, so refusals that are all alike speak of the rows.
    """

    def __init__(
        self,
        source: Source,
        book: SafeBook,
        plan: Planned,
        answer: AnswerFunction,
        limits: Limits,
        live: RunProgress,
        drain: Callable[[], None],
        slots: Callable[[], int],
        *,
        proven: bool,
    ) -> None:
        self.book = book
        self.live = live
        self._source = source
        self._plan = plan
        self._limits = limits
        self._window = max(1024, 8 * limits.concurrency_cap)
        self._probation = EarlyStop(passed=proven)
        self._dropped = 0
        self.engine = LocalEngine(
            answer,
            most=lambda: plan.spread * task_limit(slots()),
            most_bytes=limits.max_inflight_bytes,
            on_stop=drain,
        )

    async def run(self, rows: int | None, at_least: int = 0) -> bool:
        """Whether all was done; False when it was stopped. Raises RunStopped and StorageError.

        ``at_least`` is a line up to which rows are taken whatever ``rows`` says.
        """
        try:
            finished = await self._run(rows, at_least)
        except RunStopped:
            await asyncio.to_thread(self.book.checkpoint())
            raise
        if not finished:
            await asyncio.to_thread(self.book.checkpoint())
        return finished

    async def _run(self, rows: int | None, at_least: int) -> bool:
        self.live.total, self.live.phase = self._source.progress_total(), "running"
        self.live.read_at_start = self.live.read = self._source.progress_at(self.book.start)
        feed = Feed(self._source, self.book, self._plan, rows, at_least)
        keeper = asyncio.create_task(keep(self.book))
        keeper.add_done_callback(self._disk_failed)
        try:
            async for _, outcome in self.engine.run(feed.jobs(), self._has_room):
                if keeper.done():
                    keeper.result()
                self._look(feed)
                self._settle(self._admitted(outcome))
            if keeper.done():
                keeper.result()
            if self._complete:
                self._settle(self._probation.release())
                self._look(feed)
        finally:
            keeper.remove_done_callback(self._disk_failed)
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        return self._complete

    def _disk_failed(self, keeper: asyncio.Task[None]) -> None:
        """Ends the pass also while no answer comes that would show it."""
        self.engine.stop()

    @property
    def _complete(self) -> bool:
        return self.engine.complete and not self._dropped

    def _has_room(self) -> bool:
        return self.book.waiting < self._window and self.book.waiting_bytes < self._limits.max_inflight_bytes

    def _admitted(self, outcome: Outcome) -> list[Outcome]:
        """What may be written. Once the run is being stopped, good answers alone: a failure may be the stop's own."""
        if self.engine.stopping and isinstance(outcome, Failure):
            self._dropped += 1
            return []
        try:
            return self._probation.judge(outcome)
        except RunStopped as refusal:
            self.engine.refuse(refusal)
            return []

    def _settle(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.book.settle(outcome)
            self._seen(outcome)

    def _seen(self, outcome: Outcome) -> None:
        self.live.done += 1
        self.live.failed += isinstance(outcome, Failure)

    def _look(self, feed: Feed) -> None:
        self.live.read = self._source.progress_at(feed.position)
        self.live.in_flight = self.engine.alive


async def keep(book: SafeBook) -> None:
    """Syncs once a second and takes checkpoints, both in a thread. Ends with StorageError when the disk fails."""
    beats = 0
    while True:
        await asyncio.sleep(SYNC_EVERY)
        beats += 1
        work = book.checkpoint() if beats % CHECKPOINT_EVERY == 0 else book.sync
        await asyncio.to_thread(work)

"""One pass over an input: rows in, outcomes settled in the book, the book kept safe meanwhile. Composes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from persqa_client.config import Limits
from persqa_client.engines.feed import Book, Feed, Reading
from persqa_client.engines.local import Answer, LocalEngine, at_hand
from persqa_client.engines.probation import Probation
from persqa_client.errors import RunStopped
from persqa_client.inputs.sources import Source
from persqa_client.types import Failure, Outcome

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
class Live:
    """How a run stands, for whoever looks on; filled by the run, read by anyone."""

    total: int | None = None
    """How much input there is, in the measure of ``read``: bytes of a file, pictures of a folder."""
    read: int = 0
    began_at: int = 0
    """What of it was done by an earlier start."""
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    phase: str = "starting"


class Pass:
    """Answers rows from where the book stands to the input's end, or to ``rows`` more of them.

    ``proven``: earlier rows of this run were answered, so refusals that are all alike speak of the rows.
    """

    def __init__(
        self,
        source: Source,
        book: SafeBook,
        plan: Planned,
        answer: Answer,
        limits: Limits,
        live: Live,
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
        self._window = max(1024, 8 * limits.most_at_once)
        self._probation = Probation(passed=proven)
        self._dropped = 0
        self.engine = LocalEngine(
            answer,
            most=lambda: plan.spread * at_hand(slots()),
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
        self.live.total, self.live.phase = self._source.total(), "running"
        self.live.began_at = self.live.read = self._source.done(self.book.start)
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
        self.live.read = self._source.done(feed.position)
        self.live.in_flight = self.engine.alive


async def keep(book: SafeBook) -> None:
    """Syncs once a second and takes checkpoints, both in a thread. Ends with StorageError when the disk fails."""
    beats = 0
    while True:
        await asyncio.sleep(SYNC_EVERY)
        beats += 1
        work = book.checkpoint() if beats % CHECKPOINT_EVERY == 0 else book.sync
        await asyncio.to_thread(work)

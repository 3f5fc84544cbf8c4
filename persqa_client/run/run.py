"""One run from its settings to its summary: opens the files, looks at the server, answers the rows, closes the books.

Composes inputs, chat, outputs and an engine; this is what the command line and ``generate`` call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx2

from persqa_client.config import Endpoint, RunSettings
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.endpoints.traffic import collect_endpoint_stats, collect_findings, collect_notes
from persqa_client.engines.local import AnswerFunction
from persqa_client.engines.row_loop import RowLoop, RunProgress, has_more_rows
from persqa_client.errors import Interrupted, SettingsError
from persqa_client.images.tokens import make_token_counter
from persqa_client.inputs.sources import FileSource, FolderSource, Source
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.probe import ProbeDepth, probe_all, resolve_common_strategy
from persqa_client.run.compose import RunPlan
from persqa_client.run.summary import Summary, facts_of
from persqa_client.storage.ledger import Ledger, MemoryLedger
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Strategy, TaskId

# Where a run goes on that was broken off, or that is given more: how much of its input is done, and left. Reads.


def refuse_changed_input(source: Source, ledger: Ledger) -> None:
    """Raises SettingsError where what is done already is not what it was; more may have been added behind it."""
    if ledger.start.number == 0 or (ledger.stamp is not None and ledger.stamp == source.fingerprint()):
        return
    if source.digest_at(ledger.start) != ledger.start.digest:
        done = f"{ledger.start.number} {'lines' if isinstance(source, FileSource) else 'rows'}"
        raise SettingsError(
            f"The input {source.name} changed in its first {done}, which are done already: "
            "make it what it was, choose another -o, or start again with --fresh."
        )


def rows_left(ledger: Ledger | MemoryLedger, limit: int | None) -> int | None:
    """How many more rows ``limit`` allows; None for as many as there are, which a retry always takes."""
    return None if limit is None or ledger.until is not None else max(0, limit - ledger.tally.rows)


def last_paid(ledger: Ledger | MemoryLedger) -> int:
    """The last line that the journal holds an answer for: a smaller ``--limit`` must not throw it away."""
    if isinstance(ledger, MemoryLedger) or ledger.books is None:
        return 0
    return max((unit.row for unit in ledger.books.replayed), default=0)


PICTURE_THREADS = max(4, min(16, os.cpu_count() or 1))
"""As many as there are cores, since Pillow's work goes on beside Python's; no fewer than four, for slow disks."""


class Run:
    """A run that can be looked at (``live``, ``pool``) and stopped while it goes on. Executed once.

    Raises SettingsError where its settings can't be. ``session`` replaces the one that the settings would make, or
    several do; ``pool`` stands for all of them.
    """

    def __init__(
        self,
        settings: RunSettings,
        source: Source,
        *,
        session: Session | Sequence[Session] | None = None,
        pool: Pool | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.settings = settings
        self.source = source
        self.plan = RunPlan(settings, source)
        self.live = RunProgress()
        given = [session] if isinstance(session, Session) else session
        self.pool = pool or Pool(given or [make_session(endpoint, settings) for endpoint in settings.endpoints])
        self.servers: tuple[ServerCapabilities, ...] = ()
        self.strategy: Strategy = "direct"
        self._meeting: asyncio.Task[None] | None = None
        self._pass: RowLoop | None = None
        self._retried = False
        self._stopped = False
        self._ledger: Ledger | None = None
        self._clock = clock
        self._began: float | None = None

    @property
    def session(self) -> Session:
        """The first endpoint's."""
        return self.pool.members[0].session

    def stop(self) -> None:
        """Asks the run to stop: what is under way may finish. Asked again, it ends at once."""
        if self._meeting is not None:
            self._meeting.cancel()
        if self._pass is None:
            self.pool.drain()
        elif self._stopped:
            self._pass.engine.abort()
        else:
            self._pass.engine.stop()
        self._stopped = True

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Holds the run's files from now on, so that nobody else takes them before ``execute``, which is to be called
        inside. Whether there is something to ask a server for. Raises SettingsError as ``execute`` does."""
        if self.settings.output is None:
            yield True
            return
        with self._open_ledger(RunFiles.for_output(self.settings.output)) as ledger:
            self._ledger = ledger
            try:
                yield self._has_work(ledger)
            finally:
                self._ledger = None

    def move(self, endpoint: Endpoint) -> None:
        """To where the server turned out to be, before anything was asked."""
        self.settings = self.settings.model_copy(update={"endpoint": endpoint})
        self.pool = Pool([make_session(endpoint, self.settings)])

    async def execute(self) -> Summary:
        """Raises SettingsError before anything is sent; RunStopped or StorageError leave a run that can be resumed."""
        self._began = self._clock()
        if self.settings.output is None:
            memory = MemoryLedger(self.plan.render)
            async with self.pool:
                summary = await self._work(memory, None)
            return replace(summary, records=memory.rows(failed=False), failures=memory.rows(failed=True))
        files = RunFiles.for_output(self.settings.output)
        with self._own_ledger(files) as ledger:
            async with self.pool:
                if not self._has_work(ledger):
                    return Summary("already", ledger.tally, ledger.seconds, files)
                return await self._work(ledger, files)

    async def _work(self, ledger: Ledger | MemoryLedger, files: RunFiles | None) -> Summary:
        finished = await self._meet_server()
        if finished and ledger.state != "finished":
            finished = await self._answer(ledger)
        while finished and (begin := self._next_pass(ledger)) is not None:
            begin()
            finished = await self._answer(ledger)
        state = "finished" if finished else "interrupted"
        server = self.servers[0] if self.servers else None
        notes, found = tuple(collect_notes(self.pool)), tuple(collect_findings(self.pool))
        return Summary(
            state, ledger.tally, ledger.seconds, files, server, notes, found, collect_endpoint_stats(self.pool)
        )

    def _has_work(self, ledger: Ledger) -> bool:
        return ledger.state != "finished" or self._next_pass(ledger) is not None

    def _next_pass(self, ledger: Ledger | MemoryLedger) -> Callable[[], None] | None:
        """What brings a finished run back to work: its failures where they are to be retried, then input it has not
        seen. None where nothing is left."""
        if isinstance(ledger, MemoryLedger):
            return None
        if self.settings.retry_failed and not self._retried and ledger.tally.failed_total:
            return ledger.retry
        more = rows_left(ledger, self.settings.limit) != 0 and has_more_rows(self.source, ledger.start)
        return ledger.reopen if more else None

    def _own_ledger(self, files: RunFiles) -> AbstractContextManager[Ledger]:
        """The one that is held already, or one that is opened for this."""
        return self._open_ledger(files) if self._ledger is None else nullcontext(self._ledger)

    def _open_ledger(self, files: RunFiles) -> Ledger:
        settings = self.settings
        if isinstance(self.source, FileSource | FolderSource):
            files.refuse_input(Path(self.source.name))
        stamp, render = self.source.fingerprint(), self.plan.render
        ledger = Ledger.open(
            files,
            identity=self.plan.identity(),
            stamp=stamp,
            render=render,
            fresh=settings.fresh,
            clock=self._seconds,
        )
        try:
            refuse_changed_input(self.source, ledger)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def _seconds(self) -> float:
        """Since the run began to ask: the start of a server before that is none of its time."""
        return 0.0 if self._began is None else self._clock() - self._began

    async def _meet_server(self) -> bool:
        """Finds out what the server is. False when the run was stopped meanwhile."""
        self.live.phase = "asking the server what it can do"
        self._meeting = asyncio.ensure_future(self._examine())
        try:
            await self._meeting
        except (asyncio.CancelledError, Interrupted):
            if not self._stopped:
                raise
        finally:
            self._meeting = None
        return not self._stopped

    async def _examine(self) -> None:
        strategy = self.settings.recipe.strategy
        care: ProbeDepth = "all" if self.settings.probes else "identity"
        self.servers = await probe_all(self.pool.sessions, strategy, care, uuid=self.settings.uuid)
        self.strategy = resolve_common_strategy(self.servers, strategy)

    async def _answer(self, ledger: Ledger | MemoryLedger) -> bool:
        """Answers what is left and closes the books. False when the run was stopped before its end."""
        if self._stopped:
            return False
        self._retried = self._retried or ledger.until is not None
        with ThreadPoolExecutor(PICTURE_THREADS, thread_name_prefix="picture") as threads:
            pipeline = self.plan.pipeline(self.pool.completer, threads, self.strategy, self.servers, self._loaded)
            self._pass = self._make_pass(ledger, pipeline.answer_row)
            try:
                finished = await self._pass.run(rows_left(ledger, self.settings.limit), at_least=last_paid(ledger))
            finally:
                self._pass = None
        if finished:
            self.live.phase = "finishing"
            facts = facts_of(self.settings, self.pool, self.servers, self.strategy, self.plan.warnings())
            await asyncio.to_thread(ledger.finish, {"input": self.source.name, **facts})
        return finished

    def _make_pass(self, ledger: Ledger | MemoryLedger, answer: AnswerFunction) -> RowLoop:
        return RowLoop(
            self.source,
            ledger,
            self.plan,
            answer,
            self.settings.limits,
            self.live,
            self.pool.drain,
            lambda: self.pool.slots,
            proven=ledger.until is not None or ledger.tally.succeeded > 0,
        )

    def _loaded(self, unit: TaskId, held: int) -> None:
        if self._pass is not None:
            self._pass.engine.lighten(unit, held)


def make_session(endpoint: Endpoint, settings: RunSettings, http_client: httpx2.AsyncClient | None = None) -> Session:
    return Session(
        endpoint,
        sampling=settings.sampling,
        limits=settings.limits,
        http_client=http_client,
        image_tokens=make_token_counter(endpoint.model),
    )

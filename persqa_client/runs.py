"""One run from its settings to its summary: opens the files, looks at the server, answers the rows, closes the books.

Composes inputs, chat, outputs and an engine; this is what the command line and ``generate`` call.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2

from persqa_client import __version__
from persqa_client.chat.accounts import Account, accounts_of, found_of, notes_of
from persqa_client.chat.meeting import Care, agree, meet
from persqa_client.chat.pool import Pool
from persqa_client.chat.servers import Server
from persqa_client.chat.sessions import Session
from persqa_client.config import Endpoint, RunSettings
from persqa_client.engines.feed import has_more
from persqa_client.engines.local import Answer
from persqa_client.engines.passes import Live, Pass
from persqa_client.errors import Interrupted, RunStopped, SettingsError
from persqa_client.inputs.sources import FileSource, FolderSource, Source
from persqa_client.outputs.files import RunFiles
from persqa_client.outputs.ledger import Ledger
from persqa_client.outputs.memory import MemoryLedger
from persqa_client.outputs.tally import Tally
from persqa_client.plan import Plan, picture_tokens
from persqa_client.types import Strategy, Unit

PICTURE_THREADS = max(4, min(16, os.cpu_count() or 1))
"""As many as there are cores, since Pillow's work goes on beside Python's; no fewer than four, for slow disks."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a run. ``records`` and ``failures`` are filled where no output was named, in input order."""

    state: str
    """``finished``, ``interrupted`` (resumable), or ``already`` when there was nothing left to do."""
    tally: Tally
    seconds: float
    files: RunFiles | None = None
    server: Server | None = None
    """The first, where there are several."""
    notes: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    """How many requests at once the run came to, how often a picture went by its name."""
    endpoints: tuple[Account, ...] = ()
    """What each did since this start, where there are several."""
    records: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)


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
    ) -> None:
        self.settings = settings
        self.source = source
        self.plan = Plan(settings, source)
        self.live = Live()
        given = [session] if isinstance(session, Session) else session
        self.pool = pool or Pool(given or [make_session(endpoint, settings) for endpoint in settings.endpoints])
        self.servers: tuple[Server, ...] = ()
        self.strategy: Strategy = "direct"
        self._meeting: asyncio.Task[None] | None = None
        self._pass: Pass | None = None
        self._retried = False
        self._stopped = False
        self._refusal: RunStopped | None = None

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

    def refuse(self, refusal: RunStopped) -> None:
        """Ends the run at once with this: its server is known to be gone, and no answer can come any more."""
        self._refusal = refusal
        if self._meeting is not None:
            self._meeting.cancel()
        if self._pass is not None:
            self._pass.engine.refuse(refusal)
            self._pass.engine.abort()

    def has_work(self) -> bool:
        """Whether there is something to ask a server for. Opens the run's files and closes them again.

        Raises SettingsError as ``execute`` does.
        """
        if self.settings.output is None:
            return True
        with self._open_ledger(RunFiles.of(self.settings.output)) as ledger:
            return ledger.state != "finished" or self._next_pass(ledger) is not None

    async def execute(self) -> Summary:
        """Raises SettingsError before anything is sent; RunStopped or StorageError leave a run that can be resumed."""
        if self.settings.output is None:
            memory = MemoryLedger(self.plan.render)
            async with self.pool:
                summary = await self._work(memory, None)
            return replace(summary, records=memory.rows(failed=False), failures=memory.rows(failed=True))
        files = RunFiles.of(self.settings.output)
        with self._open_ledger(files) as ledger:
            async with self.pool:
                if ledger.state == "finished" and self._next_pass(ledger) is None:
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
        notes, found = tuple(notes_of(self.pool)), tuple(found_of(self.pool))
        return Summary(state, ledger.tally, ledger.seconds, files, server, notes, found, accounts_of(self.pool))

    def _next_pass(self, ledger: Ledger | MemoryLedger) -> Callable[[], None] | None:
        """What brings a finished run back to work: its failures where they are to be retried, then input it has not
        seen. None where nothing is left."""
        if isinstance(ledger, MemoryLedger):
            return None
        if self.settings.retry_failed and not self._retried and ledger.tally.bad:
            return ledger.retry
        return ledger.reopen if self._rows_left(ledger) != 0 and has_more(self.source, ledger.start) else None

    def _open_ledger(self, files: RunFiles) -> Ledger:
        settings = self.settings
        if isinstance(self.source, FileSource | FolderSource):
            files.refuse_input(Path(self.source.name))
        stamp, render = self.source.stamp(), self.plan.render
        ledger = Ledger.open(files, identity=self.plan.identity(), stamp=stamp, render=render, fresh=settings.fresh)
        try:
            refuse_changed_input(self.source, ledger)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def _rows_left(self, ledger: Ledger | MemoryLedger) -> int | None:
        limit = self.settings.limit
        return None if limit is None or ledger.until is not None else max(0, limit - ledger.tally.rows)

    async def _meet_server(self) -> bool:
        """Finds out what the server is. False when the run was stopped meanwhile."""
        self.live.phase = "asking the server what it can do"
        self._meeting = asyncio.ensure_future(self._examine())
        try:
            await self._meeting
        except (asyncio.CancelledError, Interrupted):
            if not self._stopped and self._refusal is None:
                raise
        finally:
            self._meeting = None
        return not self._stopped

    async def _examine(self) -> None:
        strategy = self.settings.recipe.strategy
        care: Care = "thorough" if self.settings.probes else "look"
        self.servers = await meet(self.pool.sessions, strategy, care, uuid=self.settings.uuid)
        self.strategy = agree(self.servers, strategy)
        self.pool.join()

    async def _answer(self, ledger: Ledger | MemoryLedger) -> bool:
        """Answers what is left and closes the books. False when the run was stopped before its end."""
        if self._refusal is not None:
            raise self._refusal
        if self._stopped:
            return False
        self._retried = self._retried or ledger.until is not None
        with ThreadPoolExecutor(PICTURE_THREADS, thread_name_prefix="picture") as threads:
            pipeline = self.plan.pipeline(self.pool.completer, threads, self.strategy, self.servers, self._loaded)
            self._pass = self._make_pass(ledger, pipeline.answer_row)
            try:
                finished = await self._pass.run(self._rows_left(ledger), at_least=last_paid(ledger))
            finally:
                self._pass = None
        if finished:
            self.live.phase = "finishing"
            await asyncio.to_thread(ledger.finish, self._describe())
        return finished

    def _make_pass(self, ledger: Ledger | MemoryLedger, answer: Answer) -> Pass:
        return Pass(
            self.source,
            ledger,
            self.plan,
            answer,
            self.settings.limits,
            self.live,
            self.pool.drain,
            lambda: self.pool.slots,
            proven=ledger.until is not None or ledger.tally.good > 0,
        )

    def _loaded(self, unit: Unit, held: int) -> None:
        if self._pass is not None:
            self._pass.engine.lighten(unit, held)

    def _describe(self) -> dict[str, Any]:
        """What the run file says beside the ledger's own."""
        settings = self.settings
        return {
            "input": self.source.name,
            **self._endpoints(),
            "limits": settings.limits.model_dump(),
            "strategy": self.strategy,
            "warnings": self.plan.warnings(),
            "notes": notes_of(self.pool),
            "found": found_of(self.pool),
            "versions": {
                "persqa_client": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("openai", "aiohttp", "pillow")},
            },
        }

    def _endpoints(self) -> dict[str, Any]:
        servers: list[dict[str, Any] | None] = [server.to_json() for server in self.servers]
        servers = servers or [None for _ in self.pool.members]
        if len(self.pool.members) == 1:
            return {"base_url": self.settings.endpoint.base_url, "server": servers[0]}
        accounts = map(asdict, accounts_of(self.pool))
        return {"endpoints": [{**account, "server": server} for account, server in zip(accounts, servers, strict=True)]}


def make_session(endpoint: Endpoint, settings: RunSettings, http_client: httpx2.AsyncClient | None = None) -> Session:
    return Session(
        endpoint,
        sampling=settings.sampling,
        limits=settings.limits,
        http_client=http_client,
        picture_tokens=picture_tokens(endpoint.model),
    )


def last_paid(ledger: Ledger | MemoryLedger) -> int:
    """The last line that the journal holds an answer for: a smaller ``--limit`` must not throw it away."""
    if isinstance(ledger, MemoryLedger) or ledger.books is None:
        return 0
    return max((unit.row for unit in ledger.books.replayed), default=0)


def refuse_changed_input(source: Source, ledger: Ledger) -> None:
    """Raises SettingsError where what is done already is not what it was; more may have been added behind it."""
    if ledger.start.number == 0 or (ledger.stamp is not None and ledger.stamp == source.stamp()):
        return
    if source.digest_at(ledger.start) != ledger.start.digest:
        done = f"{ledger.start.number} {'lines' if isinstance(source, FileSource) else 'rows'}"
        raise SettingsError(
            f"The input {source.name} changed in its first {done}, which are done already: "
            "make it what it was, choose another -o, or start again with --fresh."
        )

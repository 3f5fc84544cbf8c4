"""The Python faces: one question, a stream of rows, a whole run. Composes what the command line composes.

Keyword arguments are the command line's flags by their Python names (``max_tokens``, ``tag``, ``concurrency`` …).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build_settings
from persqa_client.endpoints.credentials import make_endpoints
from persqa_client.endpoints.pool import Pool
from persqa_client.engines.local import Job, LocalEngine, task_limit
from persqa_client.errors import PersQAError, RowError, RunStopped, SettingsError
from persqa_client.inputs.sources import START_POSITION, InMemorySource, Source, open_source
from persqa_client.jsonl import dump_spaced
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.probe import probe_all, resolve_common_strategy
from persqa_client.run.background import STOPPING_MESSAGE, Monitor, execute_with_monitors, get_portal
from persqa_client.run.compose import RunPlan
from persqa_client.run.gc_tuning import infrequent_gc
from persqa_client.run.pipeline import Pipeline
from persqa_client.run.run import PICTURE_THREADS, Run, make_session
from persqa_client.run.summary import Summary
from persqa_client.types import BadRow, Failure, Outcome, Record, Row, TaskId

Rows = Iterable[dict[str, Any] | str]

logger = logging.getLogger(__name__)


class PersQAClient(AbstractAsyncContextManager["PersQAClient"]):
    """Asks about pictures, one at a time or many at once, under one set of limits.

    Use it as ``async with PersQAClient(Endpoint(...)) as client``, with a list for several endpoints of one model, or
    ``VLLMServer.endpoint``. Each server is asked once, before the first question, what it obeys; ``probes=False``
    leaves that out.
    """

    def __init__(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        *,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        recipe: Recipe | None = None,
        image_root: Path | None = None,
        probes: bool = True,
        uuid: bool = True,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        first, *further = endpoints_of(endpoint)
        settings = build_settings(
            RunSettings,
            input=None,
            output=None,
            endpoint=first,
            further_endpoints=tuple(further),
            sampling=sampling or Sampling(),
            limits=limits or Limits(),
            recipe=recipe or Recipe(),
            image_root=image_root,
            probes=probes,
            uuid=uuid,
        )
        self._settings = settings
        self._plan = RunPlan(settings, InMemorySource())
        self._threads = ThreadPoolExecutor(PICTURE_THREADS, thread_name_prefix="picture")
        self._pool = Pool([make_session(one, settings, http_client) for one in settings.endpoints])
        self._probing: asyncio.Task[Pipeline] | None = None

    async def ask(
        self, *images: str | Path, question: str | None = None, tag: str | None = None, id: str | int | None = None
    ) -> Record:
        """The checked answer to a question about one picture, or several in one request.

        Raises RowError, whose ``code`` says why, where there is none; RunStopped where the endpoint refuses all.
        """
        fields = {"question": question, "tag": tag, "id": id}
        row = {self._settings.recipe.image_key: [str(image) for image in images]}
        outcome = await self.answer({**row, **{key: value for key, value in fields.items() if value is not None}})
        if isinstance(outcome, Failure):
            raise RowError(outcome.code, outcome.message, raw=outcome.raw, attempts=outcome.attempts)
        return outcome

    async def answer(self, row: dict[str, Any] | str, number: int = 1) -> Outcome:
        """What becomes of one row: a Record, or a Failure with its code."""
        parsed = self._plan.parse(number, dump_spaced(row))
        if isinstance(parsed, BadRow):
            return Failure(TaskId(number), parsed.code, parsed.message, whole_row=True)
        with self._stops():
            pipeline = await self._pipeline()
            return await pipeline.answer_row(parsed, self._plan.units(parsed)[0])

    async def stream(self, rows: Rows) -> AsyncIterator[tuple[Row | BadRow, Outcome]]:
        """Rows with their outcomes, as they come; ``Row.number`` counts from 1. ``rows`` is drawn from bit by bit.

        Raises RunStopped where the endpoint refuses all; the client can be used again when that is mended.
        """
        limits = self._settings.limits
        engine = LocalEngine(
            lambda row, unit: pipeline.answer_row(row, unit),
            most=lambda: self._plan.spread * task_limit(self._pool.slots),
            most_bytes=limits.max_inflight_bytes,
            on_stop=lambda: None,
        )
        with self._stops():
            pipeline = replace(await self._pipeline(), loaded=self._plan.told(engine.lighten))
            async for job, outcome in engine.run(self._jobs(rows), lambda: True):
                yield job.row, outcome

    @contextmanager
    def _stops(self) -> Iterator[None]:
        """What stops the one who asks stops nobody who asks later."""
        try:
            yield
        except RunStopped:
            for session in self._pool.sessions:
                session.outage.reset()
            raise

    def _jobs(self, rows: Rows) -> Iterator[Job]:
        for line, position in InMemorySource(rows).lines(START_POSITION):
            row = self._plan.parse(position.number, line)
            for unit in self._plan.units(row):
                yield Job(row, unit, self._plan.weigh(row, unit))

    async def _pipeline(self) -> Pipeline:
        """Tries the server out once, for all who ask; a probe that failed is made again for the next."""
        if self._probing is None or (self._probing.done() and (self._probing.cancelled() or self._probing.exception())):
            self._probing = asyncio.ensure_future(self._examine())
        return await asyncio.shield(self._probing)

    async def _examine(self) -> Pipeline:
        strategy = self._settings.recipe.strategy
        servers: tuple[ServerCapabilities, ...] = (ServerCapabilities(),)
        if self._settings.probes:
            uuid = self._settings.uuid and self._settings.recipe.questions > 1
            servers = await probe_all(self._pool.sessions, strategy, "strategy", uuid=uuid)
        return self._plan.pipeline(
            self._pool.completer, self._threads, resolve_common_strategy(servers, strategy), servers
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


async def stream(
    rows: Rows, endpoint: Endpoint | Sequence[Endpoint], **settings: Any
) -> AsyncIterator[tuple[Row | BadRow, Outcome]]:
    """``PersQAClient(endpoint, **settings).stream(rows)`` with the client opened and closed around it."""
    async with PersQAClient(endpoint, **settings) as client:
        async for answered in client.stream(rows):
            yield answered


def generate(
    rows: str | Path | Rows,
    output: str | Path | None = None,
    *,
    base_url: str | Sequence[str] = (),
    model: str = "",
    api_key_env: str | Sequence[str] | None = None,
    endpoint: Endpoint | Sequence[Endpoint] = (),
    **flags: Any,
) -> Summary:
    """A whole run, as ``persqa run`` does it; also where an event loop is running already, as in a notebook.

    ``rows``: a path (JSONL file or folder), or rows as dicts or paths. ``base_url``: one or several of the same model,
    ``api_key_env`` in the same order; or, in their place, ``endpoint``: one or several, ``VLLMServer.endpoint`` among
    them. Without ``output`` the rows are kept in memory and come back as ``Summary.records`` and ``Summary.failures``.
    Raises SettingsError, RunStopped or StorageError.
    """
    named = bool(base_url or model or api_key_env)
    if named and endpoint:
        raise SettingsError("endpoint says what base_url, model and api_key_env say: give it, or them.")
    endpoints = (
        make_endpoints(listed(base_url), model, listed(api_key_env), os.environ) if named else endpoints_of(endpoint)
    )
    settings = make_settings(rows, output, endpoints, flags)
    source: Source
    if isinstance(rows, str | Path):
        source = open_source(Path(rows), settings.recipe.image_key)
    else:
        source = InMemorySource([rows] if isinstance(rows, dict) else list(rows))
    return execute_blocking(Run(settings, source))


def execute_blocking(run: Run, *beside: Monitor) -> Summary:
    """The run on the background loop, with what goes on beside it. Ctrl-C stops it, what is under way may finish, and
    is raised afterwards; once more ends the run at once."""
    with infrequent_gc():
        summary = get_portal().start_task_soon(execute_with_monitors, run, *beside)
        try:
            return summary.result()
        except KeyboardInterrupt:
            logger.warning(STOPPING_MESSAGE)
            stop(run, summary)
            raise


def stop(run: Run, summary: Future[Summary]) -> None:
    # Only this thread was interrupted; without a word the run would go on, and go on paying.
    try:
        get_portal().call(run.stop)
        with suppress(PersQAError):
            summary.result()
    except KeyboardInterrupt:
        stop(run, summary)


def make_settings(
    rows: object, output: str | Path | None, endpoints: Sequence[Endpoint], flags: dict[str, Any]
) -> RunSettings:
    """Sorts flags by the settings that they belong to; one that belongs to none is a TypeError, as for any function."""
    kinds = (Sampling, Limits, Recipe)
    named = {kind: {name: flags.pop(name) for name in kind.model_fields if name in flags} for kind in kinds}
    if unknown := flags.keys() - {"image_root", "limit", "fresh", "retry_failed", "probes", "uuid"}:
        raise TypeError(f"generate() got an unexpected keyword argument {min(unknown)!r}")
    first, *further = endpoints
    return build_settings(
        RunSettings,
        input=Path(rows) if isinstance(rows, str | Path) else None,
        output=None if output is None else Path(output),
        endpoint=first,
        further_endpoints=tuple(further),
        sampling=build_settings(Sampling, **named[Sampling]),
        limits=build_settings(Limits, **named[Limits]),
        recipe=build_settings(Recipe, **named[Recipe]),
        **flags,
    )


def endpoints_of(endpoint: Endpoint | Sequence[Endpoint]) -> list[Endpoint]:
    endpoints = [endpoint] if isinstance(endpoint, Endpoint) else list(endpoint)
    if not endpoints:
        raise SettingsError("Name one endpoint at least.")
    return endpoints


def listed(value: str | Sequence[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)

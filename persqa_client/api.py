"""The Python interface: one question, a stream of rows, or a whole run.

Keyword arguments are the flags of ``persqa run`` with underscores: ``max_tokens``, ``tag``, ``concurrency`` and so on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

import httpx2

from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.endpoints.credentials import Credentials, make_endpoints
from persqa_client.engines.engine import Job, SetWeight
from persqa_client.engines.local_engine import LocalEngine, task_limit
from persqa_client.errors import Interrupted, RowError, RunStopped, SettingsError
from persqa_client.inputs.opening import expand_existing, names_input, open_inputs
from persqa_client.inputs.sources import InMemorySource, Source
from persqa_client.jsonl import dump_spaced
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.probing.capabilities import explain_unusable_vision
from persqa_client.run.background import execute_blocking
from persqa_client.run.compose import Composition
from persqa_client.run.pacing import plan_probes
from persqa_client.run.pipeline import Pipeline, ignore_weight
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of, refuse_empty_source
from persqa_client.run.settings import UuidChoice, as_one_path, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.task_groups import InnerGenerator
from persqa_client.types import START_POSITION, BadRow, Row, TaskId

logger = logging.getLogger(__name__)

Rows = Iterable[dict[str, Any] | str]


class PersQAClient(AbstractAsyncContextManager["PersQAClient"]):
    """Asks questions about images, one at a time or concurrently, under shared limits.

    Use it as ``async with PersQAClient(Endpoint(...)) as client``. Several endpoints must serve the same model. Unless
    ``probes`` is False, servers are probed before the first question. Warnings are logged, also that a server does not
    show images to the model, which stops a run.
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
        uuid: bool | UuidChoice = "auto",
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._settings = make_run_settings(
            [endpoint] if isinstance(endpoint, Endpoint) else list(endpoint),
            {"image_root": image_root, "probes": probes, "uuid": uuid},
            sampling=sampling,
            limits=limits,
            recipe=recipe,
        )
        self._composition = Composition(RunPlan(self._settings), http_client=http_client, warn=logger.warning)
        self._row_reader = self._composition.make_row_reader()
        self._probing: asyncio.Task[Pipeline] | None = None
        self._tasks = set[asyncio.Task[Any]]()  # that send requests
        self._streams = WeakSet[AsyncGenerator[Any, None]]()
        self._closed = False

    async def ask(
        self, *images: str | Path, question: str | None = None, tag: str | None = None, id: str | int | None = None
    ) -> Record:
        """Asks one question about one or several images, and returns the accepted answer.

        Raises RowError with a ``code`` if no answer is accepted, and RunStopped if the endpoint rejects all requests.
        """
        fields = {"question": question, "tag": tag, "id": id}
        row = {self._settings.recipe.image_key: [str(image) for image in images]}
        outcome = await self.answer({**row, **{key: value for key, value in fields.items() if value is not None}})
        if isinstance(outcome, Failure):
            raise RowError(outcome.code, outcome.message, raw=outcome.raw, attempts=outcome.attempts)
        return outcome

    async def answer(self, row: dict[str, Any] | str, number: int = 1) -> Outcome:
        """Answers the first question about a row. Raises RunStopped if the endpoint rejects all requests."""
        parsed = self._row_reader.parse(number, dump_spaced(row))
        if isinstance(parsed, BadRow):
            return Failure(TaskId(number), parsed.code, parsed.message, whole_row=True)
        with self._reset_after_stop():
            pipeline = await self._probed_pipeline()
            # In a task of its own, which ``aclose`` can cancel.
            return await asyncio.create_task(self._answer(pipeline, parsed, self._row_reader.task_ids(parsed)[0]))

    def stream(self, rows: Rows) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
        """Yields rows with their outcomes as they finish; ``Row.number`` counts from 1.

        Reads the iterable lazily. Raises RunStopped if the endpoint rejects all requests; the client can still be used
        afterwards.
        """
        stream = self._stream(rows)
        self._streams.add(stream)
        return stream

    async def _stream(self, rows: Rows) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
        with self._reset_after_stop():
            pipeline = await self._probed_pipeline()
            reader, pool = self._composition.make_row_reader(), self._composition.pool
            engine = LocalEngine(
                partial(self._answer, pipeline),
                max_jobs=lambda: reader.jobs_per_permit * task_limit(pool.permits, pool.backing_off),
                max_bytes=self._settings.limits.max_inflight_bytes,
                on_stop=lambda: None,
            )
            jobs = takewhile(lambda job: not self._closed, make_jobs(rows, reader))
            async with aclosing(InnerGenerator(engine.run(jobs, lambda: True))) as answered:
                async for job, outcome in answered:
                    yield job.row, outcome

    async def _answer(
        self, pipeline: Pipeline, row: Row | BadRow, task_id: TaskId, set_weight: SetWeight = ignore_weight
    ) -> Outcome:
        if self._closed:
            raise Interrupted
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await pipeline.answer(row, task_id, set_weight)
        finally:
            self._tasks.discard(task)

    @contextmanager
    def _reset_after_stop(self) -> Iterator[None]:
        try:
            yield
        except RunStopped:
            for session in self._composition.pool.sessions:
                session.outage.reset()
            raise

    async def _probed_pipeline(self) -> Pipeline:
        """All questions share one probe. A failed probe is repeated for the next question."""
        if self._closed:
            raise RuntimeError("The client is closed.")
        if self._probing is None or (self._probing.done() and (self._probing.cancelled() or self._probing.exception())):
            self._probing = asyncio.ensure_future(self._probe())
        return await asyncio.shield(self._probing)

    async def _probe(self) -> Pipeline:
        settings = self._settings
        if not settings.probes:
            await self._composition.probe(None, uuid=False)
            return self._composition.make_pipeline()
        depth, warning = plan_probes(settings, "strategy")
        if warning is not None:
            logger.warning(warning)
        sends_again = settings.recipe.questions > 1 or settings.recipe.reference is not None
        uuid = settings.uuid != "off" and sends_again and depth == "strategy"
        await self._composition.probe(depth, uuid=uuid)
        for problem in filter(None, map(explain_unusable_vision, self._composition.servers)):
            logger.warning(problem)
        return self._composition.make_pipeline()

    async def aclose(self) -> None:
        """Cancels questions and streams that still run."""
        self._closed = True
        tasks = [*self._tasks, *([self._probing] if self._probing else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            for stream in list(self._streams):
                with suppress(RuntimeError):  # another task waits for its next row, and gets the end
                    await stream.aclose()
        finally:
            await self._composition.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_jobs(rows: Rows, reader: RowReader) -> Iterator[Job]:
    for line, position in InMemorySource(rows).lines(START_POSITION):
        row = reader.parse(position.number, line)
        for task_id in reader.task_ids(row):
            yield Job(row, task_id, reader.weigh(row, task_id))


async def stream(
    rows: Rows, endpoint: Endpoint | Sequence[Endpoint], **settings: Any
) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
    """Opens a client for the endpoint, and closes it after the last row; see ``PersQAClient.stream``."""
    async with (
        PersQAClient(endpoint, **settings) as client,
        aclosing(InnerGenerator(client.stream(rows))) as answers,
    ):
        async for answer in answers:
            yield answer


def generate(
    rows: str | Path | Sequence[str | Path] | Rows,
    output: str | Path | None = None,
    *,
    base_url: str | Sequence[str] = (),
    model: str = "",
    api_key_env: str | Sequence[str] | None = None,
    api_key_command: str | Sequence[str] | None = None,
    header: str | Sequence[str] | None = None,
    endpoint: Endpoint | Sequence[Endpoint] = (),
    **flags: Any,
) -> Summary:
    """Executes a run like ``persqa run``, also inside a running event loop, as in a notebook.

    ``rows`` is an input of ``persqa run``, such as the path of a JSONL file or a folder, a list of them, or an iterable
    of rows (dicts or image paths). Give the endpoints as ``base_url``, ``model`` and their credentials
    (``api_key_env``, ``api_key_command``, ``header``), or as ``endpoint``. Without ``output`` the rows are in
    ``Summary.records`` and ``Summary.failures``.

    Raises SettingsError, RunStopped or StorageError; KeyboardInterrupt after the requests in flight have finished.
    """
    inputs = find_inputs(rows)
    credentials = Credentials(as_list(api_key_env), as_list(api_key_command), as_list(header))
    by_url = bool(base_url or model or credentials)
    if by_url and endpoint:
        raise SettingsError("Give either endpoint, or base_url, model and their credentials.")
    if by_url:
        endpoints = list(make_endpoints(as_list(base_url), model, credentials, os.environ))
    else:
        endpoints = [endpoint] if isinstance(endpoint, Endpoint) else list(endpoint)
    settings = make_run_settings(
        endpoints,
        flags,
        input=as_one_path(inputs),
        output=output,
    )
    source: Source
    if inputs:
        source = open_inputs(
            inputs, settings.recipe.image_key, leave_out=is_file_of(settings), lists_images=has_listing(settings)
        )
    else:
        source = InMemorySource([rows] if isinstance(rows, dict) else list(cast(Rows, rows)))
    if settings.output is None or not settings.output.exists():
        refuse_empty_source(source)
    return execute_blocking(Run(settings, source))


def find_inputs(rows: object) -> list[str | Path]:
    """The inputs that ``rows`` names; none if they are rows. A list of paths is one of inputs if any is no image.

    Raises SettingsError for other objects.
    """
    if isinstance(rows, str | Path):
        if not str(rows):
            raise SettingsError("rows is empty: name a file or a folder, or give the rows themselves.")
        return [expand_existing(rows)]
    if isinstance(rows, bytes | bytearray) or not isinstance(rows, Iterable):
        raise SettingsError(
            f"rows is of the type {type(rows).__name__}: give the path of a file or a folder as text, or rows in an "
            "iterable."
        )
    if not isinstance(rows, list | tuple) or not all(isinstance(each, str | Path) for each in rows):
        return []
    paths = list(map(expand_existing, rows))
    return paths if any(names_input(os.fspath(each)) for each in paths) else []


def as_list(value: str | Sequence[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)

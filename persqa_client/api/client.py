"""Asks one question, or about a stream of rows, with shared limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, Self
from weakref import WeakSet

import httpx2

from persqa_client.api.argument_errors import (
    IN_GROUPS,
    errors_by_arguments,
    explains_arguments,
    word_bad_row,
    word_failure,
    word_message,
)
from persqa_client.api.arguments import check_rows, list_endpoints
from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.engines.engine import Job, SetWeight
from persqa_client.engines.local_engine import LocalEngine, task_limit
from persqa_client.engines.row_loop import ANSWERING
from persqa_client.errors import Interrupted, RowError, RunStopped
from persqa_client.inputs.memory_pictures import Picture, Rows, check_pictures, name_pictures
from persqa_client.inputs.sources import InMemorySource, write_row
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.probing.capabilities import explain_unusable_vision
from persqa_client.probing.only_model import add_model, lacks_model
from persqa_client.run.background import MonitorTasks
from persqa_client.run.compose import Composition
from persqa_client.run.pacing import plan_probes
from persqa_client.run.pipeline import Pipeline, ignore_weight
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.progress import OnProgress, ProgressMeter, WatchedStream, check_callback, report_progress
from persqa_client.run.settings import RunSettings, UuidChoice, make_run_settings
from persqa_client.task_groups import InnerGenerator, SharedResult
from persqa_client.types import START_POSITION, BadRow, Row, TaskId

logger = logging.getLogger(__name__)


class PersQAClient(AbstractAsyncContextManager["PersQAClient"]):
    """Asks questions about images, one at a time or concurrently, under shared limits.

    Use it as ``async with PersQAClient(Endpoint(...)) as client``, in a notebook or a coroutine. For several cells of a
    notebook, ``client = await PersQAClient(...).open()`` and at the end ``await client.aclose()``. Warnings are logged,
    also that a server does not show images to the model, which stops a run.

    endpoint: one, or several that serve the same model. Without a model, the endpoint is asked for its only one.
    sampling, limits, recipe: parameters of the requests; rates, retries and memory; how it is asked and checked.
    image_root: folder of relative image paths; None: the working directory.
    probes: test the server before the first question.
    uuid: send each image once, then its uuid, if a test shows that the server has it (``True`` or ``"auto"``), without
    a test (``"on"``), or not (``False`` or ``"off"``).
    http_client: sends the requests instead of one that is made for this client, and is not closed.

    Raises SettingsError for a wrong value.
    """

    @explains_arguments("PersQAClient", IN_GROUPS)
    @errors_by_arguments()
    def __init__(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        *,
        sampling: Sampling | None = None,
        limits: Limits | None = None,
        recipe: Recipe | None = None,
        image_root: str | Path | None = None,
        probes: bool = True,
        uuid: bool | UuidChoice = "auto",
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        settings = make_run_settings(
            list_endpoints(endpoint),
            {"image_root": image_root, "probes": probes, "uuid": uuid},
            sampling=sampling,
            limits=limits,
            recipe=recipe,
        )
        self._http_client = http_client
        self._compose(settings)
        self._naming = SharedResult(self._add_model)
        self._probing = SharedResult(self._probe)
        self._tasks = set[asyncio.Task[Any]]()  # that send requests
        self._streams = WeakSet[AsyncGenerator[Any, None]]()
        self._opened = self._closed = False

    def _compose(self, settings: RunSettings) -> None:
        self._settings = settings
        self._composition = Composition(RunPlan(settings), http_client=self._http_client, warn=log_warning)
        self._row_reader = self._composition.make_row_reader()

    async def ask(
        self, *images: Picture, question: str | None = None, tag: str | None = None, id: str | int | None = None
    ) -> Record:
        """Asks one question about one or several images, and returns the accepted answer.

        images: paths, the bytes of files, or PIL images. tag: name of the main character. id: with the images, what a
        question is chosen by, if none is given.

        Raises RowError with a ``code`` if no answer is accepted, RunStopped if the endpoint rejects all requests, and
        SettingsError for what is no picture.
        """
        check_pictures(images)
        fields = {"question": question, "tag": tag, "id": id}
        row: dict[str, Any] = {self._settings.recipe.image_key: list(images)}
        given = {key: value for key, value in fields.items() if value is not None}
        outcome = await self._answer_row({**row, **given}, 1)
        if isinstance(outcome, Failure):
            message = word_message(outcome.message, "question")
            raise RowError(outcome.code, message, raw=outcome.raw, attempts=outcome.attempts)
        return outcome

    async def answer(self, row: Mapping[str, Any] | Picture, number: int = 1) -> Outcome:
        """Answers the first question about a row. Raises RunStopped if the endpoint rejects all requests.

        ``number`` is that of the row in messages.
        """
        outcome = await self._answer_row(row, number)
        return word_failure(outcome, "memory") if isinstance(outcome, Failure) else outcome

    async def _answer_row(self, row: Mapping[str, Any] | Picture, number: int) -> Outcome:
        self._check_open()
        recipe = self._settings.recipe
        parsed = self._row_reader.parse(number, write_row(row, number, recipe.image_key, recipe.reference_key))
        if isinstance(parsed, BadRow):
            return Failure(TaskId(number), parsed.code, parsed.message, whole_row=True)
        with self._reset_after_stop():
            pipeline = await self._probed_pipeline()
            # In a task of its own, which ``aclose`` can cancel.
            return await asyncio.create_task(self._answer(pipeline, parsed, self._row_reader.task_ids(parsed)[0]))

    def stream(
        self, rows: Rows, *, on_progress: OnProgress | None = None, progress: bool = False
    ) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
        """Yields rows with their outcomes as they finish; ``Row.number`` counts from 1.

        rows: dicts with the fields of an input row, or images alone: paths, the bytes of files, or PIL images. An
            iterable is read lazily.
        on_progress, progress: as for ``generate``.

        Raises RunStopped if the endpoint rejects all requests; the client can still be used afterwards. Raises
        SettingsError for a single picture, row or name of a file in place of rows.
        """
        check_rows(rows)
        check_callback(on_progress)
        self._check_open()
        stream = self._stream(rows, on_progress, shows_bar=progress)
        self._streams.add(stream)
        return stream

    async def _stream(
        self, rows: Rows, on_progress: OnProgress | None, *, shows_bar: bool
    ) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
        with self._reset_after_stop():
            await self._ensure_model()
        watched = WatchedStream(self._settings, self._composition.pool)
        monitors = watch_stream(watched, len(rows) if isinstance(rows, Sized) else None, on_progress, shows_bar)
        async with MonitorTasks(*monitors):
            with self._reset_after_stop():
                watched.progress.phase = "Testing what the server can do"
                pipeline = await self._probed_pipeline()
                watched.progress.phase = ANSWERING
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
                        watched.add(outcome)
                        yield word_result(name_pictures(job.row), outcome)

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
            with errors_by_arguments("memory"):
                yield
        except RunStopped:
            for session in self._composition.pool.sessions:
                session.outage.reset()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("The client is closed: make another one.")
        if not self._opened:
            raise RuntimeError(
                "The client is not open: use it in async with PersQAClient(…) as client, or open it with "
                "await client.open() and close it with await client.aclose()."
            )

    async def _probed_pipeline(self) -> Pipeline:
        await self._ensure_model()
        return await self._probing.get()

    async def _ensure_model(self) -> None:
        self._check_open()
        if lacks_model(self._settings.endpoints):
            await self._naming.get()

    async def _add_model(self) -> None:
        settings, unnamed = self._settings, self._composition
        self._compose(
            settings.with_endpoints(await add_model(settings.endpoints, settings.limits.timeout, self._http_client))
        )
        await unnamed.aclose()

    async def _probe(self) -> Pipeline:
        settings = self._settings
        if not settings.probes:
            await self._composition.probe(None, uuid=False)
            return self._composition.make_pipeline()
        depth, warning = plan_probes(settings, "strategy")
        if warning is not None:
            log_warning(warning)
        sends_again = settings.recipe.questions > 1 or settings.recipe.reference is not None
        uuid = settings.uuid != "off" and sends_again and depth == "strategy"
        await self._composition.probe(depth, uuid=uuid)
        for problem in filter(None, map(explain_unusable_vision, self._composition.servers)):
            log_warning(problem)
        return self._composition.make_pipeline()

    async def open(self) -> Self:
        """Opens the client without ``async with``; ``aclose`` closes it. Nothing is sent before the first question."""
        if self._closed:
            raise RuntimeError("The client is closed: make another one.")
        self._opened = True
        return self

    async def aclose(self) -> None:
        """Cancels questions and streams that still run."""
        self._closed = True
        tasks = [*self._tasks, *filter(None, (self._naming.task, self._probing.task))]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            for stream in list(self._streams):
                with suppress(RuntimeError):  # another task waits for its next row, and gets the end
                    await stream.aclose()
        finally:
            await self._composition.aclose()

    def __enter__(self) -> NoReturn:
        raise TypeError("PersQAClient is used as: async with PersQAClient(…) as client. In a script, in a coroutine.")

    def __exit__(self, *error: object) -> None: ...

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def log_warning(message: str) -> None:
    logger.warning(word_message(message))


def word_result(row: Row | BadRow, outcome: Outcome) -> tuple[Row | BadRow, Outcome]:
    worded = word_bad_row(row, "memory") if isinstance(row, BadRow) else row
    return worded, word_failure(outcome, "memory") if isinstance(outcome, Failure) else outcome


def make_jobs(rows: Rows, reader: RowReader) -> Iterator[Job]:
    source = InMemorySource(rows, reader.recipe.image_key, reader.recipe.reference_key)
    for line, position in source.lines(START_POSITION):
        row = reader.parse(position.number, line)
        for task_id in reader.task_ids(row):
            yield Job(row, task_id, reader.weigh(row, task_id))


def watch_stream(
    watched: WatchedStream, total: int | None, on_progress: OnProgress | None, shows_bar: bool
) -> Iterator[Coroutine[Any, Any, None]]:
    if on_progress is not None:
        yield report_progress(watched, on_progress, lambda: total)
    if shows_bar:
        from persqa_client.run.progress_display import show_meter
        from persqa_client.terminals import QuietConsole

        meter = ProgressMeter(watched, monotonic(), count_rows=lambda: total, price=watched.settings.limits.price)
        yield show_meter(meter, QuietConsole(stderr=True))

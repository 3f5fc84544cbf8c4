"""Answers the rows of a Ray Dataset."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.endpoints.pool import Pool
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.extras import import_extra
from persqa_client.inputs.sources import BrokenLine, write_row
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.probing.only_model import add_model, lacks_model
from persqa_client.ray.cluster import Cluster
from persqa_client.ray.coordinator import Coordinator
from persqa_client.ray.shared_limit import SharedSession
from persqa_client.ray.worker import REPORT_INTERVAL
from persqa_client.run.background import call_blocking, get_background_loop
from persqa_client.run.compose import Composition
from persqa_client.run.pipeline import Pipeline
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.types import BadRow, TaskId

# Types of values that may be fields of a row; missing values are no fields.
FIELD_TYPES = (str, int, float, list, dict)
# CPUs that Ray reserves for a worker, which mostly waits: 2 ms for each row. With any part of a CPU, workers on all
# nodes of a small cluster would leave no whole one to the tasks that read the data set, and wait for them for ever.
WORKER_CPUS = 0
# Limits of a whole run.
BUDGET = ("max_tokens_total", "max_cost", "max_failures", "max_wall")
# Columns that are added.
COLUMNS = ("answer", "question", "code", "details")


def answer(
    dataset: Any,
    endpoint: Endpoint | Sequence[Endpoint],
    *,
    image: str = "image",
    question: str | None = None,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    recipe: Recipe | None = None,
    image_root: str | Path | None = None,
    workers: int | tuple[int, int] = 1,
    batch_size: int = 32,
) -> Any:
    """The dataset with an answer to a question about each row's picture, in the columns ``answer``, ``question``,
    ``code`` and ``details``.

    dataset: a ``ray.data.Dataset``. Nothing is sent before it is consumed.
    image: the column with the pictures: paths, the bytes of files, arrays (height, width, colours) or PIL images, or a
        list of them. Columns such as ``question``, ``tag`` and ``id`` are read as fields of a row are.
    question: one question about every picture, with ``{tag}``, instead of those of the bank.
    limits: of all workers together; a budget, such as ``max_cost``, is refused.
    image_root: where relative paths start; it must be on storage that all nodes see.
    workers: processes, for which Ray reserves no CPU; two numbers for as few and as many as Ray chooses.
    batch_size: rows of a call. Each worker works on four calls at a time.

    A row that can't be answered has an empty ``answer``, a ``code`` and the reason in ``details``; ``code`` is empty
    for answered rows. ``details`` is JSON. Raises SettingsError; the dataset raises if the endpoint rejects all
    requests.
    """
    endpoints = [endpoint] if isinstance(endpoint, Endpoint) else endpoint
    recipe = Recipe() if recipe is None else recipe
    check_arguments(dataset, endpoints, recipe, image_root)
    least, most = read_workers(workers)
    check_count("batch_size", batch_size)
    changes: dict[str, Any] = {"image_key": image}
    if question is not None:
        changes["question"] = question
    recipe = Recipe(**{**recipe.model_dump(exclude_unset=True), **changes})
    if recipe.questions > 1:
        raise SettingsError("questions: a row of a dataset has one question; map the rows to several before.")
    flags = {"image_root": None if image_root is None else Path(image_root).absolute()}
    settings = make_run_settings(endpoints, flags, sampling=sampling, limits=limits, recipe=recipe)
    refuse_budget(settings.limits)
    refuse_taken_columns(dataset, image)
    if lacks_model(settings.endpoints):
        settings = settings.with_endpoints(call_blocking(add_model(settings.endpoints, settings.limits.timeout)))
    RunPlan(settings)  # reports what is wrong
    coordinator = Cluster(None).start_actor(Coordinator, settings.limits, len(settings.endpoints))
    pool = import_extra("ray.data", "ray", "persqa_client.ray").ActorPoolStrategy(min_size=least, max_size=most)
    return dataset.map_batches(
        AnswerBatches,
        fn_constructor_args=(settings, coordinator),
        batch_size=batch_size,
        batch_format="numpy",
        compute=pool,
        num_cpus=WORKER_CPUS,
    )


def check_arguments(dataset: Any, endpoints: Any, recipe: Any, image_root: Any) -> None:
    """Raises SettingsError for a value of another type."""
    if not callable(getattr(dataset, "map_batches", None)):
        raise SettingsError("dataset: must be a ray.data.Dataset, such as ray.data.from_items(rows).")
    if not isinstance(endpoints, list | tuple) or not all(isinstance(each, Endpoint) for each in endpoints):
        raise SettingsError("endpoint: must be an Endpoint(base_url=…), or a list of them.")
    if not isinstance(recipe, Recipe):
        raise SettingsError('recipe: must be a Recipe, such as Recipe(tag="bo").')
    if not isinstance(image_root, str | Path | None):
        raise SettingsError("image_root: must be the path of a folder.")


def read_workers(workers: Any) -> tuple[int, int]:
    """The fewest and the most. Raises SettingsError."""
    pair = workers if isinstance(workers, tuple | list) else (workers, workers)
    if len(pair) != 2:
        raise SettingsError("workers: must be a number, or two, the fewest and the most.")
    for number in pair:
        check_count("workers", number)
    least, most = pair
    if least > most:
        raise SettingsError(f"workers: the fewest, {least}, must not be more than the most, {most}.")
    return least, most


def check_count(name: str, number: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise SettingsError(f"{name}: must be a whole number from 1 on, and not {number!r}.")


def refuse_budget(limits: Limits) -> None:
    """Ray Data works on all rows of a data set or fails, so none could stop it and keep the answers."""
    given = [name for name in BUDGET if getattr(limits, name) is not None]
    if given:
        raise SettingsError(f"{given[0]}: a data set has no budget; limit its rows, or use persqa run --engine ray.")


def refuse_taken_columns(dataset: Any, image: str) -> None:
    """Raises SettingsError. The first rows may have to be computed for the names."""
    names = dataset.columns() or []
    if names and image not in names:
        raise SettingsError(f"image: the dataset has no column {image!r}, but {', '.join(map(repr, names))}.")
    # The column ``question`` has the question, and stays.
    taken = [name for name in COLUMNS if name in names and name != "question"]
    if taken:
        raise SettingsError(f"the dataset has a column {taken[0]!r} already: rename it; the results get this name.")


class AnswerBatches:
    """An actor of Ray Data. Requests are sent by an event loop of its own: that of Ray Data is blocked at times."""

    def __init__(self, settings: RunSettings, coordinator: Any) -> None:
        self._settings = settings
        self._coordinator = coordinator
        self._name = uuid.uuid4().hex
        self._composition = Composition(RunPlan(settings))
        self._reader: RowReader = self._composition.make_row_reader()
        self._started: asyncio.Task[Pipeline] | None = None
        self._reporting: asyncio.Task[None] | None = None

    async def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        future = get_background_loop().submit(self._answer_batch(batch))
        return await asyncio.wrap_future(future)

    async def _answer_batch(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        if self._started is None:
            self._started = asyncio.create_task(self._start(self._composition.pool))
        names = list(batch)
        rows = [dict(zip(names, cells, strict=True)) for cells in zip(*batch.values(), strict=True)]
        try:
            pipeline = await asyncio.shield(self._started)
            outcomes = await self._answer_rows(pipeline, rows)
        except RunStopped as stop:
            # An exception of this package can't be pickled.
            raise RuntimeError(f"{stop.code}: {stop.message}") from None
        cells = [write_cells(outcome) for outcome in outcomes]
        columns = {name: [each[place] for each in cells] for place, name in enumerate(COLUMNS)}
        return {**batch, **{name: np.array(values, dtype=object) for name, values in columns.items()}}

    async def _answer_rows(self, pipeline: Pipeline, rows: Sequence[dict[str, Any]]) -> list[Outcome]:
        """Raises RunStopped if the coordinator is lost: requests would wait for its grants for ever."""
        assert self._reporting is not None
        answers = asyncio.gather(*(self._answer_row(pipeline, row) for row in rows))
        try:
            await asyncio.wait((answers, self._reporting), return_when=asyncio.FIRST_COMPLETED)
            if self._reporting.done():
                reason = " ".join(str(self._reporting.exception()).split())
                raise RunStopped("cluster_lost", f"The actor that divides the limits is lost ({reason}).")
            return await answers
        finally:
            answers.cancel()

    async def _start(self, pool: Pool) -> Pipeline:
        sessions = [SharedSession(session, self._settings.limits) for session in pool.sessions]
        await self._report(sessions)
        self._reporting = asyncio.create_task(self._keep_reporting(sessions))
        await self._composition.probe("strategy", uuid=False)
        return self._composition.make_pipeline()

    async def _keep_reporting(self, sessions: Sequence[SharedSession]) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            await self._report(sessions)

    async def _report(self, sessions: Sequence[SharedSession]) -> None:
        grants = await self._coordinator.share.remote(self._name, [session.report() for session in sessions])
        for session, grant in zip(sessions, grants, strict=True):
            session.take(grant)

    async def _answer_row(self, pipeline: Pipeline, row: dict[str, Any]) -> Outcome:
        recipe = self._settings.recipe
        key = recipe.image_key
        try:
            fields = {name: read_cell(value) for name, value in row.items() if name not in (key, recipe.output_key)}
            fields = {name: value for name, value in fields.items() if isinstance(value, FIELD_TYPES)}
            line = write_row({**fields, key: read_pictures(row[key])}, 1, key)
        except (SettingsError, ValueError, TypeError) as error:
            return Failure(TaskId(1), "bad_image_field", str(error), whole_row=True)
        parsed = self._reader.parse(1, line)
        if isinstance(line, BrokenLine) or isinstance(parsed, BadRow):
            assert isinstance(parsed, BadRow)
            return Failure(TaskId(1), parsed.code, parsed.message, whole_row=True)
        return await pipeline.answer(parsed, self._reader.task_ids(parsed)[0], lambda weight: None)


def read_pictures(cell: Any) -> Any:
    """Arrays become PIL images; lists have several pictures. A list of numbers is an array that Arrow has unpacked."""
    if isinstance(cell, Image.Image | str | bytes):
        return cell
    if isinstance(cell, bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        # As in the data sets of Hugging Face.
        return read_pictures(cell["bytes"] if cell.get("bytes") is not None else cell.get("path"))
    if isinstance(cell, np.ndarray) and cell.dtype != object and cell.ndim in (2, 3):
        try:
            return Image.fromarray(cell)
        except TypeError as error:
            shape = " × ".join(map(str, cell.shape))
            raise ValueError(
                f"An array of {shape} numbers of {cell.dtype} is no picture; give height × width × 3 of uint8."
            ) from error
    if isinstance(cell, np.ndarray | list | tuple):
        return [read_pictures(each) for each in cell]
    return read_cell(cell)


def read_cell(cell: Any) -> Any:
    """A value as of JSON; missing ones are None."""
    value = cell.tolist() if isinstance(cell, np.generic | np.ndarray) else cell
    return None if isinstance(value, float) and value != value else value


def write_cells(outcome: Outcome) -> tuple[str, str, str, str]:
    """The cells of ``COLUMNS``."""
    details: dict[str, Any] = {"attempts": outcome.attempts, "raw": outcome.raw}
    details["tokens"] = {"prompt": outcome.usage.prompt, "completion": outcome.usage.completion}
    if isinstance(outcome, Record):
        details |= {"model": outcome.model, "question_id": outcome.question_id, "seed": outcome.seed}
        details |= {"made_good_by": list(outcome.made_good_by), "doubts": list(outcome.doubts)}
        return outcome.answer, outcome.question, "", json.dumps(details, ensure_ascii=False)
    details["message"] = outcome.message
    asked = "" if outcome.task is None else outcome.task.question
    return "", asked, outcome.code, json.dumps(details, ensure_ascii=False)

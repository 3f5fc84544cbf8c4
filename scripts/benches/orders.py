"""Asks several questions about each image in one of three orders. Prints the seconds from the first to the last.

usage: orders.py plain|together|once BASE_URL MODEL ROWS QUESTIONS

plain      the questions about an image one after the other, each with the image, for eight images at once
together   as ``persqa run --no-uuid``, with as many requests at once as eight images have
once       as ``persqa run``: each image is sent once
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.endpoints.session import Session
from persqa_client.inputs.files import FileSource
from persqa_client.outcomes import Record
from persqa_client.run.compose import Composition
from persqa_client.run.plan import RunPlan
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.types import START_POSITION, Row

IMAGES_AT_ONCE = 8


def make_settings(order: str, base_url: str, model: str, rows: Path, questions: int) -> RunSettings:
    return RunSettings(
        input=rows,
        output=Path(tempfile.mkdtemp()) / "out.jsonl",
        endpoint=Endpoint(base_url=base_url, model=model),
        # Answers of a tiny model have random lengths, most of them short; a minimum makes the orders comparable.
        sampling=Sampling(max_tokens=96, extra_body={"min_tokens": 12}),
        limits=Limits(concurrency=IMAGES_AT_ONCE * (questions - 1)),
        recipe=Recipe(questions=questions),
        uuid="auto" if order == "once" else "off",
    )


async def measure_plain(settings: RunSettings, source: FileSource) -> float:
    async with Composition(RunPlan(settings, source.path.parent)) as composition:
        await composition.probe("all", uuid=False)
        pipeline, reader = composition.make_pipeline(), composition.make_row_reader()
        remaining = iter([reader.parse(position.number, line) for line, position in source.lines(START_POSITION)])

        async def ask() -> int:
            answered = 0
            for row in remaining:
                assert isinstance(row, Row)
                for task_id in reader.task_ids(row):
                    answered += isinstance(await pipeline.answer(row, task_id), Record)
            return answered

        began = time.perf_counter()
        answered = sum(await asyncio.gather(*(ask() for _ in range(IMAGES_AT_ONCE))))
        seconds = time.perf_counter() - began
        report(answered, composition.pool.sessions[0])
    return seconds


async def measure_run(settings: RunSettings, source: FileSource) -> float:
    run = Run(settings, source)
    task = asyncio.create_task(run.execute())
    while run.progress.phase != "running" and not task.done():  # noqa: ASYNC110 - a run has no event for its phase
        await asyncio.sleep(0.002)
    began = time.perf_counter()
    summary = await task
    seconds = time.perf_counter() - began
    report(summary.tally.succeeded, run.pool.sessions[0])
    return seconds


def report(answered: int, session: Session) -> None:
    sent, uploads = session.traffic.sent, session.profile.uploads
    print(
        f"{answered} answered, {sent} sent, {uploads.uuids_sent} named, {uploads.cache_misses} missed", file=sys.stderr
    )


if __name__ == "__main__":
    order, base_url, model, rows, questions = sys.argv[1:]
    settings = make_settings(order, base_url, model, Path(rows), int(questions))
    measure = measure_plain if order == "plain" else measure_run
    print(f"{asyncio.run(measure(settings, FileSource(Path(rows)))):.3f}")

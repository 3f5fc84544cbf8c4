"""A script as a user writes it: checked by mypy --strict with all tests, and run by tests/test_api_pictures.py."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client import (
    Endpoint,
    Limits,
    PersQAClient,
    Recipe,
    Record,
    Result,
    RowError,
    Sampling,
    export_results,
    generate,
    read_results,
    recheck_results,
    report_results,
    stream,
)


def make_data(url: str, photo: Path) -> None:
    with Image.open(photo) as image:
        rows: list[Any] = [{"image": photo, "id": 1}, {"image": [photo.read_bytes(), image]}, str(photo), image]
        summary = generate(
            rows,
            "qa-script.jsonl",
            base_url=[url],
            model="persqa-simulator",
            bank="object",
            without=["colour"],
            steer="prompt",
            extra_body={"top_k": 20},
            concurrency=4,
            max_wall="1h",
            names=None,
        )
    print(summary.tally.succeeded, dict(summary.tally.failed))
    print(generate(photo.parent, base_url=url, model="persqa-simulator", limit=1).records[0]["pers_qa"])


async def ask(url: str, photo: Path, content: bytes) -> None:
    endpoint = Endpoint(base_url=url, model="persqa-simulator", api_key="none", headers={"x-team": "vision"})
    recipe = Recipe(tag="bo", without=["face"], answer_style="short")
    async with PersQAClient(endpoint, sampling=Sampling(temperature=0), recipe=recipe) as client:
        record: Record = await client.ask(content, photo, question="What is <bo> doing?")
        print(record.answer)
        try:
            await client.ask(b"text")
        except RowError as error:
            print(error.code)
    async for row, outcome in stream([photo, {"image": str(photo)}], endpoint, limits=Limits(concurrency=2)):
        print(row.number, outcome.answer if isinstance(outcome, Record) else outcome.code)


def correct(output: str) -> None:
    results: list[Result] = read_results(output)
    for result in results:
        if result.answer is None or result.doubts:
            print(result.code or result.doubts)
            continue
        answer: str = result.answer
        try:
            result = (
                result.edit(answer.removeprefix(result.tag)) if result.question_number == 0 else result.accept("seen")
            )
        except RowError as error:
            result = result.reject(error.code)
        print(result.row, result.final_answer is None, [path.name for path in result.pictures])
    report = export_results([output], Path("set"), to="llava", pictures="leave", split={"train": 0.5, "val": 0.5})
    print(report.row_count, report.decisions, report_results(output, "page.html").exists())
    print(recheck_results(output, dry_run=True).tally.succeeded)


if __name__ == "__main__":
    make_data(sys.argv[1], Path(sys.argv[2]))
    asyncio.run(ask(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[2]).read_bytes()))
    generate(Path(sys.argv[2]).parent, "set.jsonl", base_url=sys.argv[1], questions=2, temperature=0)
    correct("set.jsonl")

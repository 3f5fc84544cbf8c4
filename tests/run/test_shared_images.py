"""Runs that ask several questions about each picture, or about the same one in many rows: it goes up once, and no row
is lost when the server has it no more."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.client.retry import Backoff
from persqa_client.config import Endpoint, Limits, Recipe, RunSettings
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.inputs.sources import FileSource
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import lines_in, persqa, start

MODEL = "persqa-simulator"
COLOURS = {"red": (200, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 200)}
PICTURES = 12
QUESTIONS = 5
ALL = PICTURES * QUESTIONS
QUICK = Backoff(initial=0.005, maximum=0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour each and some noise, which makes them large and different."""
    folder = tmp_path_factory.mktemp("shared")
    rng = random.Random(1)
    for number, colour in zip(range(PICTURES), 4 * list(COLOURS.values()), strict=True):
        image = Image.new("RGB", (300, 200), colour)
        image.paste(Image.frombytes("RGB", (300, 60), rng.randbytes(300 * 60 * 3)))
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.01)) as server:
        yield server


def colour_of(number: int) -> str:
    return list(COLOURS)[number % 3]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def each(folder: Path) -> list[dict[str, Any]]:
    return [{"n": number, "image": [f"{folder}/{number}.png"]} for number in range(PICTURES)]


def go(rows: Path, server: Simulator, **flags: Any) -> Summary:
    flags = {"questions": QUESTIONS, "concurrency": 16, "fresh": True, **flags}
    return generate(rows, rows.parent / "qa.jsonl", base_url=server.base_url, model=MODEL, **flags)


def records(rows: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (rows.parent / "qa.jsonl").read_bytes().splitlines()]


def assert_all_are_right(rows: Path, count: int = ALL) -> None:
    """Each question of each row is answered once, in order, from the right picture."""
    found = records(rows)
    assert len(found) == count
    assert [row["n"] for row in found] == sorted(row["n"] for row in found)
    assert len({(row["n"], row["pers_qa"].partition(", Answer:")[0]) for row in found}) == count
    assert all(colour_of(row["n"]) in row["pers_qa"] for row in found)


def bytes_of(rows: Path, **flags: Any) -> int:
    """Bytes that a run sends, the trying out of the server left out."""
    with run_simulator(SimSettings(latency=0.01)) as server:
        go(write(rows.parent / "none.jsonl", [{"image": "missing.png"}]), server, **flags)
        before = int(server.stats()["bytes_in"])
        go(rows, server, **flags)
        return int(server.stats()["bytes_in"]) - before


def test_five_questions_send_hardly_more_than_one(folder: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    one = bytes_of(rows, questions=1)
    five = bytes_of(rows, questions=5)
    assert_all_are_right(rows)
    assert five < 1.1 * one
    assert bytes_of(rows, questions=5, uuid=False) > 4.9 * one


def test_the_answers_are_the_same_as_with_the_bytes(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    go(rows, simulator, details=True)
    once = records(rows)
    go(rows, simulator, details=True, uuid=False)
    assert once == records(rows)


def test_a_hosted_server_is_sent_no_uuid(folder: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    with run_simulator(SimSettings(latency=0.01, shape="hosted")) as server:
        run = run_of(rows, server.base_url)
        asyncio.run(run.execute())
    uploads = run.pool.sessions[0].profile.uploads
    assert (uploads.uuids_sent, uploads.images_sent) == (0, ALL)
    assert_all_are_right(rows)


@pytest.mark.parametrize("cached", [1, 8])
def test_a_cache_that_forgets_costs_no_row(folder: Path, tmp_path: Path, cached: int) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    with run_simulator(SimSettings(latency=0.01, cached_pictures=cached)) as server:
        run = run_of(rows, server.base_url, max_attempts=1)
        summary = asyncio.run(run.execute())
    assert run.pool.sessions[0].profile.uploads.cache_misses > 0
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (ALL, {})
    assert_all_are_right(rows)


@pytest.mark.parametrize("kinds", [("500",), ("500",) * 4, ("reset", "429", "503", "cut_body")])
def test_an_upload_that_fails_is_made_by_the_next(folder: Path, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder)[:1])
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02)) as server:
        go(write(tmp_path / "none.jsonl", [{"image": "missing.png"}]), server)
        probes = server.stats()["requests"]
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02, script=["ok"] * probes + list(kinds))) as server:
        go(rows, server)
        assert sum(server.stats()["by_fault"].values()) == len(kinds)
    assert_all_are_right(rows, QUESTIONS)


def test_faults_at_random_lose_nothing(folder: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    faults = {"500": 0.05, "503": 0.05, "reset": 0.05, "null_content": 0.05}
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02, faults=faults, cached_pictures=6)) as server:
        summary = asyncio.run(run_of(rows, server.base_url, max_attempts=20).execute())
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (ALL, {})
    assert_all_are_right(rows)


def run_of(rows: Path, base_url: str, **limits: Any) -> Run:
    """A run whose waits are tiny."""
    settings = RunSettings(
        input=rows,
        output=rows.parent / "qa.jsonl",
        endpoint=Endpoint(base_url=base_url, model=MODEL),
        recipe=Recipe(questions=QUESTIONS),
        limits=Limits(concurrency=8, **limits),
    )
    session = Session(settings.endpoint, limits=settings.limits, backoff=QUICK, probe_backoff=QUICK)
    return Run(settings, FileSource(rows), pool=Pool([session]))


async def test_a_server_that_starts_anew_is_sent_its_pictures_again(folder: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    first = Simulator(SimSettings(latency=0.05))
    run = run_of(rows, first.base_url)
    running_run = asyncio.create_task(run.execute())
    while run.progress.done < ALL // 3:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(first.close)
    second = await asyncio.to_thread(Simulator, SimSettings(latency=0.01), first.port)
    try:
        summary = await running_run
    finally:
        await asyncio.to_thread(second.close)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (ALL, {})
    assert_all_are_right(rows)


def test_a_run_that_was_killed_goes_on(folder: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", each(folder))
    with run_simulator(SimSettings(latency=0.05, slots=4)) as server:
        flags = ("--base-url", server.base_url, "--model", MODEL, "--questions", str(QUESTIONS), "--concurrency", "4")
        command = ("run", rows, "-o", tmp_path / "qa.jsonl", *flags)
        process = start(*command, cwd=tmp_path)
        while not lines_in(tmp_path / "qa.jsonl.partial") and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert not (tmp_path / "qa.jsonl").exists()
        done = persqa(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_all_are_right(rows)


def test_several_pictures_in_a_row_go_up_once_each(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    """Rows share pictures crosswise, so that each waits for others."""
    pairs = [(number, (number + 1) % PICTURES) for number in range(PICTURES)]
    rows = [{"n": first, "image": [f"{folder}/{first}.png", f"{folder}/{second}.png"]} for first, second in pairs]
    path = write(tmp_path / "rows.jsonl", rows)
    summary = go(path, simulator)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (ALL, {})
    assert len(records(path)) == ALL
    size = sum((folder / f"{number}.png").stat().st_size for number in range(PICTURES))
    assert simulator.stats()["bytes_in"] < 1.7 * size


def test_any_of_several_pictures_may_be_missing(folder: Path, tmp_path: Path) -> None:
    rows = [{"n": number, "image": [f"{folder}/{number}.png", f"{folder}/0.png"]} for number in range(1, PICTURES)]
    with run_simulator(SimSettings(latency=0.01, cached_pictures=4)) as server:
        summary = go(write(tmp_path / "rows.jsonl", rows), server, max_attempts=1)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (QUESTIONS * (PICTURES - 1), {})


def test_a_picture_of_many_rows_goes_up_twice_at_most(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    """Once before anybody knows that it comes again, and once with its uuid."""
    rows = [{"n": number, "image": [f"{folder}/0.png"], "question": f"What is <mam> {number}?"} for number in range(40)]
    path = write(tmp_path / "rows.jsonl", rows)
    assert go(path, simulator, questions=1).tally.succeeded == 40
    size = (folder / "0.png").stat().st_size
    assert simulator.stats()["bytes_in"] < 2 * 1.4 * size + 40 * 1500 + 40_000
    assert all("red" in row["pers_qa"] for row in records(path))

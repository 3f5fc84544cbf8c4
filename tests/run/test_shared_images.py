"""Runs that use an image several times: it is uploaded once, and no row fails when the server has dropped it."""

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
from persqa_client.config import Endpoint, Limits, Recipe
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.inputs.files import FileSource
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import lines_in, persqa, start

MODEL = "persqa-simulator"
COLOURS = {"red": (200, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 200)}
IMAGES = 12
QUESTIONS = 5
TASKS = IMAGES * QUESTIONS
SHORT_BACKOFF = Backoff(initial=0.005, maximum=0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of one colour each with some noise, which makes them large and different."""
    folder = tmp_path_factory.mktemp("shared")
    rng = random.Random(1)
    for number, colour in zip(range(IMAGES), 4 * list(COLOURS.values()), strict=True):
        image = Image.new("RGB", (400, 400), colour)
        image.paste(Image.frombytes("RGB", (400, 120), rng.randbytes(400 * 120 * 3)))
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.01)) as server:
        yield server


def colour_of(number: int) -> str:
    return list(COLOURS)[number % 3]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def one_row_per_image(folder: Path) -> list[dict[str, Any]]:
    return [{"n": number, "image": [f"{folder}/{number}.png"]} for number in range(IMAGES)]


def generate_answers(rows: Path, server: Simulator, **flags: Any) -> Summary:
    flags = {"questions": QUESTIONS, "concurrency": 16, "fresh": True, **flags}
    return generate(rows, rows.parent / "qa.jsonl", base_url=server.base_url, model=MODEL, **flags)


def read_records(rows: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (rows.parent / "qa.jsonl").read_bytes().splitlines()]


def assert_all_answered(rows: Path, count: int = TASKS) -> None:
    """Each question of each row is answered once, in order, from the right image."""
    found = read_records(rows)
    assert len(found) == count
    assert [row["n"] for row in found] == sorted(row["n"] for row in found)
    assert len({(row["n"], row["pers_qa"].partition(", Answer:")[0]) for row in found}) == count
    assert all(colour_of(row["n"]) in row["pers_qa"] for row in found)


def count_bytes_sent(rows: Path, **flags: Any) -> int:
    """Bytes that a run sends, without those of its probes."""
    with run_simulator(SimSettings(latency=0.01)) as server:
        generate_answers(write_rows(rows.parent / "none.jsonl", [{"image": "missing.png"}]), server, **flags)
        before = int(server.stats()["bytes_in"])
        generate_answers(rows, server, **flags)
        return int(server.stats()["bytes_in"]) - before


def test_five_questions_send_hardly_more_bytes_than_one(folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    one = count_bytes_sent(rows, questions=1)
    five = count_bytes_sent(rows, questions=5)
    assert_all_answered(rows)
    assert five < 1.1 * one
    assert count_bytes_sent(rows, questions=5, uuid=False) > 4.8 * one


def test_the_answers_are_the_same_as_without_uuids(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    generate_answers(rows, simulator, details=True)
    once = read_records(rows)
    generate_answers(rows, simulator, details=True, uuid=False)
    assert once == read_records(rows)


def test_a_hosted_server_gets_no_uuids(folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    with run_simulator(SimSettings(latency=0.01, shape="hosted")) as server:
        run = make_run(rows, server.base_url)
        asyncio.run(run.execute())
    uploads = run.pool.sessions[0].profile.uploads
    assert (uploads.uuids_sent, uploads.images_sent) == (0, TASKS)
    assert_all_answered(rows)


@pytest.mark.parametrize("cached", [1, 4])
def test_images_dropped_from_the_server_cache_fail_no_row(folder: Path, tmp_path: Path, cached: int) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    with run_simulator(SimSettings(latency=0.01, cached_pictures=cached)) as server:
        run = make_run(rows, server.base_url, max_attempts=1)
        summary = asyncio.run(run.execute())
    assert run.pool.sessions[0].profile.uploads.cache_misses > 0
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (TASKS, {})
    assert_all_answered(rows)


@pytest.mark.parametrize("kinds", [("500",), ("500",) * 4, ("reset", "429", "503", "cut_body")])
def test_the_next_request_uploads_an_image_that_failed(folder: Path, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder)[:1])
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02)) as server:
        generate_answers(write_rows(tmp_path / "none.jsonl", [{"image": "missing.png"}]), server)
        probes = server.stats()["requests"]
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02, script=["ok"] * probes + list(kinds))) as server:
        generate_answers(rows, server)
        assert sum(server.stats()["by_fault"].values()) == len(kinds)
    assert_all_answered(rows, QUESTIONS)


def test_random_faults_fail_no_row(folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    faults = {"500": 0.05, "503": 0.05, "reset": 0.05, "null_content": 0.05}
    with run_simulator(SimSettings(latency=0.01, retry_after=0.02, faults=faults, cached_pictures=6)) as server:
        summary = asyncio.run(make_run(rows, server.base_url, max_attempts=20).execute())
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (TASKS, {})
    assert_all_answered(rows)


def make_run(rows: Path, base_url: str, **limits: Any) -> Run:
    """A run with short back-off times."""
    settings = RunSettings(
        input=rows,
        output=rows.parent / "qa.jsonl",
        endpoint=Endpoint(base_url=base_url, model=MODEL),
        recipe=Recipe(questions=QUESTIONS),
        limits=Limits(concurrency=8, **limits),
    )
    session = Session(settings.endpoint, limits=settings.limits, backoff=SHORT_BACKOFF, probe_backoff=SHORT_BACKOFF)
    return Run(settings, FileSource(rows), pool=Pool([session]))


async def test_a_restarted_server_gets_its_images_again(folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
    first = Simulator(SimSettings(latency=0.05))
    run = make_run(rows, first.base_url)
    execution = asyncio.create_task(run.execute())
    while run.progress.done < TASKS // 3:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(first.close)
    second = await asyncio.to_thread(Simulator, SimSettings(latency=0.01), first.port)
    try:
        summary = await execution
    finally:
        await asyncio.to_thread(second.close)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (TASKS, {})
    assert_all_answered(rows)


def test_a_killed_run_resumes(folder: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", one_row_per_image(folder))
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
    assert_all_answered(rows)


def test_several_images_of_a_row_are_uploaded_once_each(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    """Each image belongs to two rows, so that rows wait for the uploads of others."""
    pairs = [(number, (number + 1) % IMAGES) for number in range(IMAGES)]
    rows = [{"n": first, "image": [f"{folder}/{first}.png", f"{folder}/{second}.png"]} for first, second in pairs]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    summary = generate_answers(path, simulator)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (TASKS, {})
    assert len(read_records(path)) == TASKS
    size = sum((folder / f"{number}.png").stat().st_size for number in range(IMAGES))
    assert simulator.stats()["bytes_in"] < 1.7 * size


def test_a_server_may_drop_any_of_several_images(folder: Path, tmp_path: Path) -> None:
    rows = [{"n": number, "image": [f"{folder}/{number}.png", f"{folder}/0.png"]} for number in range(1, IMAGES)]
    with run_simulator(SimSettings(latency=0.01, cached_pictures=4)) as server:
        summary = generate_answers(write_rows(tmp_path / "rows.jsonl", rows), server, max_attempts=1)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (QUESTIONS * (IMAGES - 1), {})


def test_an_image_of_many_rows_is_uploaded_twice_at_most(folder: Path, tmp_path: Path, simulator: Simulator) -> None:
    """Once before it is known to come again, and once with its uuid."""
    rows = [{"n": number, "image": [f"{folder}/0.png"], "question": f"What is <mam> {number}?"} for number in range(40)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert generate_answers(path, simulator, questions=1).tally.succeeded == 40
    size = (folder / "0.png").stat().st_size
    assert simulator.stats()["bytes_in"] < 2 * 1.4 * size + 40 * 1500 + 40_000
    assert all("red" in row["pers_qa"] for row in read_records(path))

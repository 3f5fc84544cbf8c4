"""Runs on a model that goes bad while its server still answers: no row fails by it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from persqa_client import generate
from persqa_client.errors import RunStopped
from persqa_client.run.summary import Summary
from tests.run.chat_servers import Call, Respond, Server, completion, good, is_row, run_on
from tests.support.endpoints import serve_handler
from tests.support.run_folder import RunFolder

ROWS = 60
NAN = "!" * 32
REFUSAL = "I'm sorry, but I can't help with that."


def say(call: Call, text: str) -> web.Response:
    return web.json_response(completion(call, text))


def bad_if(is_bad: Callable[[Call], bool], text: str = REFUSAL) -> Respond:
    """Answers rows badly if ``is_bad``; the probes are answered well."""
    return lambda call: say(call, text) if is_row(call) and is_bad(call) else good(call)


def number_of_row(call: Call) -> int:
    found = re.search(r"picture (\d+)", call.text)
    assert found is not None
    return int(found[1])


def from_row(first: int) -> Callable[[Call], bool]:
    return lambda call: number_of_row(call) >= first


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> None:
    """``ROWS`` rows, each with its number in its question."""
    write_rows(tmp_path, ROWS)


def write_rows(path: Path, count: int) -> None:
    RunFolder(path).write_rows(1)
    rows = [{"id": n, "image": ["0.jpg"], "question": f"What is <mam> wearing in picture {n}?"} for n in range(count)]
    (path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def is_complete(folder: RunFolder, count: int = ROWS) -> bool:
    return folder.answered_ids == list(range(count)) and folder.failure_codes == {}


@pytest.mark.parametrize(("text", "code"), [(NAN, "empty"), (REFUSAL, "refusal"), ("A man reads.", "no_tag")])
@pytest.mark.parametrize("good_answers", [pytest.param(0, marks=pytest.mark.slow), 25])
async def test_a_model_that_goes_bad_stops_the_run_and_costs_no_row(
    tmp_path: Path, text: str, code: str, good_answers: int
) -> None:
    bad = bad_if(lambda call: call.number > good_answers, text)
    folder, stop, server = await run_on(bad, tmp_path)
    assert isinstance(stop, RunStopped)
    assert stop.code == code
    assert text in str(stop)
    assert not folder.read_lines("out.failed.jsonl.partial")
    # Twice for each row; some were in flight.
    assert server.rows <= good_answers + 2 * 50

    _, summary, _ = await run_on(good, tmp_path)
    assert isinstance(summary, Summary)
    assert is_complete(folder)


async def test_it_stops_at_the_end_of_the_input_too(tmp_path: Path) -> None:
    write_rows(tmp_path, 36)
    folder, stop, _ = await run_on(bad_if(lambda call: call.number > 30), tmp_path)
    assert isinstance(stop, RunStopped)
    assert "had been answered before" in str(stop)
    await run_on(good, tmp_path)
    assert is_complete(folder, 36)


async def test_a_resumed_run_on_a_bad_model_stops(tmp_path: Path) -> None:
    folder, _, _ = await run_on(bad_if(lambda call: call.number > 25), tmp_path)
    _, again, server = await run_on(bad_if(lambda call: True), tmp_path)
    assert isinstance(again, RunStopped)
    assert "had been answered before" in str(again)
    assert server.rows <= 2 * 50
    await run_on(good, tmp_path)
    assert is_complete(folder)


@pytest.mark.parametrize("concurrency", [1, 4, 40])
async def test_rows_that_the_model_refuses_fail_if_it_answers_others(tmp_path: Path, concurrency: int) -> None:
    """The last 30 pictures: a row that was answered before is answered again."""
    refuses_last = bad_if(from_row(30))
    folder, summary, _ = await run_on(refuses_last, tmp_path, concurrency=concurrency)
    assert isinstance(summary, Summary)
    assert folder.answered_ids == list(range(30))
    assert folder.failure_codes == dict.fromkeys(range(30, ROWS), "refusal")


async def test_a_resumed_run_knows_an_answered_row_from_its_output(tmp_path: Path) -> None:
    await run_on(bad_if(lambda call: call.number > 28), tmp_path, concurrency=1)
    folder, summary, _ = await run_on(bad_if(from_row(20)), tmp_path)
    assert isinstance(summary, Summary)
    assert folder.answered_ids == list(range(28))
    assert folder.failure_codes == dict.fromkeys(range(28, ROWS), "refusal")


async def test_pictures_that_are_all_refused_stop_each_run_until_they_may_fail(tmp_path: Path) -> None:
    refuses_all = bad_if(lambda call: True)
    for _ in range(2):
        folder, stop, _ = await run_on(refuses_all, tmp_path)
        assert isinstance(stop, RunStopped)
        assert "--max-bad-answers 0" in str(stop)
        assert folder.is_empty
    folder, summary, _ = await run_on(refuses_all, tmp_path, max_bad_answers=0)
    assert isinstance(summary, Summary)
    assert folder.failure_codes == dict.fromkeys(range(ROWS), "refusal")


async def test_fewer_rows_than_the_limit_fail(tmp_path: Path) -> None:
    write_rows(tmp_path, 19)
    folder, summary, _ = await run_on(bad_if(lambda call: True), tmp_path)
    assert isinstance(summary, Summary)
    assert folder.failure_codes == dict.fromkeys(range(19), "refusal")


async def test_every_second_answer_may_be_bad(tmp_path: Path) -> None:
    def refuses_odd(call: Call) -> bool:
        return number_of_row(call) % 2 == 1

    folder, summary, _ = await run_on(bad_if(refuses_odd), tmp_path, concurrency=40)
    assert isinstance(summary, Summary)
    assert folder.answered_ids == list(range(0, ROWS, 2))
    assert folder.failure_codes == dict.fromkeys(range(1, ROWS, 2), "refusal")


async def test_the_questions_of_a_row_are_held_one_by_one(tmp_path: Path) -> None:
    """A row with a held question is written when all its questions have an outcome."""
    (tmp_path / "in.jsonl").write_text('{"image": ["0.jpg"]}\n' * 20, encoding="utf-8")
    folder, stop, _ = await run_on(bad_if(lambda call: call.number > 25), tmp_path, questions=3)
    assert isinstance(stop, RunStopped)
    assert not folder.read_lines("out.failed.jsonl.partial")
    _, summary, _ = await run_on(good, tmp_path, questions=3)
    assert isinstance(summary, Summary)
    assert (summary.tally.rows, summary.tally.succeeded, summary.tally.failed_total) == (20, 60, 0)


async def test_rows_that_are_held_at_a_stop_are_asked_again(tmp_path: Path) -> None:
    folder, held = RunFolder(tmp_path), asyncio.Event()
    asked: Counter[int] = Counter()

    def stop_at_row_15(call: Call) -> web.Response:
        """At its second answer: rows 5 to 14 are held then."""
        asked[number_of_row(call)] += 1
        if asked[15] == 2:
            held.set()
        return say(call, REFUSAL) if is_row(call) and number_of_row(call) >= 5 else good(call)

    async with serve_handler(Server(stop_at_row_15).handle) as url:
        run = folder.make_run(f"{url}/v1", model="m")
        going = asyncio.create_task(run.execute())
        await held.wait()
        run.stop()
        summary = await going
    assert (summary.state, summary.tally.succeeded, summary.tally.failed_total) == ("interrupted", 5, 0)
    await run_on(good, tmp_path)
    assert is_complete(folder)


async def test_a_retry_on_a_bad_model_stops_and_on_a_good_one_fails_the_same_rows(tmp_path: Path) -> None:
    async def retry(respond: Respond) -> Summary:
        async with serve_handler(Server(respond).handle) as url:
            flags: dict[str, Any] = {"probes": False, "concurrency": 4, "retry_failed": True}
            output = tmp_path / "out.jsonl"
            return await asyncio.to_thread(
                generate, tmp_path / "in.jsonl", output, base_url=f"{url}/v1", model="m", **flags
            )

    folder = RunFolder(tmp_path)
    await retry(bad_if(from_row(30)))
    assert list(folder.failure_codes) == list(range(30, ROWS))
    with pytest.raises(RunStopped, match="had been answered before"):
        await retry(bad_if(lambda call: True))
    assert (await retry(bad_if(from_row(30)))).state == "finished"
    assert list(folder.failure_codes) == list(range(30, ROWS))
    await retry(good)
    assert is_complete(folder)


async def test_rows_in_memory_are_held_too(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tmp_path / "in.jsonl").read_text().splitlines()]
    flags: dict[str, Any] = {"image_root": tmp_path, "probes": False, "concurrency": 4}
    async with serve_handler(Server(bad_if(from_row(30))).handle) as url:
        summary = await asyncio.to_thread(generate, rows, base_url=f"{url}/v1", model="m", **flags)
    assert ([row["id"] for row in summary.records], len(summary.failures)) == (list(range(30)), 30)
    async with serve_handler(Server(bad_if(lambda call: call.number > 25)).handle) as url:
        with pytest.raises(RunStopped, match="had been answered before"):
            await asyncio.to_thread(generate, rows, base_url=f"{url}/v1", model="m", **flags)


@pytest.mark.parametrize("text", [pytest.param(NAN, marks=pytest.mark.slow), REFUSAL])
@pytest.mark.parametrize("good_answers", [0, 20])
async def test_of_two_endpoints_a_bad_one_costs_no_row(tmp_path: Path, text: str, good_answers: int) -> None:
    folder, warnings = RunFolder(tmp_path), list[str]()
    write_rows(tmp_path, 200)
    bad, other = Server(bad_if(lambda call: call.number > good_answers, text)), Server(good)
    async with serve_handler(bad.handle) as bad_url, serve_handler(other.handle) as good_url:
        urls = (f"{bad_url}/v1", f"{good_url}/v1")
        summary = await folder.make_run(*urls, model="m", concurrency=4, warn=warnings.append).execute()
    assert summary.state == "finished"
    assert (folder.failure_codes, len(folder.answered_ids)) == ({}, 200)
    assert bad.rows < other.rows
    assert [urls[0] in warning for warning in warnings] == [True]


async def test_two_bad_endpoints_stop_the_run_and_cost_no_row(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    one, two = Server(bad_if(lambda call: call.number > 20)), Server(bad_if(lambda call: call.number > 5, NAN))
    async with serve_handler(one.handle) as first, serve_handler(two.handle) as second:
        with pytest.raises(RunStopped, match="rejected"):
            await folder.make_run(f"{first}/v1", f"{second}/v1", model="m", concurrency=4).execute()
    assert not folder.read_lines("out.failed.jsonl.partial")
    await run_on(good, tmp_path)
    assert is_complete(folder)


async def test_refusals_that_come_before_slower_good_answers_stop_nothing(tmp_path: Path) -> None:
    """The first 25 rows are refused while the others are still being answered."""
    refused = asyncio.Event()
    refusals = 0

    async def refuse_first(call: Call) -> web.Response:
        nonlocal refusals
        if not is_row(call):
            return good(call)
        if number_of_row(call) < 25:
            refusals += 1
            if refusals == 2 * 25:
                refused.set()
            return say(call, REFUSAL)
        await refused.wait()
        return good(call)

    folder, summary, _ = await run_on(refuse_first, tmp_path, concurrency=40)
    assert isinstance(summary, Summary)
    assert folder.answered_ids == list(range(25, ROWS))
    assert folder.failure_codes == dict.fromkeys(range(25), "refusal")

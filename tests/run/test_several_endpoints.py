"""Whole runs on two simulators: shared work, failover, endpoints left out, and keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from persqa_client import Endpoint, Limits, PersQAClient, Record, SettingsError, generate
from persqa_client.errors import RunStopped
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, Simulator
from tests.support.endpoints import TEST_TIMEOUT, Handler, completion_response, serve_handler
from tests.support.run_folder import RunFolder, fast_simulator


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


async def run_until_stopped(run: Run) -> RunStopped:
    with pytest.raises(RunStopped) as caught:
        await asyncio.wait_for(run.execute(), TEST_TIMEOUT)
    return caught.value


async def wait_for_answers(run: Run, answered: int) -> None:
    """Waits for this number of answers."""
    while run.pool.traffic.answered < answered:
        await asyncio.sleep(0.001)


def answers_per_endpoint(summary: Summary) -> list[int]:
    return [account.answers for account in summary.endpoints]


def run_file(folder: RunFolder) -> dict[str, Any]:
    return dict(orjson.loads((folder.path / "out.run.json").read_bytes()))


def is_complete(folder: RunFolder, count: int) -> bool:
    """Whether every row was answered, once and in order."""
    return folder.answered_ids == list(range(count)) and folder.failure_codes == {}


async def test_two_equal_endpoints_share_the_rows(folder: RunFolder) -> None:
    folder.write_rows(120, images=40)
    with fast_simulator(latency=0.01, slots=4) as one, fast_simulator(latency=0.01, slots=4) as two:
        summary = await folder.make_run(one.base_url, two.base_url, concurrency=4).execute()
    assert is_complete(folder, 120)
    assert (one.stats()["answered"], two.stats()["answered"]) == tuple(answers_per_endpoint(summary))
    assert min(answers_per_endpoint(summary)) >= 40


async def test_a_slow_endpoint_gets_fewer_rows(folder: RunFolder) -> None:
    folder.write_rows(120, images=40)
    with fast_simulator(latency=0.2) as slow, fast_simulator(latency=0.01) as quick:
        summary = await folder.make_run(slow.base_url, quick.base_url, concurrency=4).execute()
    assert is_complete(folder, 120)
    assert 0 < answers_per_endpoint(summary)[0] < answers_per_endpoint(summary)[1] / 2


@pytest.mark.parametrize("attempts", [2, 5])
async def test_an_endpoint_that_dies_costs_no_row_and_the_run_does_not_wait(folder: RunFolder, attempts: int) -> None:
    """It is unavailable for longer than max_outage."""
    folder.write_rows(200, images=40)
    dying = Simulator(SimSettings(latency=0.01))
    with fast_simulator(latency=0.01) as staying:
        urls = (dying.base_url, staying.base_url)
        run = folder.make_run(*urls, concurrency=4, max_attempts=attempts, max_outage=0.02, details=True)
        going = asyncio.create_task(run.execute())
        await wait_for_answers(run, 40)
        await asyncio.to_thread(dying.close)
        summary = await asyncio.wait_for(going, TEST_TIMEOUT)
    assert is_complete(folder, 200)
    assert dying.stats()["answered"] > 0
    assert summary.endpoints[0].outages >= 1
    # A connection may break while the dying server still reports itself healthy: that costs one attempt, not all.
    assert max(row["pers_qa_meta"]["attempts"] for row in folder.read_lines("out.jsonl")) <= 2


async def test_an_endpoint_that_comes_back_gets_work_again(folder: RunFolder) -> None:
    folder.write_rows(400, images=40)
    first = Simulator(SimSettings(latency=0.01))
    with fast_simulator(latency=0.01) as other:
        run = folder.make_run(first.base_url, other.base_url, concurrency=4)
        going = asyncio.create_task(run.execute())
        await wait_for_answers(run, 40)
        await asyncio.to_thread(first.close)
        while not run.pool.sessions[0].outage.closed:
            await asyncio.sleep(0.001)
        with fast_simulator(port=first.port, latency=0.01) as second:
            await asyncio.wait_for(going, TEST_TIMEOUT)
            assert second.stats()["answered"] > 0
    assert is_complete(folder, 400)


async def test_a_run_waits_if_both_are_unavailable_until_one_is_back(folder: RunFolder) -> None:
    folder.write_rows(100, images=20)
    one, two = Simulator(SimSettings(latency=0.01)), Simulator(SimSettings(latency=0.01))
    run = folder.make_run(one.base_url, two.base_url, concurrency=4, max_attempts=2)
    going = asyncio.create_task(run.execute())
    await wait_for_answers(run, 20)
    await asyncio.gather(asyncio.to_thread(one.close), asyncio.to_thread(two.close))
    while not all(session.outage.closed for session in run.pool.sessions):
        await asyncio.sleep(0.001)
    assert not going.done()
    with fast_simulator(port=two.port):
        await asyncio.wait_for(going, TEST_TIMEOUT)
    assert is_complete(folder, 100)


async def test_a_run_stopped_because_both_are_unavailable_is_resumed(folder: RunFolder) -> None:
    folder.write_rows(100, images=20)
    one, two = Simulator(SimSettings(latency=0.01)), Simulator(SimSettings(latency=0.01))
    run = folder.make_run(one.base_url, two.base_url, concurrency=4, max_outage=0.1)
    going = asyncio.create_task(run.execute())
    await wait_for_answers(run, 20)
    await asyncio.gather(asyncio.to_thread(one.close), asyncio.to_thread(two.close))
    with pytest.raises(RunStopped) as caught:
        await asyncio.wait_for(going, TEST_TIMEOUT)
    assert (caught.value.code, folder.failure_codes) == ("server_away", {})
    with fast_simulator() as third, fast_simulator() as fourth:
        await folder.make_run(third.base_url, fourth.base_url, concurrency=4).execute()
    assert is_complete(folder, 100)


@pytest.mark.parametrize("fault", ["503", "429", "engine_dead", "500", "502_html", "reset"])
async def test_an_endpoint_that_stops_answering_costs_no_row(folder: RunFolder, fault: str) -> None:
    folder.write_rows(80, images=20)
    with fast_simulator(faults={fault: 1.0}, script=["ok"]) as failing, fast_simulator(latency=0.005) as well:
        run = folder.make_run(failing.base_url, well.base_url, concurrency=4)
        await asyncio.wait_for(run.execute(), 6 * TEST_TIMEOUT)
    assert is_complete(folder, 80)
    assert well.stats()["answered"] >= 79


async def test_all_questions_about_an_image_go_to_one_endpoint(folder: RunFolder) -> None:
    folder.write_rows(40, images=40, with_question=False)
    kept = [folder.path / name for name in ("one", "two")]
    with (
        fast_simulator(latency=0.01, keep_pictures=kept[0]) as one,
        fast_simulator(latency=0.01, keep_pictures=kept[1]) as two,
    ):
        summary = await folder.make_run(one.base_url, two.base_url, concurrency=8, questions=3).execute()
    assert sum(answers_per_endpoint(summary)) == 120
    pictures = [len(list(folder.iterdir())) for folder in kept]
    assert min(pictures) > 0
    assert sum(pictures) <= 43, "an image goes to both only if one is much busier"


@pytest.mark.parametrize("away", [0, 1])
async def test_an_endpoint_missing_at_the_start_is_named(folder: RunFolder, away: int) -> None:
    folder.write_rows(2)
    with fast_simulator() as well:
        gone = Simulator(SimSettings())
        gone.close()
        urls = [well.base_url]
        urls.insert(away, gone.base_url)
        stop = await run_until_stopped(folder.make_run(*urls))
    assert stop.code == "no_connection_refused"
    assert gone.base_url in stop.message
    assert folder.is_empty


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param({"api_key": "another"}, "wrong_key", id="another key"),
        pytest.param({"models": ("another-model",)}, "unknown_model", id="another model"),
        pytest.param({"blind": True}, "no_pictures", id="a model that cannot see images"),
    ],
)
async def test_an_unfit_endpoint_at_the_start_is_named(folder: RunFolder, wrong: dict[str, Any], code: str) -> None:
    folder.write_rows(2)
    with fast_simulator() as well, fast_simulator(**wrong) as unfit:
        stop = await run_until_stopped(folder.make_run(well.base_url, unfit.base_url, key="right", probes=True))
    assert stop.code == code
    assert stop.message.startswith(f"{unfit.base_url}: ")
    assert folder.is_empty


@pytest.mark.parametrize("unfit", [0, 1])
@pytest.mark.parametrize("probes", [True, False])
async def test_a_part_of_a_run_with_answers_goes_on_without_an_unfit_endpoint(
    folder: RunFolder, unfit: int, probes: bool
) -> None:
    """As the run itself does if the endpoint becomes unfit later."""
    folder.write_rows(20)
    warnings: list[str] = []
    with fast_simulator(api_key="right") as well, fast_simulator(api_key="another") as locked:
        gone = Simulator(SimSettings())
        gone.close()
        urls = [gone.base_url, locked.base_url]
        urls.insert(unfit, well.base_url)
        run = folder.make_run(*urls, key="right", probes=probes, joins=True, warn=warnings.append)
        summary = await asyncio.wait_for(run.execute(), TEST_TIMEOUT)
    assert is_complete(folder, 20)
    answers = answers_per_endpoint(summary)
    assert answers[unfit] == sum(answers) >= 20
    for url in (gone.base_url, locked.base_url):
        assert sum(warning.startswith(f"{url} is left out from now on: ") for warning in warnings) == 1
    servers = {each["base_url"]: each["server"] for each in run_file(folder)["endpoints"]}
    assert [url for url, server in servers.items() if server is not None] == [well.base_url]


async def test_a_part_of_a_run_does_not_wait_for_an_endpoint_that_goes_away_while_it_is_tested(
    folder: RunFolder,
) -> None:
    folder.write_rows(20)
    leaving = Simulator(SimSettings(latency=0.3))
    with fast_simulator() as well:
        run = folder.make_run(leaving.base_url, well.base_url, probes=True, joins=True)
        going = asyncio.create_task(run.execute())
        while leaving.stats()["requests"] < 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(leaving.close)
        await asyncio.wait_for(going, TEST_TIMEOUT)
    assert is_complete(folder, 20)


async def test_a_part_of_a_run_with_answers_stops_without_any_endpoint(folder: RunFolder) -> None:
    folder.write_rows(2)
    gone = [Simulator(SimSettings()) for _ in range(2)]
    for each in gone:
        each.close()
    stop = await run_until_stopped(folder.make_run(*(each.base_url for each in gone), joins=True))
    assert stop.code == "no_connection_refused"
    assert folder.is_empty


async def test_an_endpoint_without_quota_is_left_out_with_a_warning(folder: RunFolder) -> None:
    folder.write_rows(60, images=20)
    warnings = list[str]()
    dry = {"payment": 1.0}
    with (
        fast_simulator(script=["ok"] * 5, faults=dry, latency=0.005) as poor,
        fast_simulator(latency=0.005) as well,
    ):
        run = folder.make_run(poor.base_url, well.base_url, concurrency=4, max_attempts=1, warn=warnings.append)
        summary = await asyncio.wait_for(run.execute(), TEST_TIMEOUT)
    assert is_complete(folder, 60)
    assert warnings == list(summary.notes)
    assert len(warnings) == 1
    assert warnings[0].startswith(poor.base_url)
    assert "(402 Payment Required)" in warnings[0]
    assert answers_per_endpoint(summary)[0] < 15


async def test_the_last_endpoint_without_quota_stops_the_run(folder: RunFolder) -> None:
    folder.write_rows(60, images=20)
    with (
        fast_simulator(script=["ok"] * 5 + ["payment"] * 50) as one,
        fast_simulator(script=["ok"] * 5 + ["payment"] * 50) as two,
    ):
        stop = await run_until_stopped(folder.make_run(one.base_url, two.base_url, concurrency=4))
        assert stop.code == "no_credit"
        assert folder.failure_codes == {}
    with fast_simulator() as third:
        await folder.make_run(third.base_url).execute()
    assert is_complete(folder, 60)


async def test_an_interrupted_run_is_resumed_at_other_endpoints(folder: RunFolder) -> None:
    folder.write_rows(100, images=20)
    with fast_simulator(latency=0.01) as one, fast_simulator(latency=0.01) as two, fast_simulator() as three:
        run = folder.make_run(one.base_url, two.base_url, concurrency=4)
        going = asyncio.create_task(run.execute())
        await wait_for_answers(run, 20)
        run.stop()
        summary = await asyncio.wait_for(going, TEST_TIMEOUT)
        assert summary.state == "interrupted"
        before = one.stats()["answered"] + two.stats()["answered"]
        await folder.make_run(two.base_url, three.base_url, concurrency=4).execute()
        after = sum(simulator.stats()["answered"] for simulator in (one, two, three))
    assert is_complete(folder, 100)
    assert (before < 100, after) == (True, 100)


async def test_answers_are_constrained_only_if_all_endpoints_obey(folder: RunFolder) -> None:
    folder.write_rows(40, images=20)
    with fast_simulator() as new, fast_simulator(guided=True) as old:
        run = folder.make_run(new.base_url, old.base_url, probes=True, concurrency=4)
        await run.execute()
    assert [session.profile.dialect.constraint for session in run.pool.sessions] == [
        "structured_outputs",
        "guided_regex",
    ]
    assert run_file(folder)["strategy"] == "constrain"
    with fast_simulator() as obeying, fast_simulator(shape="hosted", reject=("response_format",)) as other:
        run = folder.make_run(obeying.base_url, other.base_url, probes=True, concurrency=4, fresh=True)
        await run.execute()
    assert is_complete(folder, 40)
    assert run_file(folder)["strategy"] == "direct"


async def test_the_run_file_describes_each_endpoint(folder: RunFolder) -> None:
    folder.write_rows(20, images=20)
    with fast_simulator() as one, fast_simulator() as two:
        await folder.make_run(one.base_url, two.base_url, probes=True, concurrency=2).execute()
    told = run_file(folder)
    assert [entry["base_url"] for entry in told["endpoints"]] == [one.base_url, two.base_url]
    assert all(entry["server"]["version"] and entry["answers"] for entry in told["endpoints"])
    assert "base_url" not in told


async def test_a_key_is_sent_to_its_own_endpoint_only(folder: RunFolder) -> None:
    """Also on failover, and in requests other than chat completions."""
    folder.write_rows(40, images=20)
    keys: dict[str, set[str | None]] = {"one": set(), "two": set()}

    def recorder(name: str, failing: bool) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            keys[name].add(request.headers.get("Authorization"))
            return web.Response(status=500) if failing and request.method == "POST" else completion_response()

        return handle

    async with serve_handler(recorder("one", True)) as one, serve_handler(recorder("two", False)) as two:
        run = folder.make_run(f"{one}/v1", f"{two}/v1", key=["key-1", "key-2"], concurrency="auto")
        await run.execute()
    assert is_complete(folder, 40)
    assert keys == {"one": {"Bearer key-1"}, "two": {"Bearer key-2"}}


async def test_a_client_accepts_a_list_of_endpoints(folder: RunFolder) -> None:
    folder.write_rows(40, images=40)
    rows = [{**row, "image": [str(folder.path / row["image"][0])]} for row in folder.read_lines("in.jsonl")]
    with fast_simulator(latency=0.01) as one, fast_simulator(latency=0.01) as two:
        endpoints = [Endpoint(base_url=simulator.base_url, model=DEFAULT_MODEL) for simulator in (one, two)]
        async with PersQAClient(endpoints, limits=Limits(concurrency=4), probes=False) as client:
            outcomes = [outcome async for _, outcome in client.stream(rows)]
        assert all(isinstance(outcome, Record) for outcome in outcomes)
        assert min(one.stats()["answered"], two.stats()["answered"]) > 0
        summary = await asyncio.to_thread(
            generate, rows, base_url=[one.base_url, two.base_url], model=DEFAULT_MODEL, probes=False
        )
    assert [account.base_url for account in summary.endpoints] == [one.base_url, two.base_url]
    with pytest.raises(SettingsError, match="at least one endpoint"):
        PersQAClient([])

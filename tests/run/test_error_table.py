"""The table "What happens on failure": whole runs on a simulator with each kind of failure."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import RunStopped
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator
from tests.support.endpoints import TEST_TIMEOUT
from tests.support.run_folder import MAX_ATTEMPTS, RunFolder, fast_simulator


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def run_until_stopped(run: Run) -> RunStopped:
    with pytest.raises(RunStopped) as caught:
        await asyncio.wait_for(run.execute(), TEST_TIMEOUT)
    return caught.value


PRESSURE = ["429", "429_date", "503", "408", "409", "425"]
TRANSIENT = {
    "500": "http_500",
    "502_html": "http_502",
    "504": "http_504",
    "520": "http_520",
    "invalid_json": "invalid_json",
    "no_choices": "no_choices",
    "null_content": "no_content",
    "error_in_200": "error_in_200",
    "reset": "connection_lost",
    "cut_body": "connection_lost",
    "stall": "timeout",
}


@pytest.mark.parametrize("kind", PRESSURE)
async def test_a_refusal_because_of_load_costs_no_attempt(folder: RunFolder, kind: str) -> None:
    folder.write_rows(1)
    script = [kind] if kind == "429_date" else [kind] * 5
    with fast_simulator(script=script, retry_after=0.0 if kind == "429_date" else 0.02) as simulator:
        await folder.make_run(simulator.base_url, max_attempts=1).execute()
    assert (folder.answered_ids, folder.failure_codes) == ([0], {})
    assert simulator.stats()["requests"] == len(script) + 1


@pytest.mark.parametrize("kind", TRANSIENT)
async def test_a_transient_error_is_retried(folder: RunFolder, kind: str) -> None:
    folder.write_rows(3)
    with fast_simulator(script=[kind] * (MAX_ATTEMPTS - 1)) as simulator:
        await folder.make_run(simulator.base_url, timeout=0.15).execute()
    assert (folder.answered_ids, folder.failure_codes) == ([0, 1, 2], {})
    assert simulator.stats()["requests"] == 3 + MAX_ATTEMPTS - 1


@pytest.mark.parametrize(("kind", "code"), TRANSIENT.items())
async def test_a_lasting_error_fails_the_row_after_max_attempts(folder: RunFolder, kind: str, code: str) -> None:
    folder.write_rows(1)
    # An attempt on a connection that is left from a GET is sent again if that is lost: here the first two.
    sent = MAX_ATTEMPTS + (2 if kind == "reset" else 0)
    with fast_simulator(script=[kind] * sent) as simulator:
        await folder.make_run(simulator.base_url, timeout=0.15).execute()
    assert (folder.answered_ids, folder.failure_codes) == ([], {0: code})
    assert folder.read_lines("out.failed.jsonl")[0]["error"]["attempts"] == MAX_ATTEMPTS
    assert simulator.stats()["requests"] == sent + 1  # the trial of the endpoint


@pytest.mark.parametrize(("kind", "code"), [("unprocessable", "rejected"), ("forbidden", "rejected")])
async def test_a_rejected_row_fails_at_once_and_alone(folder: RunFolder, kind: str, code: str) -> None:
    """A 403 is a rejection of the row once the server has answered."""
    folder.write_rows(3)
    with fast_simulator(script=["ok", kind]) as simulator:
        await folder.make_run(simulator.base_url).execute()
    assert (len(folder.answered_ids), list(folder.failure_codes.values())) == (2, [code])
    # A fourth tries the endpoint, if the others were answered while a smaller image was made for a 413.
    assert simulator.stats()["requests"] in ((3, 4) if kind == "too_large" else (3,))


async def test_prompts_that_are_too_long_fail_their_rows_and_keep_the_dialect(folder: RunFolder) -> None:
    """The trial of the endpoint has a short prompt, and is answered."""
    folder.write_rows(2)
    with fast_simulator(max_model_len=100) as simulator:
        summary = await folder.make_run(simulator.base_url, max_tokens=16).execute()
    assert set(folder.failure_codes.values()) == {"context_overflow"}
    assert summary.notes == ()


async def test_a_max_tokens_beyond_the_context_stops_the_run(folder: RunFolder) -> None:
    folder.write_rows(2)
    with fast_simulator(max_model_len=100) as simulator:
        run = folder.make_run(simulator.base_url, max_tokens=512)
        stop = await run_until_stopped(run)
    assert (stop.code, folder.is_empty) == ("rejected", True)
    assert run.pool.sessions[0].profile.describe_changes() == []


@pytest.mark.parametrize(("kind", "code"), [("payment", "no_credit"), ("forbidden", "forbidden")])
async def test_an_error_of_the_account_stops_the_run_at_once(folder: RunFolder, kind: str, code: str) -> None:
    folder.write_rows(5)
    with fast_simulator(script=[kind]) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url))
    assert (stop.code, stop.message.count("\n")) == (code, 0)
    assert folder.is_empty
    # A request whose image was just loaded may have been sent as well, but none that waited for a permit.
    assert simulator.stats()["requests"] <= 2


async def test_a_run_stopped_by_an_account_without_credit_is_resumed(folder: RunFolder) -> None:
    folder.write_rows(5)
    with fast_simulator(script=["ok", "ok", *["payment"] * 100]) as dry, fast_simulator() as topped_up:
        await run_until_stopped(folder.make_run(dry.base_url))
        summary = await folder.make_run(topped_up.base_url).execute()
    assert (summary.state, folder.answered_ids, folder.failure_codes) == ("finished", [0, 1, 2, 3, 4], {})
    assert (dry.stats()["answered"], topped_up.stats()["answered"]) == (2, 3)


async def test_no_server_at_the_start_stops_the_run(folder: RunFolder) -> None:
    folder.write_rows(1)
    port = free_port()
    stop = await run_until_stopped(folder.make_run(f"http://127.0.0.1:{port}/v1"))
    assert stop.code == "no_connection_refused"
    assert f"http://127.0.0.1:{port}/v1" in stop.message
    assert folder.is_empty


@pytest.mark.parametrize("shape", ["vllm", "hosted"])
@pytest.mark.parametrize("key", ["wrong", None])
async def test_a_wrong_key_stops_the_run(folder: RunFolder, shape: str, key: str | None) -> None:
    folder.write_rows(1)
    with fast_simulator(api_key="right", shape=shape) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url, key=key or ()))
    assert stop.code == "wrong_key"
    assert "--api-key-env" in stop.message
    assert folder.is_empty
    assert simulator.stats()["requests"] == 0


@pytest.mark.parametrize("shape", ["vllm", "hosted"])
async def test_an_unknown_model_stops_the_run(folder: RunFolder, shape: str) -> None:
    folder.write_rows(1)
    with fast_simulator(shape=shape) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url, model="gpt-0"))
    assert stop.code == "unknown_model"
    assert "'gpt-0'" in stop.message
    assert "--model" in stop.message
    assert folder.is_empty


@pytest.mark.parametrize("shape", ["vllm", "hosted"])
async def test_a_url_without_v1_is_corrected(folder: RunFolder, shape: str) -> None:
    folder.write_rows(1)
    with fast_simulator(shape=shape) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url.removesuffix("/v1")))
    assert stop.code == "wrong_url"
    assert f"--base-url {simulator.base_url}" in stop.message
    assert folder.is_empty


async def test_a_url_without_an_api_stops_the_run(folder: RunFolder) -> None:
    folder.write_rows(1)
    with fast_simulator() as simulator:
        stop = await run_until_stopped(folder.make_run(f"{simulator.base_url}/elsewhere"))
    assert stop.code == "wrong_url"
    assert "--base-url" in stop.message
    assert folder.is_empty


async def test_the_same_rejection_of_all_rows_stops_the_run(folder: RunFolder) -> None:
    folder.write_rows(30)
    with fast_simulator(faults={"too_large": 1.0}) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url))
    assert stop.code == "too_large"
    assert folder.is_empty
    assert simulator.stats()["requests"] <= 60  # some of them with smaller images


async def test_rejections_before_an_answer_fail_their_rows(folder: RunFolder) -> None:
    folder.write_rows(30)
    with fast_simulator(script=["unprocessable"] * 7) as simulator:
        await folder.make_run(simulator.base_url).execute()
    # Rows of a streak get one more attempt if an answered trial ends it.
    assert folder.failure_codes.items() <= dict.fromkeys(range(7), "rejected").items()
    assert len(folder.answered_ids) + len(folder.failure_codes) == 30


HOSTED = ("max_tokens is sent as max_completion_tokens", "temperature is left out: the server refuses it")


@pytest.mark.parametrize(("probes", "concurrency"), [(False, 1), (True, 1), (True, 8)])
async def test_a_dialect_is_learnt_once_in_a_run(folder: RunFolder, probes: bool, concurrency: int) -> None:
    """Also if several requests in flight get the same refusal."""
    folder.write_rows(12)
    with fast_simulator(shape="hosted", reject=("seed",), latency=0.002) as simulator:
        run = folder.make_run(
            simulator.base_url, probes=probes, extra_body={"top_k": 5}, concurrency=concurrency, max_attempts=1
        )
        summary = await run.execute()
    assert (len(folder.answered_ids), folder.failure_codes) == (12, {})
    dropped = [f"{name} is left out: the server refuses it" for name in ("seed", "temperature", "top_k")]
    assert list(summary.notes) == [HOSTED[0], *dropped]
    if not probes:
        stats = simulator.stats()
        assert (stats["by_status"]["400"], stats["answered"]) == (4, 12)


async def test_concurrent_requests_learn_a_dialect_with_one_refusal_each(folder: RunFolder) -> None:
    folder.write_rows(8)
    with fast_simulator(shape="hosted", latency=0.01) as simulator:
        summary = await folder.make_run(simulator.base_url, concurrency=8, max_attempts=1).execute()
    assert (len(folder.answered_ids), folder.failure_codes, summary.notes) == (8, {}, HOSTED)
    assert simulator.stats()["by_status"]["400"] <= 8 * len(HOSTED)


async def wait_for_answers(run: Run, answered: int) -> None:
    """Waits for this number of answers."""
    while run.pool.sessions[0].traffic.answered < answered:
        await asyncio.sleep(0.001)


async def test_a_server_that_restarts_costs_no_row(folder: RunFolder) -> None:
    folder.write_rows(60)
    first = Simulator(SimSettings(latency=0.005))
    run = folder.make_run(first.base_url, concurrency=4)
    going = asyncio.create_task(run.execute())
    await wait_for_answers(run, 10)
    await asyncio.to_thread(first.close)
    while run.pool.sessions[0].outage.reason is None:
        await asyncio.sleep(0.001)
    assert not going.done()
    with fast_simulator(port=first.port) as second:
        summary = await asyncio.wait_for(going, TEST_TIMEOUT)
    assert (summary.state, folder.answered_ids, folder.failure_codes) == ("finished", list(range(60)), {})
    assert first.stats()["answered"] + second.stats()["answered"] <= 60 + 4


async def run_until_outage_stops_it(folder: RunFolder, count: int, **limits: Any) -> tuple[RunStopped, Simulator]:
    """A run whose server is closed for good after ten answers."""
    folder.write_rows(count)
    simulator = Simulator(SimSettings(latency=0.005))
    run = folder.make_run(simulator.base_url, max_outage=0.1, **limits)
    going = asyncio.create_task(run.execute())
    await wait_for_answers(run, 10)
    await asyncio.to_thread(simulator.close)
    with pytest.raises(RunStopped) as caught:
        await asyncio.wait_for(going, TEST_TIMEOUT)
    return caught.value, simulator


async def test_a_run_stopped_by_an_outage_is_resumed(folder: RunFolder) -> None:
    stop, first = await run_until_outage_stops_it(folder, 60, concurrency=4)
    assert stop.code == "server_away"
    assert "--max-outage 0.1" in stop.message
    assert not folder.read_lines("out.failed.jsonl")
    assert not folder.read_lines("out.failed.jsonl.partial")
    with fast_simulator() as second:
        summary: Summary = await folder.make_run(second.base_url, concurrency=4).execute()
    assert (summary.state, folder.answered_ids, folder.failure_codes) == ("finished", list(range(60)), {})
    assert 60 <= first.stats()["answered"] + second.stats()["answered"] <= 60 + 4


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"engine_dead": 1.0}, id="a dead engine"),
        pytest.param({"503": 1.0}, id="only 503"),
        pytest.param({"429": 1.0}, id="only 429"),
        pytest.param({"429": 0.3, "503": 0.3, "408": 0.2, "425": 0.2}, id="refusals of all kinds"),
    ],
)
async def test_a_server_that_refuses_everything_stops_the_run_and_fails_no_row(
    folder: RunFolder, faults: dict[str, float]
) -> None:
    folder.write_rows(30)
    with fast_simulator(faults=faults, script=["ok", "ok"]) as simulator:
        stop = await run_until_stopped(folder.make_run(simulator.base_url, max_outage=0.1, concurrency=4))
        answered = simulator.stats()["answered"]
    assert stop.code == "server_away"
    assert not folder.read_lines("out.failed.jsonl")
    assert not folder.read_lines("out.failed.jsonl.partial")
    with fast_simulator() as simulator:
        await folder.make_run(simulator.base_url).execute()
    assert (folder.answered_ids, folder.failure_codes) == (list(range(30)), {})
    assert answered + simulator.stats()["answered"] == 30


async def test_no_requests_are_sent_to_a_dead_engine(folder: RunFolder) -> None:
    folder.write_rows(30)
    with fast_simulator(script=["ok", "engine_dead"]) as simulator:
        await run_until_stopped(folder.make_run(simulator.base_url, max_outage=0.1, concurrency=4))
    stats = simulator.stats()
    assert 1 <= stats["requests"] - stats["answered"] <= 4  # those in flight when the engine died


async def test_a_mixture_of_transient_errors_fails_no_row(folder: RunFolder) -> None:
    folder.write_rows(150)
    faults = dict.fromkeys(["429", "503", "500", "502_html", "520", "reset", "cut_body", "invalid_json"], 0.04)
    with fast_simulator(faults=faults, retry_after=0.005, fault_seed=1) as simulator:
        await folder.make_run(simulator.base_url, concurrency=16, max_attempts=12).execute()
    assert (folder.answered_ids, folder.failure_codes) == (list(range(150)), {})
    assert simulator.stats()["answered"] <= 150 + sum(simulator.stats()["by_fault"].values())
    assert simulator.stats()["by_fault"].keys() == faults.keys()

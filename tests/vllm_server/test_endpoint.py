"""The endpoint of a server: its key, and the error of requests after the server has ended."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from persqa_client import Limits, PersQAClient, ServerFailed, SettingsError, VLLMServer, generate
from tests.vllm_server.processes import MARK, fake_vllm, find_marked

# Seconds; no test waits so long.
LONG_OUTAGE = 3600.0


def make(mark: str, *, sim: str = "--latency 0", key: str = "") -> VLLMServer:
    return VLLMServer(
        "some/model",
        vllm_command=fake_vllm("sim"),
        extra_args=[f"--sim={sim}"],
        env={MARK: mark, "VLLM_API_KEY": key},
    )


@pytest.fixture
def red(tmp_path: Path) -> str:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


def count_answered(server: VLLMServer) -> int:
    with urllib.request.urlopen(f"{server.endpoint.root_url}/sim/stats", timeout=10) as reply:
        return int(json.load(reply)["answered"])


def kill_after(server: VLLMServer, count: int) -> None:
    while count_answered(server) < count:
        time.sleep(0.01)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def test_the_servers_key_is_sent(mark: str, red: str) -> None:
    with make(mark, key="sk-own") as server:
        assert generate([red], endpoint=server.endpoint).tally.succeeded == 1
        assert "sk-own" not in repr(server.endpoint)


def test_an_invalid_key_is_reported_before_the_start(mark: str) -> None:
    with pytest.raises(SettingsError, match="VLLM_API_KEY"):
        make(mark, key="a b").start()
    assert not find_marked(mark)


def test_a_whole_run_ends_with_its_server(mark: str, red: str) -> None:
    with make(mark, sim="--latency 0.05 --slots 4") as server:
        killer = threading.Thread(target=kill_after, args=(server, 20))
        killer.start()
        rows = [{"image": red, "n": number} for number in range(400)]
        with pytest.raises(ServerFailed, match="was ended by SIGKILL"):
            generate(rows, endpoint=server.endpoint, probes=False, concurrency=4, max_outage=LONG_OUTAGE)
        killer.join()
        log = server.log_path
    assert not find_marked(mark)
    assert log is not None
    log.unlink()


async def test_a_request_to_a_stopped_server_fails_at_once(mark: str, red: str) -> None:
    with make(mark) as server:
        client = PersQAClient(server.endpoint, limits=Limits(max_outage=LONG_OUTAGE))
        await client.open()
        await client.ask(red)
    try:
        with pytest.raises(ServerFailed, match="some/model was stopped"):
            await client.ask(red)
    finally:
        await client.aclose()


@pytest.mark.slow
def test_the_endpoint_of_an_earlier_start_fails_at_once(mark: str, red: str) -> None:
    server = make(mark)
    with server:
        old = server.endpoint
    with server:
        with pytest.raises(ServerFailed, match="some/model was stopped"):
            generate([red], endpoint=old)
        assert generate([red], endpoint=server.endpoint).tally.succeeded == 1

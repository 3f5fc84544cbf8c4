"""Starting and stopping a simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import httpx
import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.server import banner, run_simulator, serve
from persqa_client.simulator.settings import SimSettings
from tests.simulator.asking import asking, body


async def until(fact: Callable[[], bool]) -> None:
    """Wait for what happens in another thread."""
    for _ in range(1000):
        if fact():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("this never came to be")


def test_a_server_goes_away_and_comes_back_on_its_port() -> None:
    with asking() as ask:
        port = ask.server.port
        assert ask.post().status_code == 200
        ask.server.close()
        with pytest.raises(httpx.TransportError):
            ask.post()
        with run_simulator(SimSettings(latency=0), port=port) as back:
            assert back.base_url == f"http://127.0.0.1:{port}/v1"
            assert ask.post().status_code == 200
            assert back.stats()["answered"] == ask.server.stats()["answered"] == 1


def test_closing_twice_is_closing_once() -> None:
    with run_simulator(SimSettings()) as server:
        server.close()
        server.close()
    assert not server.thread.is_alive()


async def test_closing_drops_requests_under_way() -> None:
    with run_simulator(SimSettings(latency=60)) as server:
        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(session.post(f"{server.base_url}/chat/completions", json=body()))
            await until(lambda: server.stats()["in_flight"] == 1)
            # Far less than the request has still to go.
            await asyncio.wait_for(asyncio.to_thread(server.close), timeout=5)
            with pytest.raises(aiohttp.ClientError):
                await request
    assert not server.thread.is_alive()


def test_a_taken_port_is_explained() -> None:
    with (
        run_simulator(SimSettings()) as server,
        pytest.raises(SettingsError, match=f"listen on 127.0.0.1 port {server.port}"),
        run_simulator(SimSettings(), port=server.port),
    ):
        pass


def test_the_banner_says_what_it_is() -> None:
    text = banner(SimSettings(models=("a", "b"), faults={"503": 0.05}), "127.0.0.1", 8000)
    assert "simulator" in text
    assert "http://127.0.0.1:8000/v1 as a, b (vllm shape)" in text
    assert "503 0.05" in text


async def test_serving_in_the_foreground_says_its_port() -> None:
    said: list[str] = []
    listening = asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        listening.set()

    task = asyncio.create_task(serve(SimSettings(), "127.0.0.1", 0, say))
    await listening.wait()
    port = int(said[0].partition("127.0.0.1:")[2].partition("/")[0])
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as response:
        assert response.status == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

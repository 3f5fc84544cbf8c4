"""Starting and stopping a simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import httpx
import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.server import format_banner, run_simulator, serve_until_signal
from persqa_client.simulator.settings import SimSettings
from tests.simulator.requests import chat_body, connect


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the condition never came true")


def test_a_closed_server_can_be_restarted_on_its_port() -> None:
    with connect() as client:
        port = client.server.port
        assert client.post().status_code == 200
        client.server.close()
        with pytest.raises(httpx.TransportError):
            client.post()
        with run_simulator(SimSettings(latency=0), port=port) as restarted:
            assert restarted.base_url == f"http://127.0.0.1:{port}/v1"
            assert client.post().status_code == 200
            assert restarted.stats()["answered"] == client.server.stats()["answered"] == 1


def test_close_may_be_called_twice() -> None:
    with run_simulator(SimSettings()) as server:
        server.close()
        server.close()
    assert not server.thread.is_alive()


async def test_closing_drops_requests_in_progress() -> None:
    with run_simulator(SimSettings(latency=60)) as server:
        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(session.post(f"{server.base_url}/chat/completions", json=chat_body()))
            await wait_until(lambda: server.stats()["in_flight"] == 1)
            # Far less than the latency.
            await asyncio.wait_for(asyncio.to_thread(server.close), timeout=5)
            with pytest.raises(aiohttp.ClientError):
                await request
    assert not server.thread.is_alive()


def test_a_port_in_use_is_reported() -> None:
    with (
        run_simulator(SimSettings()) as server,
        pytest.raises(SettingsError, match=f"listen on 127.0.0.1 port {server.port}"),
        run_simulator(SimSettings(), port=server.port),
    ):
        pass


def test_the_banner_describes_the_simulator() -> None:
    text = format_banner(SimSettings(models=("a", "b"), faults={"503": 0.05}), "127.0.0.1", 8000)
    assert "simulator" in text
    assert "http://127.0.0.1:8000/v1 as a, b (vllm shape)" in text
    assert "503 0.05" in text


async def test_serving_in_the_foreground_prints_the_address() -> None:
    printed: list[str] = []
    listening = asyncio.Event()

    def echo(text: str) -> None:
        printed.append(text)
        listening.set()

    task = asyncio.create_task(serve_until_signal(SimSettings(), "127.0.0.1", 0, echo))
    await listening.wait()
    port = int(printed[0].partition("127.0.0.1:")[2].partition("/")[0])
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as response:
        assert response.status == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

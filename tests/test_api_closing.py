"""A client that is left early: nothing is left that runs, or that complains when the event loop ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from persqa_client import Endpoint, Limits, PersQAClient, stream
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.02, slots=100)) as server:
        yield server


@pytest.fixture
def settings(simulator: Simulator) -> dict[str, Any]:
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    return {"endpoint": endpoint, "limits": Limits(concurrency=4)}


@pytest.fixture
def red(tmp_path: Path) -> str:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


class Left(Exception):
    """Raised by a caller in the middle of its work."""


async def break_out_of_a_stream(red: str, settings: dict[str, Any]) -> None:
    async for _ in stream([red] * 100, **settings):
        break


async def raise_beside_a_stream_that_is_held(red: str, settings: dict[str, Any]) -> None:
    rows = stream([red] * 100, **settings)
    async for _ in rows:
        raise Left


HELD: list[AsyncGenerator[Any, None]] = []


async def hold_a_stream_beyond_the_loop(red: str, settings: dict[str, Any]) -> None:
    HELD.append(stream([red] * 100, **settings))
    await anext(HELD[-1])


async def hold_a_stream_beyond_its_client(red: str, settings: dict[str, Any]) -> None:
    async with PersQAClient(**settings) as client:
        HELD.append(client.stream([red] * 100))
        await anext(HELD[-1])
    await left_tasks_end(now=True)


async def raise_in_a_client_with_a_stream(red: str, settings: dict[str, Any]) -> None:
    async with PersQAClient(**settings) as client:
        async for _ in client.stream([red] * 100):
            raise Left


async def leave_questions_behind(red: str, settings: dict[str, Any]) -> None:
    async with PersQAClient(**settings, probes=False) as client:
        tasks = [asyncio.create_task(client.ask(red)) for _ in range(10)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(tasks)
    await left_tasks_end(now=True)
    assert any(task.cancelled() for task in tasks)


async def leave_the_probes_behind(red: str, settings: dict[str, Any]) -> None:
    async with PersQAClient(**settings) as client:
        task = asyncio.create_task(client.ask(red))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client._probing is not None
        task.cancel()
        await asyncio.wait([task])
    await left_tasks_end(now=True)


async def close_beside_another_task(red: str, settings: dict[str, Any]) -> None:
    async with PersQAClient(**settings, probes=False) as client:
        rows = client.stream([red] * 100)
        await anext(rows)
        other = asyncio.create_task(rest_of(rows))
        await asyncio.sleep(0)
    assert len(await other) < 99
    await left_tasks_end(now=True)


async def rest_of(rows: AsyncGenerator[Any, None]) -> list[Any]:
    return [row async for row in rows]


async def left_tasks_end(*, now: bool = False) -> None:
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        assert not now, left
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "leave",
    [
        break_out_of_a_stream,
        raise_beside_a_stream_that_is_held,
        hold_a_stream_beyond_the_loop,
        hold_a_stream_beyond_its_client,
        raise_in_a_client_with_a_stream,
        leave_questions_behind,
        leave_the_probes_behind,
        close_beside_another_task,
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("goes_on", [False, True], ids=["the loop ends", "the loop goes on"])
def test_nothing_is_left_of_a_client(
    leave: Callable[[str, dict[str, Any]], Awaitable[None]], red: str, settings: dict[str, Any], goes_on: bool
) -> None:
    """Warnings about unclosed connections are errors here."""
    complaints: list[dict[str, Any]] = []
    gc.freeze()  # what exists before is not looked at again

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        with contextlib.suppress(Left):
            await leave(red, settings)
        if goes_on and leave is not hold_a_stream_beyond_the_loop:
            gc.collect()
            await left_tasks_end()

    try:
        asyncio.run(main())
        HELD.clear()
        gc.collect()
    finally:
        gc.unfreeze()
    assert complaints == []


async def test_a_closed_client_says_so(red: str, settings: dict[str, Any]) -> None:
    client = PersQAClient(**settings, probes=False)
    await client.aclose()
    with pytest.raises(RuntimeError, match="The client is closed"):
        await client.ask(red)


async def test_a_given_http_client_is_not_closed(red: str, settings: dict[str, Any]) -> None:
    async with httpx2.AsyncClient(trust_env=False) as own:
        for _ in range(2):
            async with PersQAClient(**settings, probes=False, http_client=own) as client:
                assert (await client.ask(red)).answer.startswith("<mam> ")
            assert not own.is_closed


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(red: str, tmp_path: Path) -> None:
    with run_simulator(SimSettings(latency=0.05, slots=4)) as server:
        code = (
            "import asyncio\n"
            "from persqa_client import Endpoint, stream\n"
            "async def main():\n"
            f"    endpoint = Endpoint(base_url={server.base_url!r}, model='persqa-simulator')\n"
            f"    rows = stream([{red!r}] * 400, endpoint)\n"
            "    async for row, outcome in rows: pass\n"
            "try: asyncio.run(main())\n"
            "except KeyboardInterrupt: print('stopped')\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while server.stats()["answered"] < 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert output == "stopped\n", errors
    # In its debug mode, asyncio reports steps that take 0.1 s or more.
    assert [line for line in errors.splitlines() if not line.startswith("Executing <")] == []

"""A simulator under load: slots, queue, link, and clients that disconnect."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest

from persqa_client.simulator.app import STATE
from persqa_client.simulator.chat import QueueFull, SharedLink, Slots
from persqa_client.simulator.server import Simulator, run_simulator
from persqa_client.simulator.settings import SimSettings
from tests.simulator.requests import chat_body


async def burst(server: Simulator, count: int) -> Counter[int]:
    """Send ``count`` requests at once, and count the statuses."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def post(number: int) -> int:
            url = f"{server.base_url}/chat/completions"
            async with session.post(url, json=chat_body(seed=number)) as response:
                await response.read()
                return response.status

        return Counter(await asyncio.gather(*(post(number) for number in range(count))))


async def test_requests_beyond_the_slots_wait_for_their_turn() -> None:
    with run_simulator(SimSettings(latency=0.02, slots=4)) as server:
        assert await burst(server, 20) == {200: 20}
        stats = server.stats()
    assert stats["max_in_flight"] > 4
    assert (stats["answered"], stats["in_flight"]) == (20, 0)


async def test_requests_beyond_the_queue_are_rejected() -> None:
    with run_simulator(SimSettings(latency=0.2, slots=2, max_queued=3)) as server:
        statuses = await burst(server, 20)
        stats = server.stats()
    assert statuses == {200: 5, 503: 15}
    assert (stats["admission_rejections"], stats["refused"], stats["by_fault"]) == (15, 15, {})


async def test_a_disconnected_client_gives_its_slot_back() -> None:
    with run_simulator(SimSettings(latency=30, slots=1)) as server:
        async with aiohttp.ClientSession() as session:
            url = f"{server.base_url}/chat/completions"
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await session.post(url, json=chat_body(), timeout=aiohttp.ClientTimeout(total=0.1))
            root = server.base_url.removesuffix("/v1")
            for _ in range(100):
                async with session.get(f"{root}/sim/stats") as response:
                    if (await response.json())["in_flight"] == 0:
                        break
                await asyncio.sleep(0.01)
            async with session.get(f"{root}/metrics") as response:
                metrics = await response.text()
        assert server.stats()["in_flight"] == 0
    assert 'num_requests_running{engine="0",model_name="persqa-simulator"} 0.0' in metrics
    assert 'num_requests_waiting{engine="0",model_name="persqa-simulator"} 0.0' in metrics


async def test_a_full_queue_rejects_and_an_empty_one_accepts_again() -> None:
    slots = Slots(1, max_queued=0)
    async with slots.hold():
        assert (slots.running, slots.waiting) == (1, 0)
        with pytest.raises(QueueFull):
            async with slots.hold():
                pass
    async with slots.hold():
        assert slots.running == 1
    assert (slots.running, slots.waiting) == (0, 0)


async def test_more_slots_wake_the_queue_and_fewer_interrupt_nothing() -> None:
    slots, inside, go = Slots(1), list[int](), asyncio.Event()

    async def request(number: int) -> None:
        async with slots.hold():
            inside.append(number)
            await go.wait()

    tasks = [asyncio.create_task(request(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert (inside, slots.running, slots.waiting) == ([0], 1, 4)
    slots.resize(3)
    await asyncio.sleep(0)
    assert (inside, slots.running, slots.waiting) == ([0, 1, 2], 3, 2)
    slots.resize(1)
    await asyncio.sleep(0)
    assert (slots.running, slots.waiting) == (3, 2)
    go.set()
    await asyncio.gather(*tasks)
    assert (inside, slots.running, slots.waiting) == ([0, 1, 2, 3, 4], 0, 0)


async def test_a_cancelled_wait_makes_room_for_the_next() -> None:
    slots = Slots(1)
    async with slots.hold():
        cancelled, stays = asyncio.create_task(slots.acquire()), asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert slots.waiting == 1
    await stays
    assert (slots.running, slots.waiting) == (1, 0)


async def test_a_wait_cancelled_as_its_turn_comes_passes_the_slot_on() -> None:
    slots = Slots(1)
    async with slots.hold():
        cancelled, stays = asyncio.create_task(slots.acquire()), asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
    cancelled.cancel()
    await stays
    assert (slots.running, slots.waiting) == (1, 0)


async def test_slots_change_at_their_time_after_the_first_request() -> None:
    with run_simulator(SimSettings(latency=0.05, slots=1, slots_at={0.2: 4, 0.0: 2})) as server:
        await burst(server, 1)
        for _ in range(400):
            if server.app[STATE].slots.size == 4:
                break
            await asyncio.sleep(0.01)
        assert server.app[STATE].slots.size == 4
        assert await burst(server, 8) == {200: 8}


def test_pieces_pass_a_shared_link_one_after_the_other() -> None:
    link = SharedLink(mbps=8)  # 1,000,000 bytes/s
    assert link.reserve(500_000, now=10.0) == pytest.approx(0.5)
    assert link.reserve(500_000, now=10.0) == pytest.approx(1.0)
    assert link.reserve(500_000, now=10.9) == pytest.approx(0.6)
    assert link.reserve(500_000, now=99.0) == pytest.approx(0.5)


async def test_bodies_arrive_complete_over_a_link() -> None:
    sizes = []
    for mbps in (None, 100.0):
        with run_simulator(SimSettings(latency=0, link_mbps=mbps)) as server:
            assert await burst(server, 10) == {200: 10}
            sizes.append(server.stats()["bytes_in"])
    assert sizes[0] == sizes[1] > 10 * 100

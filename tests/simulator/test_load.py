"""A simulator under load: slots, queue, link, and clients that go away."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest

from persqa_client.simulator.app import ENDPOINT
from persqa_client.simulator.capacity import Link, QueueFull, Slots
from persqa_client.simulator.server import Simulator, run_simulator
from persqa_client.simulator.settings import SimSettings
from tests.simulator.asking import body


async def burst(server: Simulator, count: int) -> Counter[int]:
    """Send so many requests at once; gives how often each status came."""
    patience = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=patience) as session:

        async def one(number: int) -> int:
            url = f"{server.base_url}/chat/completions"
            async with session.post(url, json=body(seed=number)) as response:
                await response.read()
                return response.status

        return Counter(await asyncio.gather(*(one(number) for number in range(count))))


async def test_requests_beyond_the_slots_wait_for_their_turn() -> None:
    with run_simulator(SimSettings(latency=0.02, slots=4)) as server:
        assert await burst(server, 20) == {200: 20}
        stats = server.stats()
    assert stats["max_in_flight"] > 4
    assert (stats["answered"], stats["in_flight"]) == (20, 0)


async def test_requests_beyond_the_queue_are_refused_as_vllm_does() -> None:
    with run_simulator(SimSettings(latency=0.2, slots=2, max_queued=3)) as server:
        seen = await burst(server, 20)
        stats = server.stats()
    assert seen == {200: 5, 503: 15}
    assert (stats["admission_rejections"], stats["refused"], stats["by_fault"]) == (15, 15, {})


async def test_a_client_that_goes_gives_its_slot_back() -> None:
    with run_simulator(SimSettings(latency=30, slots=1)) as server:
        async with aiohttp.ClientSession() as session:
            url = f"{server.base_url}/chat/completions"
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await session.post(url, json=body(), timeout=aiohttp.ClientTimeout(total=0.1))
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


async def test_a_full_queue_refuses_and_an_empty_one_admits_again() -> None:
    slots = Slots(1, max_queued=0)
    async with slots.hold():
        assert (slots.running, slots.waiting) == (1, 0)
        with pytest.raises(QueueFull):
            async with slots.hold():
                pass
    async with slots.hold():
        assert slots.running == 1
    assert (slots.running, slots.waiting) == (0, 0)


async def test_slots_that_come_let_the_queue_in_and_slots_that_go_are_not_taken_away() -> None:
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


async def test_who_leaves_the_queue_makes_room_for_the_next() -> None:
    slots = Slots(1)
    async with slots.hold():
        gone, stays = asyncio.create_task(slots.enter()), asyncio.create_task(slots.enter())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert slots.waiting == 1
    await stays
    assert (slots.running, slots.waiting) == (1, 0)


async def test_who_leaves_just_as_its_turn_comes_passes_it_on() -> None:
    slots = Slots(1)
    async with slots.hold():
        gone, stays = asyncio.create_task(slots.enter()), asyncio.create_task(slots.enter())
        await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert (slots.running, slots.waiting) == (1, 0)


async def test_slots_change_at_their_time_after_the_first_request() -> None:
    with run_simulator(SimSettings(latency=0.05, slots=1, slots_at={0.2: 4, 0.0: 2})) as server:
        await burst(server, 1)
        for _ in range(400):
            if server.app[ENDPOINT].slots.size == 4:
                break
            await asyncio.sleep(0.01)
        assert server.app[ENDPOINT].slots.size == 4
        assert await burst(server, 8) == {200: 8}


def test_pieces_pass_the_link_one_after_the_other() -> None:
    link = Link(mbps=8)  # a million bytes a second
    assert link.book(500_000, now=10.0) == pytest.approx(0.5)
    assert link.book(500_000, now=10.0) == pytest.approx(1.0)
    assert link.book(500_000, now=10.9) == pytest.approx(0.6)
    assert link.book(500_000, now=99.0) == pytest.approx(0.5)


async def test_bodies_arrive_whole_over_a_link() -> None:
    sizes = []
    for mbps in (None, 100.0):
        with run_simulator(SimSettings(latency=0, link_mbps=mbps)) as server:
            assert await burst(server, 10) == {200: 10}
            sizes.append(server.stats()["bytes_in"])
    assert sizes[0] == sizes[1] > 10 * 100

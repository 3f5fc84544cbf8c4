"""The gate that shuts while a server is away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from persqa_client.client.retry import Backoff
from persqa_client.endpoints.outage import OutageGate
from persqa_client.errors import Interrupted, RunStopped
from persqa_client.limits.concurrency import ConcurrencyLimit

QUICK = Backoff(initial=0.005, maximum=0.01)


class Server:
    """Counts how often it is asked, and is back after ``away`` questions."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = 0

    async def alive(self) -> bool:
        self.asked += 1
        return self.asked > self.away


class Gate(OutageGate):
    """An outage with its server and admission at hand."""

    def __init__(self, away: int, *, max_outage: float = 60.0, probes: Backoff = QUICK, patience: float = 5.0) -> None:
        self.server = Server(away)
        self.concurrency_limit = ConcurrencyLimit(4)
        super().__init__(
            self.server.alive, self.concurrency_limit, max_outage=max_outage, probes=probes, patience=patience
        )


@pytest_asyncio.fixture
async def lasting() -> AsyncIterator[Gate]:
    """A server that does not come back."""
    gate = Gate(10_000)
    yield gate
    await gate.aclose()


async def test_the_way_is_free_at_first() -> None:
    gate = Gate(0)
    await gate.passed()
    assert (gate.closed, gate.reason, gate.quiet) == (False, None, True)


async def test_each_outage_leaves_fewer_slots() -> None:
    gate, slots = Gate(away=0), list[int]()
    for _ in range(3):
        gate.begin("It went away.")
        gate.begin("It went away.")
        slots.append(gate.concurrency_limit.permits)
        await gate.passed()
        gate.server.asked = 0
    assert slots == [3, 2, 1]


async def test_the_gate_opens_when_a_probe_finds_the_server_back() -> None:
    gate = Gate(away=3)
    gate.begin("It went away.")
    assert (gate.closed, gate.reason) == (True, "It went away.")
    await asyncio.gather(*(gate.passed() for _ in range(10)))
    assert (gate.closed, gate.reason, gate.server.asked) == (False, None, 4)


async def test_many_who_notice_it_cause_one_probe(lasting: Gate) -> None:
    for _ in range(50):
        lasting.begin("It went away.")
    waiting = asyncio.create_task(lasting.passed())
    await asyncio.sleep(0.03)
    assert 1 <= lasting.server.asked <= 6
    waiting.cancel()


async def test_a_waiter_that_is_cancelled_leaves_the_probe_going() -> None:
    gate = Gate(away=3)
    gate.begin("It went away.")
    gone = asyncio.create_task(gate.passed())
    await asyncio.sleep(0)
    gone.cancel()
    await gate.passed()
    assert gate.server.asked == 4


async def test_an_outage_that_lasts_too_long_stops_the_run_for_all_who_wait() -> None:
    gate = Gate(away=200, max_outage=0.03)
    gate.begin("It went away.")
    ends = await asyncio.gather(*(gate.passed() for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [RunStopped] * 3
    stop = ends[0]
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"
    assert "--max-outage 0.03" in stop.message
    assert "It went away." in stop.message
    assert "give the same command again" in stop.message


async def test_trouble_counts_from_its_beginning_and_not_from_the_last_refusal() -> None:
    gate = Gate(0, max_outage=0.02)

    async def bear(refusals: int) -> None:
        for _ in range(refusals):
            gate.trouble("Busy.")
            await asyncio.sleep(0.005)

    with pytest.raises(RunStopped):
        await bear(100)


async def test_an_answer_ends_the_trouble() -> None:
    gate = Gate(0, max_outage=0.02)
    quiet = list[bool]()
    for _ in range(10):
        gate.trouble("Busy.")
        quiet.append(gate.quiet)
        gate.over()
        quiet.append(gate.quiet)
        await asyncio.sleep(0.005)
    assert quiet == [False, True] * 10


async def test_stopping_the_run_frees_who_waits_for_the_server(lasting: Gate) -> None:
    lasting.begin("It went away.")
    waiting = asyncio.create_task(lasting.passed())
    await asyncio.sleep(0)
    lasting.concurrency_limit.close()
    with pytest.raises(Interrupted):
        await waiting
    assert not lasting.closed


async def test_closing_ends_the_probe(lasting: Gate) -> None:
    lasting.begin("It went away.")
    await lasting.aclose()
    assert not lasting.closed


async def test_no_probe_begins_once_the_run_is_being_stopped(lasting: Gate) -> None:
    lasting.concurrency_limit.close()
    with pytest.raises(Interrupted):
        lasting.begin("It went away.")
    assert not lasting.closed


async def until_probed(gate: Gate) -> None:
    while gate.reason is not None:
        await asyncio.sleep(0.001)


async def test_a_stop_that_nobody_waited_for_reaches_the_next_one() -> None:
    gate = Gate(away=200, max_outage=0.01)
    gate.begin("It went away.")
    await until_probed(gate)
    for _ in range(2):
        with pytest.raises(RunStopped):
            await gate.passed()
    assert gate.closed
    gate.over()
    await gate.passed()


async def test_a_probe_that_nobody_waited_for_ends_without_a_complaint(lasting: Gate) -> None:
    complaints = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context["message"])))
    lasting.begin("It went away.")
    await asyncio.sleep(0)
    lasting.concurrency_limit.close()
    await until_probed(lasting)
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


async def test_a_dead_health_explains_a_failure_and_shuts_the_gate(lasting: Gate) -> None:
    assert await lasting.explains("The way broke.")
    assert (lasting.closed, lasting.reason) == (True, "The way broke.")


async def test_a_server_that_calls_itself_well_explains_none_until_patience_is_over() -> None:
    gate = Gate(0)
    gate.pressed("The way broke.")
    assert not await gate.explains("The way broke.")
    assert not gate.closed
    lasting = Gate(0, patience=0.01)
    lasting.trouble("The way broke.")
    await asyncio.sleep(0.02)
    assert await lasting.explains("The way broke.")
    await lasting.passed()


async def test_those_who_ask_together_cause_one_question(lasting: Gate) -> None:
    assert all(await asyncio.gather(*(lasting.explains("The way broke.") for _ in range(9))))
    assert lasting.server.asked == 1


async def test_a_refusal_or_two_shut_no_gate() -> None:
    gate = Gate(0)
    for _ in range(100):
        gate.pressed("It is busy.")
    assert not gate.closed
    assert not gate.quiet


async def test_nothing_but_refusals_for_a_while_shut_it() -> None:
    gate = Gate(0, patience=0.0)
    gate.pressed("It is busy.")
    assert gate.closed
    await gate.passed()
    assert gate.server.asked == 1


async def test_an_answer_in_between_keeps_it_open() -> None:
    gate = Gate(0, patience=0.02)
    gate.pressed("It is busy.")
    await asyncio.sleep(0.03)
    gate.over()
    gate.pressed("It is busy.")
    assert not gate.closed


async def test_each_try_in_vain_makes_the_next_wait_longer_until_an_answer() -> None:
    """The server calls itself well each time, so the waits are all that protects it."""
    gate = Gate(0, patience=0.0)
    for _ in range(3):
        gate.pressed("It is busy.")
        await gate.passed()
    assert gate.tries == 3
    gate.over()
    assert gate.tries == 0

"""The outage gate: when it closes, how it probes, and when it stops the run."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import pytest
import pytest_asyncio

from persqa_client.client.retry import Backoff
from persqa_client.endpoints.outage import OutageGate
from persqa_client.errors import FailedOver, Interrupted, RunStopped, ServerFailed
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.task_groups import loop_time
from persqa_client.types import ErrorDecision, RetryAction
from tests.simulation.virtual_clock import run_virtually

FAST_BACKOFF = Backoff(initial=0.005, maximum=0.01)
NEVER = 10_000
REASON = "The engine has died."


class HealthCheck:
    """Counts its calls. The server is alive after ``failures`` calls."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def __call__(self) -> bool:
        self.calls += 1
        return self.calls > self.failures


class Gate(OutageGate):
    """An outage gate with its health check and concurrency limit as attributes."""

    def __init__(self, failures: int, *, max_outage: float = 60.0, patience: float = 5.0) -> None:
        self.health = HealthCheck(failures)
        self.concurrency_limit = ConcurrencyLimit(4)
        super().__init__(
            self.health, self.concurrency_limit, max_outage=max_outage, probe_backoff=FAST_BACKOFF, patience=patience
        )


@dataclass
class OtherEndpoints:
    """The other endpoints of a pool."""

    is_ready: bool = True
    can_outlast_outage: bool = True


@pytest_asyncio.fixture
async def dead() -> AsyncIterator[Gate]:
    """The gate of a server that never comes back."""
    gate = Gate(NEVER)
    yield gate
    await gate.aclose()


async def wait_until_probed(gate: Gate) -> None:
    """Waits for the end of the probing, without waiting at the gate."""
    while gate.reason is not None:
        await asyncio.sleep(0.001)


async def test_the_gate_is_open_at_first() -> None:
    gate = Gate(0)
    await gate.wait_until_open()
    assert (gate.closed, gate.reason, gate.healthy) == (False, None, True)


async def test_each_outage_lowers_the_concurrency() -> None:
    gate, permits = Gate(0), list[int]()
    for _ in range(3):
        gate.close(REASON)
        gate.close(REASON)
        permits.append(gate.concurrency_limit.permits)
        await gate.wait_until_open()
        gate.health.calls = 0
    assert permits == [3, 2, 1]


async def test_the_gate_opens_when_a_probe_succeeds() -> None:
    gate = Gate(3)
    gate.close(REASON)
    assert (gate.closed, gate.reason) == (True, REASON)
    await asyncio.gather(*(gate.wait_until_open() for _ in range(10)))
    assert (gate.closed, gate.reason, gate.health.calls) == (False, None, 4)


async def test_an_outage_that_many_requests_notice_is_probed_once(dead: Gate) -> None:
    for _ in range(50):
        dead.close(REASON)
    waiting = asyncio.create_task(dead.wait_until_open())
    await asyncio.sleep(0.03)
    assert 1 <= dead.health.calls <= 6
    waiting.cancel()


async def test_a_cancelled_waiter_does_not_cancel_the_probing() -> None:
    gate = Gate(3)
    gate.close(REASON)
    cancelled = asyncio.create_task(gate.wait_until_open())
    await asyncio.sleep(0)
    cancelled.cancel()
    await gate.wait_until_open()
    assert gate.health.calls == 4


async def test_an_outage_that_is_too_long_stops_the_run_for_all_waiters() -> None:
    gate = Gate(200, max_outage=0.03)
    gate.close(REASON)
    stops = await asyncio.gather(*(gate.wait_until_open() for _ in range(3)), return_exceptions=True)
    assert [type(stop) for stop in stops] == [RunStopped] * 3
    stop = stops[0]
    assert isinstance(stop, RunStopped)
    assert stop.code == "server_away"
    assert "--max-outage 0.03" in stop.message
    assert REASON in stop.message


async def test_other_endpoints_that_answer_let_an_outage_last() -> None:
    gate = Gate(10, max_outage=0.0)
    gate.close(REASON, OtherEndpoints())
    await gate.wait_until_open()
    with pytest.raises(RunStopped):
        gate.close(REASON, OtherEndpoints(can_outlast_outage=False))


async def test_with_failover_requests_that_wait_for_a_permit_are_handed_over(dead: Gate) -> None:
    limit = dead.concurrency_limit
    async with AsyncExitStack() as stack:
        for _ in range(limit.permits):
            await stack.enter_async_context(limit.permit(retry=False))
        waiting = asyncio.create_task(stack.enter_async_context(limit.permit(retry=False)))
        await asyncio.sleep(0)
        dead.close(REASON, OtherEndpoints())
        with pytest.raises(FailedOver):
            await waiting


async def test_trouble_is_counted_from_its_first_failure() -> None:
    gate = Gate(0, max_outage=0.02)

    async def refuse(times: int) -> None:
        for _ in range(times):
            gate.record_refusal("Busy.")
            await asyncio.sleep(0.005)

    with pytest.raises(RunStopped):
        await refuse(100)


async def test_an_answer_ends_the_trouble() -> None:
    gate = Gate(0, max_outage=0.02)
    healthy = list[bool]()
    for _ in range(10):
        gate.record_refusal("Busy.")
        healthy.append(gate.healthy)
        gate.record_answer()
        healthy.append(gate.healthy)
        await asyncio.sleep(0.005)
    assert healthy == [False, True] * 10


async def test_stopping_the_run_interrupts_waiters(dead: Gate) -> None:
    dead.close(REASON)
    waiting = asyncio.create_task(dead.wait_until_open())
    await asyncio.sleep(0)
    dead.concurrency_limit.close()
    with pytest.raises(Interrupted):
        await waiting
    assert not dead.closed


async def test_aclose_ends_the_probing(dead: Gate) -> None:
    dead.close(REASON)
    await dead.aclose()
    assert not dead.closed


async def test_no_probing_begins_while_the_run_is_being_stopped(dead: Gate) -> None:
    dead.concurrency_limit.close()
    with pytest.raises(Interrupted):
        dead.close(REASON)
    assert not dead.closed


async def test_a_stop_without_waiters_is_raised_to_the_next_one() -> None:
    gate = Gate(200, max_outage=0.01)
    gate.close(REASON)
    await wait_until_probed(gate)
    for _ in range(2):
        with pytest.raises(RunStopped):
            await gate.wait_until_open()
    assert gate.closed
    gate.record_answer()
    await gate.wait_until_open()


async def test_reset_opens_the_gate_after_a_stop_but_not_after_an_exit() -> None:
    gate = Gate(200, max_outage=0.01)
    gate.close(REASON)
    await wait_until_probed(gate)
    gate.reset()
    await gate.wait_until_open()
    exited = OutageGate(
        HealthCheck(0), ConcurrencyLimit(4), max_outage=60.0, exit_error=lambda: ServerFailed("server_died", "Exited.")
    )
    for _ in range(2):
        with pytest.raises(ServerFailed):
            exited.close(REASON)
        exited.reset()
        assert exited.closed


async def test_probing_without_waiters_ends_without_an_unhandled_exception(dead: Gate) -> None:
    unhandled = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(str(context["message"])))
    dead.close(REASON)
    await asyncio.sleep(0)
    dead.concurrency_limit.close()
    await wait_until_probed(dead)
    await asyncio.sleep(0)
    gc.collect()
    assert unhandled == []


async def test_a_failed_health_check_closes_the_gate(dead: Gate) -> None:
    assert await dead.check("The connection broke off.")
    assert (dead.closed, dead.reason) == (True, "The connection broke off.")


async def test_a_successful_health_check_keeps_it_open_until_patience_runs_out() -> None:
    gate = Gate(0)
    gate.record_refusal("The connection broke off.")
    assert not await gate.check("The connection broke off.")
    assert not gate.closed
    impatient = Gate(0, patience=0.01)
    impatient.record_refusal("The connection broke off.")
    await asyncio.sleep(0.02)
    assert await impatient.check("The connection broke off.")
    await impatient.wait_until_open()


async def test_concurrent_checks_share_one_health_check(dead: Gate) -> None:
    assert all(await asyncio.gather(*(dead.check("The connection broke off.") for _ in range(9))))
    assert dead.health.calls == 1


async def test_refusals_within_the_patience_do_not_close_the_gate() -> None:
    gate = Gate(0)
    for _ in range(100):
        gate.record_refusal("Busy.")
    assert not gate.closed
    assert not gate.healthy


async def test_refusals_after_the_patience_close_the_gate() -> None:
    gate = Gate(0, patience=0.0)
    gate.record_refusal("Busy.")
    assert gate.closed
    await gate.wait_until_open()
    assert gate.health.calls == 1


async def test_an_answer_between_refusals_keeps_it_open() -> None:
    gate = Gate(0, patience=0.02)
    gate.record_refusal("Busy.")
    await asyncio.sleep(0.03)
    gate.record_answer()
    gate.record_refusal("Busy.")
    assert not gate.closed


async def test_waits_between_probes_grow_until_an_answer() -> None:
    """A server that reports itself healthy and refuses everything is protected by the waits alone."""
    gate = Gate(0, patience=0.0)
    for _ in range(3):
        gate.record_refusal("Busy.")
        await gate.wait_until_open()
    assert gate.probes == 3
    gate.record_answer()
    assert gate.probes == 0


def trial_times(reasons: list[str]) -> list[float]:
    """When an endpoint is tried that fails for these reasons and is then good."""

    async def main() -> list[float]:
        times, left = list[float](), iter(reasons)

        async def check() -> ErrorDecision | None:
            times.append(loop_time())
            reason = next(left, None)
            return None if reason is None else ErrorDecision(RetryAction.RETRY, "http_500", reason)

        limit = ConcurrencyLimit(4)
        async with aclosing(OutageGate(HealthCheck(0), limit, max_outage=600, probe_backoff=Backoff(0.5, 10))) as gate:
            gate.close(reasons[0], recovery_check=check)
            await gate.wait_until_open()
        return times

    return run_virtually(main())


@pytest.mark.parametrize(
    ("reasons", "times"),
    [
        pytest.param(["Broken, req-1."] * 5, [0, 0.5, 1.5, 3.5, 7.5, 15.5], id="the same"),
        pytest.param([*["Broken."] * 4, "Busy."], [0, 0.5, 1.5, 3.5, 7.5, 8.0], id="another once"),
        pytest.param(["Broken.", "Busy."] * 3, [0, 0.5, 1.0, 2.0, 2.5, 4.5, 5.0], id="another each time"),
    ],
)
def test_a_trial_that_fails_in_another_way_is_soon_repeated(reasons: list[str], times: list[float]) -> None:
    assert trial_times(reasons) == pytest.approx(times, abs=0.01)

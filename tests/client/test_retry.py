"""Retries: which errors, after which wait, and how often."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.retry import DEFAULT_BACKOFF, Backoff, is_retryable, make_retry_policy, seconds_to_wait
from persqa_client.errors import AttemptError, Interrupted, PersQAError, RowError, RunStopped
from persqa_client.types import ErrorDecision, RetryAction
from tests.support.cases import each_case


def failed(action: RetryAction, retry_after: float | None = None) -> AttemptError:
    return AttemptError(ErrorDecision(action, "code", "Message.", retry_after=retry_after))


@pytest.mark.parametrize("action", [RetryAction.WAIT, RetryAction.RETRY, RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
def test_temporary_errors_are_retryable(action: RetryAction) -> None:
    assert is_retryable(failed(action))


@each_case(
    "error",
    [
        failed(RetryAction.FAIL),
        failed(RetryAction.STOP),
        RowError("c", "m"),
        RunStopped("c", "m"),
        Interrupted(),
        KeyError(),
    ],
)
def test_permanent_errors_are_not_retryable(error: BaseException) -> None:
    assert not is_retryable(error)


@pytest.mark.parametrize("action", [RetryAction.WAIT, RetryAction.RETRY])
@given(waits=st.integers(0, 10_000), seed=st.integers(0, 1000))
def test_waits_are_random_below_a_bound_that_doubles(action: RetryAction, waits: int, seed: int) -> None:
    seconds = seconds_to_wait(failed(action), waits, random.Random(seed), DEFAULT_BACKOFF)
    assert seconds == random.Random(seed).uniform(0, min(30.0, 0.5 * 2.0 ** min(waits, 100)))


def test_the_bound_doubles_up_to_the_maximum() -> None:
    assert [Backoff(0.5, 3.0).max_wait(waits) for waits in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_spreads_over_the_whole_wait() -> None:
    rng = random.Random(0)
    waits = [seconds_to_wait(failed(RetryAction.RETRY), 3, rng, DEFAULT_BACKOFF) for _ in range(400)]
    assert min(waits) < 0.2
    assert max(waits) > 3.8


@given(retry_after=st.floats(0, 600), waits=st.integers(0, 50), seed=st.integers(0, 1000))
def test_retry_after_is_obeyed_with_little_jitter(retry_after: float, waits: int, seed: int) -> None:
    seconds = seconds_to_wait(failed(RetryAction.WAIT, retry_after), waits, random.Random(seed), DEFAULT_BACKOFF)
    assert retry_after <= seconds <= retry_after + DEFAULT_BACKOFF.initial


@pytest.mark.parametrize("action", [RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
def test_outages_and_new_dialects_need_no_wait(action: RetryAction) -> None:
    assert seconds_to_wait(failed(action), 9, random.Random(0), DEFAULT_BACKOFF) == 0.0


class Attempts:
    """Raises the given errors, counting each RETRY as an attempt as a session does, and then answers."""

    def __init__(self, *errors: PersQAError) -> None:
        self.errors = list(errors)
        self.made = 0
        self.spent = 0
        self.waits = 0

    async def __call__(self) -> str:
        self.made += 1
        if not self.errors:
            return "answer"
        error = self.errors.pop(0)
        self.spent += isinstance(error, AttemptError) and error.decision.action is RetryAction.RETRY
        raise error

    def next_wait(self, error: BaseException | None, rng: random.Random) -> float:
        self.waits += 1
        return seconds_to_wait(error, self.waits - 1, rng, DEFAULT_BACKOFF)


async def repeat(*errors: PersQAError, max_attempts: int = 3) -> tuple[Attempts, list[float], object]:
    attempts, slept, rng = Attempts(*errors), list[float](), random.Random(0)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    policy = make_retry_policy(
        is_exhausted=lambda: attempts.spent >= max_attempts,
        next_wait=lambda error: attempts.next_wait(error, rng),
        sleep=sleep,
    )
    try:
        return attempts, slept, await policy(attempts)
    except PersQAError as error:
        return attempts, slept, error


async def test_transient_errors_are_retried_up_to_the_limit() -> None:
    attempts, slept, end = await repeat(*[failed(RetryAction.RETRY)] * 5)
    assert isinstance(end, AttemptError)
    assert (attempts.made, len(slept)) == (3, 2)


async def test_the_last_attempt_may_succeed() -> None:
    attempts, _, end = await repeat(*[failed(RetryAction.RETRY)] * 2)
    assert (attempts.made, end) == (3, "answer")


@pytest.mark.parametrize("action", [RetryAction.WAIT, RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
async def test_errors_that_are_not_the_rows_fault_cost_no_attempt(action: RetryAction) -> None:
    attempts, _, end = await repeat(failed(RetryAction.RETRY), *[failed(action)] * 20, max_attempts=2)
    assert (attempts.made, end) == (22, "answer")


@pytest.mark.parametrize("error", [failed(RetryAction.FAIL), RowError("c", "m"), RunStopped("c", "m"), Interrupted()])
async def test_a_permanent_error_ends_the_retries(error: PersQAError) -> None:
    attempts, slept, end = await repeat(error)
    assert (attempts.made, slept, end) == (1, [], error)


async def test_the_first_wait_is_the_shortest() -> None:
    _, slept, _ = await repeat(*[failed(RetryAction.WAIT)] * 4)
    rng = random.Random(0)
    assert slept == [rng.uniform(0, ceiling) for ceiling in (0.5, 1.0, 2.0, 4.0)]

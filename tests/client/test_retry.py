"""Again, and when: waits and the end of trying, as functions of verdicts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.retry import (
    DEFAULT_BACKOFF,
    Backoff,
    is_worth_again,
    make_retry_policy,
    seconds_to_wait,
)
from persqa_client.errors import AttemptError, Interrupted, PersQAError, RowError, RunStopped
from persqa_client.types import ErrorDecision, RetryAction


def failed(act: RetryAction, retry_after: float | None = None) -> AttemptError:
    return AttemptError(ErrorDecision(act, "code", "Message.", retry_after=retry_after))


@pytest.mark.parametrize("act", [RetryAction.WAIT, RetryAction.RETRY, RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
def test_what_may_pass_is_worth_another_attempt(act: RetryAction) -> None:
    assert is_worth_again(failed(act))


@pytest.mark.parametrize(
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
def test_what_will_not_pass_is_not(error: BaseException) -> None:
    assert not is_worth_again(error)


@pytest.mark.parametrize("act", [RetryAction.WAIT, RetryAction.RETRY])
@given(waits=st.integers(0, 10_000), seed=st.integers(0, 1000))
def test_a_wait_is_anywhere_below_a_ceiling_that_doubles(act: RetryAction, waits: int, seed: int) -> None:
    seconds = seconds_to_wait(failed(act), waits, random.Random(seed), DEFAULT_BACKOFF)
    assert seconds == random.Random(seed).uniform(0, min(30.0, 0.5 * 2.0 ** min(waits, 100)))


def test_ceilings_double_from_the_first_to_the_longest() -> None:
    assert [Backoff(0.5, 3.0).max_wait(waits) for waits in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_full_jitter_spreads_over_the_whole_wait() -> None:
    rng = random.Random(0)
    waits = [seconds_to_wait(failed(RetryAction.RETRY), 3, rng, DEFAULT_BACKOFF) for _ in range(400)]
    assert min(waits) < 0.2
    assert max(waits) > 3.8


@given(told=st.floats(0, 600), waits=st.integers(0, 50), seed=st.integers(0, 1000))
def test_a_told_time_is_kept_and_little_is_added(told: float, waits: int, seed: int) -> None:
    seconds = seconds_to_wait(failed(RetryAction.WAIT, told), waits, random.Random(seed), DEFAULT_BACKOFF)
    assert told <= seconds <= told + DEFAULT_BACKOFF.initial


@pytest.mark.parametrize("act", [RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
def test_an_outage_and_a_new_dialect_need_no_wait(act: RetryAction) -> None:
    assert seconds_to_wait(failed(act), 9, random.Random(0), DEFAULT_BACKOFF) == 0.0


class Attempts:
    """Fails as told, spending an attempt for each RETRY as a session does; answers afterwards."""

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


async def test_transient_errors_are_repeated_up_to_the_number_of_attempts() -> None:
    attempts, slept, end = await repeat(*[failed(RetryAction.RETRY)] * 5)
    assert isinstance(end, AttemptError)
    assert (attempts.made, len(slept)) == (3, 2)


async def test_the_last_attempt_may_still_answer() -> None:
    attempts, _, end = await repeat(*[failed(RetryAction.RETRY)] * 2)
    assert (attempts.made, end) == (3, "answer")


@pytest.mark.parametrize("act", [RetryAction.WAIT, RetryAction.AWAIT_RECOVERY, RetryAction.ADAPT])
async def test_what_is_not_the_rows_fault_costs_no_attempt(act: RetryAction) -> None:
    attempts, _, end = await repeat(failed(RetryAction.RETRY), *[failed(act)] * 20, max_attempts=2)
    assert (attempts.made, end) == (22, "answer")


@pytest.mark.parametrize("error", [failed(RetryAction.FAIL), RowError("c", "m"), RunStopped("c", "m"), Interrupted()])
async def test_a_permanent_error_ends_it_at_once(error: PersQAError) -> None:
    attempts, slept, end = await repeat(error)
    assert (attempts.made, slept, end) == (1, [], error)


async def test_the_first_wait_is_the_shortest() -> None:
    _, slept, _ = await repeat(*[failed(RetryAction.WAIT)] * 4)
    rng = random.Random(0)
    assert slept == [rng.uniform(0, ceiling) for ceiling in (0.5, 1.0, 2.0, 4.0)]

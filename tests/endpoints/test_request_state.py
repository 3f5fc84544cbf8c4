"""The history of a request: what it keeps between endpoints, and when it is suspected to crash the server."""

from __future__ import annotations

import pytest

from persqa_client.endpoints.request_state import History, LoadRefusals, RequestState
from persqa_client.types import ErrorDecision, RetryAction

BAD_GATEWAY = ErrorDecision(RetryAction.RETRY, "http_502", "Bad gateway.")
ENGINE_DEAD = ErrorDecision(RetryAction.AWAIT_RECOVERY, "engine_dead", "The engine has died.")


def failed_state(history: History, number: int) -> RequestState:
    state = RequestState(latest_number=number)
    state.record_failure(BAD_GATEWAY, history)
    return state


def test_crashes_count_only_if_other_requests_were_answered_in_between() -> None:
    state, history, crashes = RequestState(), History(), list[int]()
    for answers in (2, 2, 3, 3, 8):
        history.answers = answers
        state.record_failure(ENGINE_DEAD, history)
        history.outages.append(history.mark())
        state.record_outages(history)
        crashes.append(state.crashes)
    assert crashes == [1, 1, 2, 2, 3]


def test_a_failure_before_the_last_answers_is_no_crash() -> None:
    history = History(answers=4)
    state = failed_state(history, 1)
    history.answers = 9
    history.outages.append(history.mark())
    state.record_outages(history)
    assert state.crashes == 0


def test_a_crash_counts_although_others_followed_before_the_request_was_sent_again() -> None:
    history = History(answers=4)
    state = failed_state(history, 1)
    for answers in (4, 9):
        history.answers = answers
        history.outages.append(history.mark())
    state.record_outages(history)
    assert (state.crashes, state.recorded_outages) == (1, 2)


def test_a_request_that_was_sent_after_the_first_failure_caused_no_crash() -> None:
    state, history = RequestState(), History(answers=4)
    state.record_failure(BAD_GATEWAY, history, was_in_flight=False)
    history.outages.append(history.mark())
    state.record_outages(history)
    assert state.crashes == 0


def test_a_request_is_suspect_from_the_outage_that_began_with_it_in_flight() -> None:
    state = failed_state(History(answers=4), 1)
    assert [state.is_suspect(outages) for outages in (0, 1)] == [False, True]


def test_another_endpoint_continues_the_counts_and_keeps_its_own_outages() -> None:
    first, second = failed_state(History(), 1), RequestState(recorded_outages=2, latest_number=1)
    first.sent = 1
    second.continue_from(first)
    assert (second.sent, second.attempts_used, second.recorded_outages) == (1, 1, 2)
    assert not second.has_failed_here
    second.record_failure(BAD_GATEWAY, History())
    assert (second.attempts_used, second.has_failed_here) == (2, True)


Refusal = tuple[float, float | None, int, int]  # the time, Retry-After, and the endpoint's answers and outages so far


@pytest.mark.parametrize(
    ("refusals", "seconds", "count"),
    [
        pytest.param([(5.0, None, 1, 0), (6.0, None, 2, 0), (9.0, None, 3, 0)], 4.0, 3, id="others are answered"),
        pytest.param([(5.0, None, 1, 0), (6.0, None, 1, 0), (9.0, None, 3, 0)], 3.0, 3, id="one time without answers"),
        pytest.param([(5.0, None, 1, 0), (130.0, None, 2, 1), (131.0, None, 3, 1)], 1.0, 3, id="an outage in between"),
        pytest.param([(0.0, 65.0, 1, 0), (65.2, 65.0, 2, 0), (131.0, 65.0, 3, 0)], 1.0, 3, id="obeyed waits"),
    ],
)
def test_only_time_in_which_others_are_answered_counts_as_refused(
    refusals: list[Refusal], seconds: float, count: int
) -> None:
    load = LoadRefusals()
    for now, retry_after, answers, outages in refusals:
        load.add(now, retry_after, answers=answers, outages=outages)
    assert load.seconds == pytest.approx(seconds)
    assert load.count == count


def test_an_obeyed_wait_counts_if_the_endpoint_answered_a_trial_at_its_end() -> None:
    load = LoadRefusals()
    load.add(0.0, 65.0, answers=1, outages=0)
    load.had_trial = True
    load.add(66.0, 65.0, answers=2, outages=0)
    assert load.seconds == 66.0

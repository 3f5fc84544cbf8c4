"""Which attempts of a request count: those lost in a bad time of the endpoint cost nothing."""

from __future__ import annotations

from persqa_client.endpoints.request_state import Attempts, History


def send_and_fail(attempts: Attempts, history: History) -> None:
    history.sent += 1
    attempts.add(history, history.sent)


def send_another(history: History) -> int:
    history.sent += 1
    return history.sent


def begin_outage(history: History) -> None:
    history.outages.append(history.mark())


def test_an_outage_gives_back_the_attempts_since_the_last_answer() -> None:
    attempts, history = Attempts(), History()
    send_and_fail(attempts, history)
    history.record_answer(send_another(history))
    send_and_fail(attempts, history)
    send_and_fail(attempts, history)
    assert attempts.used() == 3
    begin_outage(history)
    assert attempts.used() == 1


def test_answers_to_older_requests_do_not_end_a_bad_time() -> None:
    attempts, history = Attempts(), History()
    older = [send_another(history) for _ in range(3)]
    for number in older:
        send_and_fail(attempts, history)
        history.record_answer(number)
    begin_outage(history)
    assert attempts.used() == 0


def test_a_request_that_fails_while_later_ones_are_answered_pays() -> None:
    attempts, history = Attempts(), History()
    for _ in range(3):
        send_and_fail(attempts, history)
        history.record_answer(send_another(history))
    begin_outage(history)
    assert attempts.used() == 3


def test_a_connection_lost_at_the_begin_of_an_outage_costs_nothing_though_a_later_request_was_answered() -> None:
    attempts, history = Attempts(), History()
    lost, later = send_another(history), send_another(history)
    history.record_answer(later)
    attempts.add(history, lost)
    begin_outage(history)
    assert attempts.used() == 0


def test_an_outage_gives_back_nothing_that_was_sent_after_it() -> None:
    attempts, history = Attempts(), History()
    begin_outage(history)
    send_and_fail(attempts, history)
    assert attempts.used() == 1


def test_an_outage_gives_back_attempts_of_a_request_that_has_moved() -> None:
    attempts, bad, good = Attempts(), History(), History()
    send_and_fail(attempts, bad)
    send_and_fail(attempts, good)
    begin_outage(bad)
    assert (attempts.used(), attempts.used(since=1)) == (1, 1)


def test_a_verdict_gives_back_the_attempts_of_its_own_bad_time_at_its_own_endpoint() -> None:
    attempts, history, other = Attempts(), History(), History()
    send_and_fail(attempts, other)
    send_and_fail(attempts, history)
    history.record_answer(send_another(history))
    older = send_another(history)
    send_and_fail(attempts, history)
    history.record_answer(older)
    send_and_fail(attempts, history)
    history.record_answer(send_another(history))
    attempts.give_back_unanswered(history)
    assert attempts.used() == 2


def test_attempts_count_as_unanswered_until_a_later_request_is_answered() -> None:
    attempts, history = Attempts(), History()
    older = send_another(history)
    send_and_fail(attempts, history)
    history.record_answer(older)
    assert attempts.unanswered(history) == 1
    history.record_answer(send_another(history))
    assert attempts.unanswered(history) == 0

"""The pace of a server that accepts a number of requests per period."""

from __future__ import annotations

import pytest

from persqa_client.limits.admission import WindowPace


def pass_windows(pace: WindowPace, counts: list[int], period: float = 10.0) -> float:
    """Each window has so many answers. Returns the time of the last reopening."""
    pace.record_sent(0.0)
    for number, count in enumerate(counts, 1):
        for _ in range(count):
            pace.record_answer()
        pace.record_reopening(number * period)
    return len(counts) * period


def test_two_windows_alike_show_the_pace() -> None:
    pace = WindowPace()
    pass_windows(pace, [30])
    assert pace.rate is None
    pace = WindowPace()
    pass_windows(pace, [30, 30])
    assert pace.rate == pytest.approx(2.9, rel=0.02)


@pytest.mark.parametrize(("counts", "period"), [([30, 100], 10.0), ([5, 30, 90], 10.0), ([0, 0], 10.0), ([3, 3], 0.2)])
def test_other_pauses_show_none(counts: list[int], period: float) -> None:
    pace = WindowPace()
    pass_windows(pace, counts, period)
    assert pace.rate is None


def send_for(pace: WindowPace, periods: int, start: float, *, refused: int = 0) -> float:
    """Sends at the pace; the last so many requests of each period are refused."""
    now = start
    for _ in range(periods):
        end, sent = now + pace.period, 0
        while now < end and pace.rate is not None:
            now = max(now, pace.next_at)
            pace.record_sent(now)
            sent += 1
            if sent > pace.rate * pace.period - refused:
                pace.record_refusal()
            else:
                pace.record_answer()
            now = max(now, pace.next_at)
        pace.advance(0.0, now)
    return now


def test_requests_are_spread_evenly() -> None:
    pace = WindowPace()
    now = pass_windows(pace, [30, 30])
    assert pace.rate is not None
    pace.record_sent(now)
    first = pace.next_at
    pace.record_sent(first)
    assert pace.next_at - first == pytest.approx(1 / pace.rate)


def test_a_faster_pace_is_tried_and_given_up_if_refused() -> None:
    pace = WindowPace()
    now = pass_windows(pace, [30, 30])
    learned = pace.rate
    assert learned is not None
    now = send_for(pace, 6, now)
    faster = pace.rate
    assert faster is not None
    assert faster > learned
    send_for(pace, 1, now, refused=5)
    assert pace.rate is not None
    assert pace.rate < faster


def test_a_pace_that_does_not_help_is_forgotten() -> None:
    pace = WindowPace()
    now = pass_windows(pace, [30, 30])
    send_for(pace, 20, now, refused=10)
    assert pace.rate is None


def test_a_pace_that_is_never_reached_is_forgotten() -> None:
    pace = WindowPace()
    now = pass_windows(pace, [30, 30])
    for _ in range(4):
        now += pace.period
        pace.record_sent(now)
        pace.record_answer()
        pace.advance(0.0, now)
    assert pace.rate is None

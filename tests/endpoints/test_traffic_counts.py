"""Counts of an endpoint's requests: reasons of retries and refusals, and durations of answers."""

from __future__ import annotations

import httpx
import pytest
import respx

from persqa_client.endpoints.traffic_counts import DURATION_BOUNDS, Durations, TrafficCounts, find_percentiles
from persqa_client.types import Usage
from tests.support.endpoints import CHAT_URL, REQUEST, error_response, make_session, ok_response


@respx.mock
async def test_a_session_counts_why_requests_are_sent_again() -> None:
    responses: list[httpx.Response | Exception] = [
        error_response(429, "Too many requests."),
        httpx.ReadError("reset"),
        error_response(503, "The queue is full.", headers={"retry-after": "0"}),
        ok_response(),
    ]
    respx.post(CHAT_URL).mock(side_effect=responses)
    async with make_session() as session:
        await session.complete(REQUEST)
        traffic = session.traffic
    assert (traffic.sent, traffic.retried, traffic.in_flight) == (4, 3, 0)
    assert sum(traffic.retries.values()) == traffic.retried
    assert dict(traffic.retries) == {"http_429": 1, "connection_lost": 1, "http_503": 1}
    assert dict(traffic.refusals) == {"http_429": 1, "http_503": 1}
    assert sum(traffic.durations.counts) == traffic.answered == 1


def test_durations_are_counted_in_classes() -> None:
    durations = Durations()
    for seconds in (0.001, DURATION_BOUNDS[0], DURATION_BOUNDS[1], DURATION_BOUNDS[-1] + 1):
        durations.add(seconds)
    assert (durations.counts[0], durations.counts[1], durations.counts[-1]) == (2, 1, 1)
    assert sum(durations.counts) == 4
    other = Durations()
    other.add(0.001)
    durations.merge(other)
    assert durations.counts[0] == 3
    assert other.counts[0] == 1


def test_counts_of_endpoints_are_added() -> None:
    one, other = TrafficCounts(), TrafficCounts()
    one.record_sent(None)
    other.record_sent("busy")
    other.refusals["busy"] += 1
    other.usage = Usage(3, 4)
    one.merge(other)
    assert (one.sent, one.in_flight, one.retried, one.usage) == (2, 2, 1, Usage(3, 4))
    assert (dict(one.retries), dict(one.refusals)) == ({"busy": 1}, {"busy": 1})
    assert other.sent == 1


def test_percentiles_are_at_most_a_class_off() -> None:
    durations = Durations()
    for number in range(1, 1001):
        durations.add(number / 100)
    percentiles = find_percentiles(durations.counts, (0.5, 0.95, 0.99))
    assert percentiles is not None
    middle, most, nearly_all = percentiles
    assert middle == pytest.approx(5, rel=0.01)
    assert most == pytest.approx(9.5, rel=0.15)
    assert nearly_all == pytest.approx(9.9, rel=0.3)
    assert find_percentiles(Durations().counts, (0.5,)) is None
    single = Durations()
    single.add(1e6)
    assert find_percentiles(single.counts, (0.5,))[0] > DURATION_BOUNDS[-1]  # type: ignore[index]

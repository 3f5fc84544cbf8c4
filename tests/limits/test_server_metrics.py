"""vLLM's metrics: parsing and polling."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest

from persqa_client.errors import AttemptError
from persqa_client.limits.server_metrics import (
    MAX_FAILED_POLLS,
    MetricsPoller,
    QueueSamples,
    ServerMetrics,
    parse_metrics,
)
from persqa_client.simulator.metrics import format_metrics
from persqa_client.types import ErrorDecision, RetryAction

PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 7.0
vllm:num_requests_running{engine="1",model_name="qwen"} 5.0
vllm:num_requests_running{engine="0",model_name="other"} 100.0
vllm:num_requests_waiting{engine="0",model_name="qwen"} 3.0
vllm:num_requests_waiting{engine="1",model_name="qwen"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="qwen",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="qwen"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="qwen"} 0.5
vllm:admission_rejections_total{model_name="qwen",reason="max_num_queued_reqs"} 4.0
vllm:admission_rejections_total{model_name="qwen",reason="max_num_queued_tokens"} 2.0
vllm:admission_rejections_created{model_name="qwen",reason="max_num_queued_reqs"} 1.7955609589121456e+09
"""


def test_engines_are_summed_and_other_models_left_out() -> None:
    assert parse_metrics(PAGE, "qwen") == ServerMetrics(running=12, waiting=4, kv_usage=0.5, rejections=6)


def test_all_models_count_if_the_model_is_not_listed() -> None:
    assert parse_metrics(PAGE, "an-adapter") == ServerMetrics(running=112, waiting=4, kv_usage=0.5, rejections=6)


def test_the_cache_metric_of_older_servers_is_read() -> None:
    text = PAGE.replace(b"kv_cache_usage", b"gpu_cache_usage").replace(b"admission_rejections", b"something")
    assert parse_metrics(text, "qwen") == ServerMetrics(running=12, waiting=4, kv_usage=0.5)


@pytest.mark.parametrize(
    "text", [b"", b"<html>Not vLLM</html>", b"process_cpu_seconds_total 12.5\n", b"vllm:num_requests_running{x"]
)
def test_other_pages_have_no_metrics(text: bytes) -> None:
    assert parse_metrics(text, "qwen") is None


def test_the_simulators_metrics_are_read() -> None:
    text = format_metrics({"num_requests_running": 3, "num_requests_waiting": 2, "kv_cache_usage_perc": 0.5}, 'a "b"')
    assert parse_metrics(text.encode(), "qwen") == ServerMetrics(running=3, waiting=2, kv_usage=0.5)


def test_the_mean_queue_leaves_out_the_first_sample() -> None:
    samples = QueueSamples()
    for waiting in (100, 4, 5, 6):
        assert samples.mean is None
        samples.add(ServerMetrics(8, waiting))
    assert samples.mean == 5


Response = tuple[int, bytes] | AttemptError
URL = "http://gpu.example/metrics"
NO_RESPONSE = AttemptError(ErrorDecision(RetryAction.RETRY, "connection_lost", "Lost."))


async def poll(*responses: Response, at_most: int = 20, active: bool = True) -> tuple[list[ServerMetrics], int]:
    """The metrics that were reported and the number of polls, until polling ended by itself or after ``at_most``.

    The last response is repeated.
    """
    remaining, polls, checks = list(responses), 0, 0
    reported = list[ServerMetrics]()

    async def get(url: str) -> tuple[int, bytes]:
        nonlocal polls
        assert url == URL
        polls += 1
        response = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(response, AttemptError):
            raise response
        return response

    def is_active() -> bool:
        nonlocal checks
        checks += 1
        if checks > at_most:
            raise asyncio.CancelledError
        return active

    with suppress(asyncio.CancelledError):
        await MetricsPoller(get, URL, "qwen", reported.append, is_active, interval=0).poll()
    return reported, polls


async def test_polling_goes_on() -> None:
    reported, polls = await poll((200, PAGE), at_most=10)
    assert (len(reported), polls) == (10, 10)


async def test_an_idle_client_does_not_poll() -> None:
    assert await poll((200, PAGE), active=False) == ([], 0)


@pytest.mark.parametrize("response", [(404, b""), (200, b"something else"), (401, b""), (403, b"")])
async def test_polling_ends_where_there_are_no_metrics(response: Response) -> None:
    assert await poll(response) == ([], 1)


async def test_polling_ends_where_the_server_never_responded() -> None:
    assert await poll(NO_RESPONSE) == ([], MAX_FAILED_POLLS)
    assert await poll((502, b"")) == ([], MAX_FAILED_POLLS)


async def test_polling_survives_an_outage() -> None:
    reported, _ = await poll((200, PAGE), *[NO_RESPONSE] * 8, (503, b""), (200, PAGE), at_most=12)
    assert len(reported) == 3


def test_values_that_are_no_numbers_are_left_out() -> None:
    text = PAGE.replace(b'waiting{engine="1",model_name="qwen"} 1.0', b'waiting{engine="1",model_name="qwen"} NaN')
    assert parse_metrics(text, "qwen") == ServerMetrics(running=12, waiting=3, kv_usage=0.5, rejections=6)
    assert parse_metrics(re.sub(rb"(running\{.*\}) .*", rb"\1 NaN", PAGE), "qwen") is None


def sample_queue(*metrics: ServerMetrics) -> QueueSamples:
    samples = QueueSamples()
    for sample in metrics:
        samples.add(sample)
    return samples


BEFORE = sample_queue(ServerMetrics(0, 0), ServerMetrics(8, 0), ServerMetrics(6, 0))


@pytest.mark.parametrize(
    ("after", "absorbed"),
    [
        ((ServerMetrics(8, 0), ServerMetrics(12, 0)), True),
        ((ServerMetrics(8, 0), ServerMetrics(12, 1), ServerMetrics(13, 0)), True),
        ((ServerMetrics(8, 0), ServerMetrics(12, 3)), False),  # they wait
        ((ServerMetrics(8, 0), ServerMetrics(10, 0)), False),  # they do not arrive: the client is busy
        ((ServerMetrics(8, 0), ServerMetrics(12, 0, kv_usage=0.99)), False),
        ((ServerMetrics(12, 0),), False),  # the first sample is from the previous limit
    ],
)
def test_added_requests_are_absorbed_if_most_run_and_none_waits(
    after: tuple[ServerMetrics, ...], absorbed: bool
) -> None:
    assert sample_queue(*after).absorbs(8, BEFORE) is absorbed


def test_nothing_is_absorbed_without_added_requests_or_without_earlier_samples() -> None:
    after = sample_queue(ServerMetrics(8, 0), ServerMetrics(30, 0))
    assert not after.absorbs(-4, BEFORE)
    assert not after.absorbs(8, QueueSamples())

"""What vLLM says of itself: the lines that matter, and looking at them until there is no use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from persqa_client.errors import AttemptError
from persqa_client.limits.server_metrics import MISSES, Queue, ServerMetrics, poll_metrics, read_gauges
from persqa_client.simulator.metrics import format_metrics
from persqa_client.types import ErrorDecision, RetryAction

TEXT = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
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
    assert read_gauges(TEXT, "qwen") == ServerMetrics(running=12, waiting=4, kv_usage=0.5, rejections=6)


def test_a_model_by_another_name_is_taken_for_all_that_is_served() -> None:
    assert read_gauges(TEXT, "an-adapter") == ServerMetrics(running=112, waiting=4, kv_usage=0.5, rejections=6)


def test_older_servers_have_another_name_for_the_cache() -> None:
    text = TEXT.replace(b"kv_cache_usage", b"gpu_cache_usage").replace(b"admission_rejections", b"something")
    assert read_gauges(text, "qwen") == ServerMetrics(running=12, waiting=4, kv_usage=0.5)


@pytest.mark.parametrize("text", [b"", b"<html>Not vLLM</html>", b"process_cpu_seconds_total 12.5\n"])
def test_a_page_of_something_else_has_none(text: bytes) -> None:
    assert read_gauges(text, "qwen") is None


def test_what_the_simulator_says_is_read() -> None:
    text = format_metrics({"num_requests_running": 3, "num_requests_waiting": 2, "kv_cache_usage_perc": 0.5}, 'a "b"')
    assert read_gauges(text.encode(), "qwen") == ServerMetrics(running=3, waiting=2, kv_usage=0.5)


def test_a_queue_is_a_mean_of_some_looks_without_the_first() -> None:
    queue = Queue()
    for waiting in (100, 4, 5, 6):
        assert queue.mean is None
        queue.add(ServerMetrics(8, waiting))
    assert queue.mean == 5


Page = tuple[int, bytes] | AttemptError


def lost() -> AttemptError:
    return AttemptError(ErrorDecision(RetryAction.RETRY, "connection_lost", "Lost."))


def pages(*given: Page) -> tuple[Callable[[str], Awaitable[tuple[int, bytes]]], list[str]]:
    """Gives these, one after the other, and the last one for ever; and notes the addresses that were asked."""
    left, asked = list(given), list[str]()

    async def get(url: str) -> tuple[int, bytes]:
        asked.append(url)
        page = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(page, AttemptError):
            raise page
        return page

    return get, asked


async def looks(*given: Page, at_most: int = 20, wanted: bool = True) -> tuple[list[ServerMetrics], int]:
    """What was told, and how often was asked, until it ended by itself or that was enough."""
    get, asked = pages(*given)
    told = list[ServerMetrics]()
    task = asyncio.create_task(
        poll_metrics(get, "http://gpu.example/metrics", "qwen", told.append, lambda: wanted, every=0)
    )
    for _ in range(2000):
        await asyncio.sleep(0)
        if task.done() or len(asked) >= at_most:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(asked) <= {"http://gpu.example/metrics"}
    return told, len(asked)


async def test_looks_go_on() -> None:
    told, asked = await looks((200, TEXT), at_most=10)
    assert (len(told), asked) == (10, 10)


async def test_nobody_looks_while_nothing_is_under_way() -> None:
    assert await looks((200, TEXT), wanted=False) == ([], 0)


@pytest.mark.parametrize("page", [(404, b""), (200, b"something else"), (401, b""), (403, b"")])
async def test_where_there_is_nothing_to_see_one_look_is_all(page: Page) -> None:
    assert await looks(page) == ([], 1)


async def test_a_server_that_never_shows_is_left_alone() -> None:
    assert await looks(lost()) == ([], MISSES)
    assert await looks((502, b"")) == ([], MISSES)


async def test_a_server_that_is_away_for_a_while_is_looked_at_again() -> None:
    told, _ = await looks((200, TEXT), *[lost()] * 8, (503, b""), (200, TEXT), at_most=12)
    assert len(told) == 3

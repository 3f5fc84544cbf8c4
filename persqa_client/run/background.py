"""Executes runs with monitors, on a background event loop for synchronous callers; garbage collector settings."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from persqa_client.errors import PersQAError
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary

logger = logging.getLogger(__name__)

# Allocations between garbage collections. Python's default of 700 costs 15 % of a run's CPU time, because each
# collection visits all rows in progress. Only failed rows create reference cycles.
GC_THRESHOLD = 10_000


def tune_gc() -> None:
    """Excludes imported objects from garbage collection and makes collections rare, for the rest of the process."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Makes garbage collections rare while the context is open.

    Does nothing if the collector is off or already set to rarer collections.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < GC_THRESHOLD:
        yield
        return
    gc.set_threshold(GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


STOPPING_MESSAGE = "Stopping after the requests in flight. Press Ctrl-C again to stop immediately."

# Coroutine that watches a run until it is cancelled, for example to show progress.
Monitor = Callable[[Run], Coroutine[Any, Any, None]]


async def execute_with_monitors(run: Run, *monitors: Monitor) -> Summary:
    tasks = [asyncio.create_task(monitor(run)) for monitor in monitors]
    try:
        return await run.execute()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def execute_blocking(run: Run, *monitors: Monitor) -> Summary:
    """``execute_with_monitors`` on the background event loop.

    Ctrl-C lets requests in flight finish and raises KeyboardInterrupt; a second Ctrl-C aborts them.
    """
    with infrequent_gc():
        future = get_portal().start_task_soon(execute_with_monitors, run, *monitors)
        try:
            return future.result()
        except KeyboardInterrupt:
            logger.warning(STOPPING_MESSAGE)
            stop_and_wait(run, future)
            raise


def stop_and_wait(run: Run, future: Future[Summary]) -> None:
    try:
        get_portal().call(run.stop)
        with suppress(PersQAError):
            future.result()
    except KeyboardInterrupt:
        stop_and_wait(run, future)


def get_portal() -> BlockingPortal:
    with portal_lock:
        return start_portal()


@cache
def start_portal() -> BlockingPortal:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(start_blocking_portal(name="persqa"))


def reset_after_fork() -> None:
    """A forked child has no threads, so it starts its own loop."""
    global portal_lock
    portal_lock = threading.Lock()
    start_portal.cache_clear()


portal_lock = threading.Lock()
os.register_at_fork(after_in_child=reset_after_fork)

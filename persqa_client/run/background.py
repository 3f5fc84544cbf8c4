"""Runs a whole run in the background: monitors beside it, the event loop thread of the synchronous interfaces, and the
garbage collector's settings.
"""

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

# New objects between two passes of the garbage collector. Python's default is 700, and each pass walks the objects of
# hundreds of rows in progress: 15 % of a run's CPU time. A run creates few reference cycles, for failed rows only.
GC_THRESHOLD = 10_000


def tune_gc() -> None:
    """Excludes all imported objects from collection and makes passes rare, for the rest of the process."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Makes passes rare within the context, for a run inside another program.

    Changes nothing if the program has turned the collector off, or made passes rarer itself.
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


STOPPING_MESSAGE = "Stopping. Requests in flight may finish (once more to stop at once)."

# Watches a run until it is cancelled, for example to show progress.
Monitor = Callable[[Run], Coroutine[Any, Any, None]]


async def execute_with_monitors(run: Run, *monitors: Monitor) -> Summary:
    """Executes the run while the monitors watch it. Errors of a monitor are ignored; raises as ``Run.execute`` does."""
    tasks = [asyncio.create_task(monitor(run)) for monitor in monitors]
    try:
        return await run.execute()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def execute_blocking(run: Run, *monitors: Monitor) -> Summary:
    """``execute_with_monitors`` on the background event loop.

    Ctrl-C stops the run, lets requests in flight finish, and raises KeyboardInterrupt; a second one ends them at once.
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
    """Stops a run on the background loop: Ctrl-C interrupts the calling thread only."""
    try:
        get_portal().call(run.stop)
        with suppress(PersQAError):
            future.result()
    except KeyboardInterrupt:
        stop_and_wait(run, future)


def get_portal() -> BlockingPortal:
    """The event loop thread. It starts at the first call and ends with the process."""
    with portal_lock:
        return start_portal()


@cache
def start_portal() -> BlockingPortal:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(start_blocking_portal(name="persqa"))


def reset_after_fork() -> None:
    """A forked child inherits no threads, so that it has to start its own loop."""
    global portal_lock
    portal_lock = threading.Lock()
    start_portal.cache_clear()


portal_lock = threading.Lock()
os.register_at_fork(after_in_child=reset_after_fork)

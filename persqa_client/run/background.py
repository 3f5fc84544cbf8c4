"""Runs with monitors beside them, and the event loop thread behind all synchronous interfaces."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import cache
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from persqa_client.errors import PersQAError
from persqa_client.run.gc_tuning import infrequent_gc
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary

logger = logging.getLogger(__name__)

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

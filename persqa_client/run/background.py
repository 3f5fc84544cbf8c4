"""One background loop that serves every synchronous face, whether its caller has a loop or not. Starts a thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import cache
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from persqa_client.run.run import Run
from persqa_client.run.summary import Summary

# A run and what goes on beside it until it ends: somebody who shows it, for one. Waits, nothing else.

STOPPING_MESSAGE = "Stopping: requests under way may finish (once more to stop at once)."

Monitor = Callable[[Run], Coroutine[Any, Any, None]]
"""Goes on until it is cancelled, or has nothing more to do."""


async def execute_with_monitors(run: Run, *beside: Monitor) -> Summary:
    """Raises as ``Run.execute`` does. What goes wrong beside a run is not the run's affair."""
    tasks = [asyncio.create_task(one(run)) for one in beside]
    try:
        return await run.execute()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def get_portal() -> BlockingPortal:
    """The loop, which is started when it is first asked for and ends with the process."""
    with PORTAL_LOCK:
        return start_portal()


@cache
def start_portal() -> BlockingPortal:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(start_blocking_portal(name="persqa"))


def forget_portal() -> None:
    """A forked child has no thread of its parent's, so it starts a loop of its own."""
    global PORTAL_LOCK
    PORTAL_LOCK = threading.Lock()
    start_portal.cache_clear()


PORTAL_LOCK = threading.Lock()
os.register_at_fork(after_in_child=forget_portal)

"""One background loop that serves every synchronous face, whether its caller has a loop or not. Starts a thread."""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import ExitStack
from functools import cache

from anyio.from_thread import BlockingPortal, start_blocking_portal


def portal() -> BlockingPortal:
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

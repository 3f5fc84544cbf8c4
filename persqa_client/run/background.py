"""Executes runs with monitors, on a background event loop for synchronous callers; garbage collector settings."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from persqa_client.errors import PersQAError
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

# Allocations between garbage collections. Python's default of 700 costs 15 % of a run's CPU time, because each
# collection visits all rows in progress. Only failed rows create reference cycles.
GC_THRESHOLD = 10_000
# Interval of the checks for a cancellation, in seconds.
CANCEL_INTERVAL = 0.1


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


async def execute_with_monitors(run: Run, *monitors: Monitor, announce: Callable[[str], None] = logger.info) -> Summary:
    """``announce`` gets the address of the metrics, if they are served. Raises like ``Run.execute``."""
    with open_metrics(run, announce):
        async with MonitorTasks(*(monitor(run) for monitor in monitors)):
            await asyncio.sleep(0)  # lets the display show the first phase: opening the files blocks the event loop
            return await run.execute()


def open_metrics(run: Run, announce: Callable[[str], None]) -> AbstractContextManager[None]:
    if run.settings.metrics_port is None:
        return nullcontext()
    # Imported here, so that a run without --metrics-port starts earlier.
    from persqa_client.run.metrics import serve_metrics

    return serve_metrics(run, run.settings.metrics_port, announce)


class MonitorTasks:
    """Runs the monitors until the context ends.

    This is a class, because an async generator would be closed too early: an event loop that ends closes all open
    generators at once, also the one that contains this context.
    """

    def __init__(self, *monitors: Coroutine[Any, Any, None]) -> None:
        self._monitors = monitors
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(monitor) for monitor in self._monitors]

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            # Without monitors, a stream may be closed after its event loop has ended. Nothing can be awaited then.
            for result in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    logger.warning("The display of the progress failed: %r", result, exc_info=result)


def execute_blocking(run: Run, *monitors: Monitor) -> Summary:
    """``execute_with_monitors`` on the background event loop.

    Ctrl-C lets requests in flight finish and raises KeyboardInterrupt; a second Ctrl-C aborts them.
    """
    with infrequent_gc():
        future = get_background_loop().submit(execute_with_monitors(run, *monitors))
        try:
            return wait_for_result(future)
        except KeyboardInterrupt:
            logger.warning(STOPPING_MESSAGE)
            stop_and_wait(run, future)
            raise


def call_blocking(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Returns the result of the coroutine on the background event loop. Ctrl-C cancels it."""
    future = get_background_loop().submit(coroutine)
    try:
        return wait_for_result(future)
    except KeyboardInterrupt:
        future.cancel()
        raise


def wait_for_result(future: Future[Value]) -> Value:
    """Raises KeyboardInterrupt at the first Ctrl-C, also inside a coroutine: ``asyncio.run`` handles Ctrl-C by a
    cancellation of the main task, but this call blocks that task.
    """
    task = find_current_task()
    before = 0 if task is None else task.cancelling()
    while task is not None and not wait([future], timeout=CANCEL_INTERVAL).done:
        if task.cancelling() > before:
            raise KeyboardInterrupt
    return future.result()


def find_current_task() -> asyncio.Task[Any] | None:
    with suppress(RuntimeError):  # there is no loop in this thread
        return asyncio.current_task()
    return None


def stop_and_wait(run: Run, future: Future[Summary]) -> None:
    try:
        get_background_loop().call_soon(run.stop)
        with suppress(PersQAError):
            future.result()
    except KeyboardInterrupt:
        stop_and_wait(run, future)


class BackgroundLoop:
    """An event loop in a daemon thread, for callers without one and for callers inside of another one.

    A forked child has a copy of this object without its thread. Nothing may wait for the thread there, so the object
    has no finalizer, and ``close`` only acts in the process that started it.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="persqa", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._started.set()
        await self._stopping.wait()

    def submit(self, coroutine: Coroutine[Any, Any, Value]) -> Future[Value]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call_soon(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Cancels what still runs. Does nothing in a forked child."""
        if os.getpid() == self._owner:
            self.call_soon(self._stopping.set)
            self._thread.join()


def get_background_loop() -> BackgroundLoop:
    """The loop of this process, which is started by the first call."""
    global background_loop
    with background_lock:
        if background_loop is None:
            background_loop = BackgroundLoop()
            atexit.register(background_loop.close)
        return background_loop


def reset_after_fork() -> None:
    """A forked child has no threads, so it starts its own loop."""
    global background_lock, background_loop
    background_lock = threading.Lock()
    background_loop = None


background_loop: BackgroundLoop | None = None
background_lock = threading.Lock()
os.register_at_fork(after_in_child=reset_after_fork)

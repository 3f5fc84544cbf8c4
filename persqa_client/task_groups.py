"""Coroutines: groups in which the first error cancels the others and is raised unwrapped, results that callers share,
inner async generators, and the loop's clock.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Raises its first error instead of an ExceptionGroup."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def gather_all(*coroutines: Coroutine[Any, Any, Value]) -> list[Value]:
    """Unlike ``asyncio.gather``, cancels the other coroutines after an error."""
    async with task_group() as group:
        started = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in started]


async def wait_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Cancels the others, and raises the error of the first."""
    started = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in started:
            task.cancel()
    for task in done:
        task.result()


class SharedResult(Generic[Value]):
    """The result of a coroutine, which runs once for all callers. After an error or a cancellation the next caller
    makes it again.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Value]]) -> None:
        self._make = make
        self.task: asyncio.Task[Value] | None = None

    async def get(self) -> Value:
        """A caller that is cancelled leaves the others their result."""
        task = self.task
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self.task = asyncio.create_task(self._make())
        return await asyncio.shield(task)


class InnerGenerator(Generic[Value]):
    """An async generator that another one iterates and closes, with ``aclosing``.

    An event loop closes the async generators that it knows when it ends. It would close both at the same time, and the
    one in the way of the other, so the loop does not get to know the inner one.
    """

    def __init__(self, generator: AsyncGenerator[Value, None]) -> None:
        self._generator = generator

    def __aiter__(self) -> InnerGenerator[Value]:
        return self

    def __anext__(self) -> Awaitable[Value]:
        # A generator calls the hooks in the first call of this method.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.__anext__()
        finally:
            sys.set_asyncgen_hooks(*hooks)

    async def aclose(self) -> None:
        await self._generator.aclose()


def loop_time() -> float:
    """Seconds on the running event loop's clock, which its timers use, too. A test may replace that clock."""
    return asyncio.get_running_loop().time()

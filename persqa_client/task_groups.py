"""Several requests at once that end together: the first error ends the others and comes out as itself. Waits only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Value = TypeVar("Value")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first error is raised without its group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def gather_all(*coroutines: Coroutine[Any, Any, Value]) -> list[Value]:
    """The results in order. Unlike asyncio.gather, it leaves nothing running behind an error."""
    async with task_group() as group:
        started = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in started]


async def wait_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Until the first of them ends, or fails; the others are ended."""
    started = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in started:
            task.cancel()
    for task in done:
        task.result()

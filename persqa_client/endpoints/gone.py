"""A server that this program has started itself: when it is gone, nobody starts it again. Asks by a given function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from persqa_client.errors import RunStopped, ServerFailed

Gone = Callable[[], RunStopped | None]
"""Why a server is gone for good; None while it is there."""

LOOK_EVERY = 0.1
SEEN_BY_THEN = 5.0
"""Seconds: a server stops listening when it begins to end, and is gone only when it has ended."""


async def end_of(gone: Gone) -> NoReturn:
    """Raises the reason as soon as the server is known to be gone."""
    while True:
        if (stop := gone()) is not None:
            raise stop
        await asyncio.sleep(LOOK_EVERY)


async def explained(stop: RunStopped, gone: Gone | None, alive: Callable[[], Awaitable[bool]]) -> RunStopped:
    """A refusal, or the server's own end in its place, where that is what brought it about."""
    if gone is None or isinstance(stop, ServerFailed) or await alive():
        return stop
    try:
        async with asyncio.timeout(SEEN_BY_THEN):
            await end_of(gone)
    except TimeoutError:
        return stop
    except RunStopped as end:
        return end

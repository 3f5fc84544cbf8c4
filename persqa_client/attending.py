"""A run and what goes on beside it until it ends: somebody who shows it, somebody who looks after its server. Waits,
nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from persqa_client.errors import RunStopped
from persqa_client.runs import Run, Summary

LOOK_EVERY = 0.2
"""Seconds between two looks at a server of one's own."""
SEEN_BY_THEN = 1.0
"""Seconds: that nothing listens any more is heard before it is seen that a server is gone, which is the reason."""
STOPPING = "Stopping: requests under way may finish (once more to stop at once)."

Beside = Callable[[Run], Coroutine[Any, Any, None]]
"""Goes on until it is cancelled, or has nothing more to do."""


async def attended(run: Run, *beside: Beside) -> Summary:
    """Raises as ``Run.execute`` does. What goes wrong beside a run is not the run's affair."""
    tasks = [asyncio.create_task(one(run)) for one in beside]
    try:
        return await run.execute()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def heed(run: Run, *, gone: Callable[[], RunStopped | None]) -> None:
    """Ends the run as soon as its server is gone for good: nobody will start it again, so waiting would be in vain.

    ``gone`` says why it is, or None.
    """
    while True:
        if (refusal := gone()) is not None:
            return run.refuse(refusal)
        await asyncio.sleep(LOOK_EVERY)

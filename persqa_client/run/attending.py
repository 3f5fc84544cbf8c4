"""A run and what goes on beside it until it ends: somebody who shows it, for one. Waits, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from persqa_client.run.run import Run
from persqa_client.run.summary import Summary

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

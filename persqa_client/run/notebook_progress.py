"""Shows the progress of a run in the output of a notebook's cell, in one place that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from time import monotonic
from typing import Any

from persqa_client.run.progress import ProgressMeter, list_figures

# Seconds between updates. Each is a message to the browser; the notebook keeps the last one.
UPDATE_INTERVAL = 0.5
BAR_WIDTH = 40

# Shows a text, or replaces the one that was shown.
Show = Callable[[str], object]


def open_display() -> Show:
    """A place in the output of the cell that runs. Needs IPython, which every notebook has."""
    display = import_module("IPython.display").display
    handle: Any = None

    def show(text: str) -> None:
        nonlocal handle
        content = {"text/plain": text}
        if handle is None:
            handle = display(content, raw=True, display_id=True)
        else:
            handle.update(content, raw=True)

    return show


async def show_in_notebook(meter: ProgressMeter, show: Show, interval: float = UPDATE_INTERVAL) -> None:
    """Until it is cancelled. The last figures stay."""
    shown = ""
    try:
        while True:
            text = describe_progress(meter)
            if text != shown:
                show(text)
                shown = text
            await asyncio.sleep(interval)
    finally:
        show(describe_progress(meter, is_last=True))


def describe_progress(meter: ProgressMeter, *, is_last: bool = False) -> str:
    """A bar, and the figures and waits below it. At the end the figures alone, if there are any."""
    snapshot = meter.take(monotonic())
    if is_last:
        return replace(snapshot, seconds_left=None).format() if snapshot.done else ""
    bar = f"  {draw_bar(snapshot.fraction)}" if meter.is_answering and snapshot.fraction is not None else ""
    return "\n".join((meter.work + bar, *list_figures(snapshot, meter)))


def draw_bar(fraction: float) -> str:
    """
    >>> draw_bar(0.25)
    '██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░'
    """
    done = int(max(0.0, min(1.0, fraction)) * BAR_WIDTH)
    return "█" * done + "░" * (BAR_WIDTH - done)

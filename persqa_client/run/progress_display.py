"""Shows the progress of a run: a bar on a terminal or in a notebook, otherwise lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from time import monotonic
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from persqa_client.run.phases import MIN_WAIT
from persqa_client.run.progress import ProgressMeter, ProgressSnapshot, list_figures
from persqa_client.run.row_count import RowCount
from persqa_client.run.run import Run

# Seconds between updates of a bar and looks at the phase, and between lines with figures.
BAR_INTERVAL = 0.25
LINE_INTERVAL = 10.0
# Seconds between updates in a notebook. Each is a message to the browser; the notebook keeps the last one.
NOTEBOOK_INTERVAL = 0.5
BAR_WIDTH = 40
# What a terminal writes at Ctrl-C.
INTERRUPT = "^C"

# Shows a text, or replaces the one that was shown.
Show = Callable[[str], object]


async def show_progress(run: Run, console: Console) -> None:
    with RowCount(run.source, run.settings.limit, run.settings.shard) as count:
        await show_meter(make_meter(run, count), console)


async def show_meter(meter: ProgressMeter, console: Console) -> None:
    if console.is_jupyter:
        await show_in_notebook(meter, open_display())
    elif console.is_interactive:
        await show_bar(meter, console)
    else:
        await show_lines(meter, partial(console.print, soft_wrap=True, highlight=False, markup=False))


def make_meter(run: Run, count: RowCount) -> ProgressMeter:
    return ProgressMeter(run, monotonic(), count_rows=lambda: count.rows, price=run.plan.limits.price)


async def log_progress(run: Run, write: Callable[[str], None], interval: float) -> None:
    """Lines for a log file, which has each phase."""
    with RowCount(run.source, run.settings.limit, run.settings.shard) as count:
        await show_lines(make_meter(run, count), write, interval=interval, patience=0.0)


async def show_lines(
    meter: ProgressMeter, write: Callable[[str], None], interval: float = LINE_INTERVAL, patience: float = MIN_WAIT
) -> None:
    """Writes the figures at each ``interval``, and a phase once it has lasted for ``patience``, both in seconds."""
    written_at, kind = monotonic(), ""
    while True:
        snapshot, phases = meter.take(monotonic()), meter.phases
        now = monotonic()
        is_new = phases.shown.kind != kind and now - phases.since >= patience
        if is_new:
            # A wait that has ended is followed by the figures.
            is_told = meter.is_answering and not phases.shown.is_wait and not kind
            kind = phases.shown.kind
        if (is_new and not is_told) or now - written_at >= interval:
            written_at = now
            write(describe_snapshot(snapshot, meter, is_new=is_new))
        await asyncio.sleep(min(interval, BAR_INTERVAL))


def describe_snapshot(snapshot: ProgressSnapshot, meter: ProgressMeter, *, is_new: bool) -> str:
    """The figures, and why it waits; before rows are answered, and at the beginning of a wait, the phase alone."""
    is_wait = meter.phases.shown.is_wait
    if not meter.is_answering or (is_new and is_wait):
        return snapshot.phase
    return " | ".join(filter(None, (snapshot.format(), snapshot.phase if is_wait else None, snapshot.trouble)))


@dataclass(frozen=True, slots=True)
class WithMargin:
    """Has room for the ^C that the terminal writes behind the last line. If that wrapped, the bar would stay."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.content, options.update_width(max(1, options.max_width - len(INTERRUPT))))


class BarWithText(Progress):
    """Shows the figures on separate lines below the bar, so that they fit a narrow terminal."""

    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from map(WithMargin, (*super().get_renderables(), *map(Text, self.lines)))


def fold_figures(text: str, width: int) -> str:
    """Ends lines between figures, which are separated by commas.

    >>> fold_figures("7/240 rows done, 0 failed, 8 of 8 in flight", 28)
    '7/240 rows done, 0 failed,\\n8 of 8 in flight'
    """
    first, *figures = text.split(", ")
    lines = [first]
    for figure in figures:
        if len(lines[-1]) + len(figure) + len(", ,") > width:
            lines[-1] += ","
            lines.append(figure)
        else:
            lines[-1] += f", {figure}"
    return "\n".join(lines)


async def show_bar(meter: ProgressMeter, console: Console) -> None:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=None))
    with BarWithText(*columns, console=console, transient=True, auto_refresh=False, expand=True) as bar:
        bar_id = bar.add_task(meter.work, total=None)
        while True:
            snapshot = meter.take(monotonic())
            width = console.width - len(INTERRUPT)
            bar.lines = tuple(fold_figures(line, width) for line in list_figures(snapshot, meter))
            total = None if snapshot.fraction is None else 1.0
            completed = snapshot.fraction or 0.0
            bar.update(bar_id, description=meter.work, total=total, completed=completed, refresh=True)
            await asyncio.sleep(BAR_INTERVAL)


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


async def show_in_notebook(meter: ProgressMeter, show: Show, interval: float = NOTEBOOK_INTERVAL) -> None:
    """Shows the progress until it is cancelled. The last figures stay."""
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

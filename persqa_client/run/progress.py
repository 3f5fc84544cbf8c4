"""What a person sees while a run goes on: a bar on a terminal, a line every ten seconds on a pipe. Prints to stderr."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from persqa_client.endpoints.traffic import describe_trouble
from persqa_client.run.run import Run

REFRESH = 0.25
LINE_EVERY = 10.0


class QuietConsole(Console):
    """A console that falls silent when nobody reads it any more; rich's own ends the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


@dataclass(frozen=True, slots=True)
class Glance:
    """How a run stands at a moment, in the numbers that are shown."""

    done: int
    failed: int
    in_flight: int
    slots: int
    rows_per_second: float
    tokens_per_second: float
    again: int
    share: float | None
    """Of the input that has been read, 0 to 1; None where that can't be known."""
    seconds_left: float | None
    trouble: str | None
    """Why nothing is sent at the moment, or which endpoints are away."""

    def words(self) -> str:
        left = "" if self.seconds_left is None else f", {timedelta(seconds=round(self.seconds_left))} left"
        # None are counted before the first answer, and where somebody else talks to the server.
        tokens = f"{self.tokens_per_second:.0f} tokens/s, " if self.tokens_per_second else ""
        text = (
            f"{self.done:,} done, {self.failed:,} failed, {self.in_flight} of {self.slots} in flight, "
            f"{self.rows_per_second:.1f} rows/s, {tokens}{self.again} retries{left}"
        )
        return f"{text} | {self.trouble}" if self.trouble else text


def glance(run: Run, seconds: float) -> Glance:
    """``seconds``: since this process began to answer."""
    live, traffic = run.live, run.pool.traffic
    elapsed = max(seconds, 1e-3)
    read = live.read - live.read_at_start
    known = live.total is not None and live.total > 0 and live.phase == "running"
    left = (live.total - live.read) * elapsed / read if known and read > 0 and live.total is not None else None
    return Glance(
        done=live.done,
        failed=live.failed,
        in_flight=run.pool.in_use,
        slots=run.pool.slots,
        rows_per_second=live.done / elapsed,
        tokens_per_second=traffic.usage.completion / elapsed,
        again=traffic.retried,
        share=live.read / live.total if known and live.total else None,
        seconds_left=left,
        trouble=describe_trouble(run.pool),
    )


async def show_progress(run: Run, console: Console) -> None:
    """Shows until it is cancelled."""
    if console.is_terminal:
        await show_bar(run, console)
    else:
        await show_lines(run, console)


async def show_lines(run: Run, console: Console, every: float = LINE_EVERY) -> None:
    began = monotonic()
    while True:
        await asyncio.sleep(every)
        console.print(glance(run, monotonic() - began).words(), soft_wrap=True, highlight=False)


class Bar(Progress):
    """A bar with the run's words below it, where a narrow terminal has room for all of them."""

    words = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.words)


async def show_bar(run: Run, console: Console) -> None:
    began = monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
    with Bar(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(run.live.phase, total=None)
        while True:
            paint(bar, task, run, monotonic() - began)
            await asyncio.sleep(REFRESH)


def paint(bar: Bar, task: TaskID, run: Run, seconds: float) -> None:
    now = glance(run, seconds)
    total, completed = (1.0, now.share) if now.share is not None else (None, 0.0)
    bar.words = now.words() if run.live.phase == "running" else ""
    bar.update(task, description=run.live.phase, total=total, completed=completed, refresh=True)

"""Progress on stderr: a bar on a terminal, otherwise a line every ten seconds."""

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

# Seconds between updates.
BAR_INTERVAL = 0.25
LINE_INTERVAL = 10.0


class QuietConsole(Console):
    """Stops printing when its output is closed; rich would exit the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    done: int
    failed: int
    in_flight: int
    permits: int
    rows_per_second: float
    tokens_per_second: float
    retries: int
    # Fraction of the input read so far; None if unknown.
    fraction: float | None
    seconds_left: float | None
    # Why requests wait, or which endpoints are unavailable.
    trouble: str | None

    def format(self) -> str:
        left = "" if self.seconds_left is None else f", {timedelta(seconds=round(self.seconds_left))} left"
        # Zero before the first answer, and for servings that report no usage.
        tokens = f"{self.tokens_per_second:.0f} tokens/s, " if self.tokens_per_second else ""
        text = (
            f"{self.done:,} done, {self.failed:,} failed, {self.in_flight} of {self.permits} in flight, "
            f"{self.rows_per_second:.1f} rows/s, {tokens}{self.retries} retries{left}"
        )
        return f"{text} | {self.trouble}" if self.trouble else text


def take_snapshot(run: Run, seconds: float) -> ProgressSnapshot:
    """``seconds``: time since this process started answering rows."""
    progress, traffic = run.progress, run.pool.traffic
    elapsed = max(seconds, 1e-3)
    fraction = seconds_left = None
    if progress.total and progress.phase == "running":
        fraction = progress.read / progress.total
        # What is read is ahead of what is finished, by the tasks in flight.
        read = progress.read - progress.read_at_start
        finished = read * progress.done / max(1, progress.done + progress.in_flight)
        left = progress.total - progress.read_at_start - finished
        seconds_left = left * elapsed / finished if finished > 0 else None
    return ProgressSnapshot(
        done=progress.done,
        failed=progress.failed,
        in_flight=run.pool.in_use,
        permits=run.pool.permits,
        rows_per_second=progress.done / elapsed,
        tokens_per_second=traffic.usage.completion / elapsed,
        retries=traffic.retried,
        fraction=fraction,
        seconds_left=seconds_left,
        trouble=describe_trouble(run.pool),
    )


async def show_progress(run: Run, console: Console) -> None:
    if console.is_terminal:
        await show_bar(run, console)
    else:
        await show_lines(run, console)


async def show_lines(run: Run, console: Console, interval: float = LINE_INTERVAL) -> None:
    began = monotonic()
    while True:
        await asyncio.sleep(interval)
        console.print(take_snapshot(run, monotonic() - began).format(), soft_wrap=True, highlight=False)


class BarWithText(Progress):
    """Shows the figures on separate lines below the bar, so that they fit a narrow terminal."""

    text = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.text)


async def show_bar(run: Run, console: Console) -> None:
    began = monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
    with BarWithText(*columns, console=console, transient=True, auto_refresh=False) as bar:
        bar_id = bar.add_task(run.progress.phase, total=None)
        while True:
            update_bar(bar, bar_id, run, monotonic() - began)
            await asyncio.sleep(BAR_INTERVAL)


def update_bar(bar: BarWithText, bar_id: TaskID, run: Run, seconds: float) -> None:
    snapshot, phase = take_snapshot(run, seconds), run.progress.phase
    bar.text = snapshot.format() if phase == "running" else ""
    total = None if snapshot.fraction is None else 1.0
    bar.update(bar_id, description=phase, total=total, completed=snapshot.fraction or 0.0, refresh=True)

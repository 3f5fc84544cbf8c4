"""Progress on stderr: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from persqa_client.endpoints.traffic import describe_trouble
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.sources import SeveralSource, Source
from persqa_client.run.run import Run

# Seconds between updates.
BAR_INTERVAL = 0.25
LINE_INTERVAL = 10.0
# Seconds over which rates are measured.
RATE_WINDOW = 60.0
# Bytes of a file whose lines are counted at a time; size of the largest file whose lines are counted.
COUNTED_BYTES, MAX_COUNTED = 4 << 20, 4 << 30


class QuietConsole(Console):
    """Stops printing when its output is closed; rich would exit the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Pace:
    """Rates of a run over the last minute, from repeated calls of ``update``."""

    def __init__(self, began: float) -> None:
        # Seconds, finished tasks, completion tokens.
        self._samples = deque([(began, 0, 0)])

    def update(self, now: float, done: int, tokens: int) -> tuple[float, float]:
        """Tasks and completion tokens per second."""
        self._samples.append((now, done, tokens))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_WINDOW:
            self._samples.popleft()
        then, done_then, tokens_then = self._samples[0]
        seconds = max(now - then, 1e-3)
        return (done - done_then) / seconds, (tokens - tokens_then) / seconds


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """Tasks are rows, or questions if a row may have several."""

    # Finished in this process and in earlier ones.
    done: int
    # None if unknown.
    total: int | None
    failed: int
    in_flight: int
    permits: int
    # The next two are of the last minute.
    tasks_per_second: float
    tokens_per_second: float
    retries: int
    # Finished fraction of the input; None if unknown.
    fraction: float | None
    seconds_left: float | None
    # Why requests wait, or which endpoints are unavailable.
    trouble: str | None
    task_name: str = "rows"

    def format(self) -> str:
        share = "" if self.fraction is None else f" ({self.fraction:.0%})".replace("%", " %")
        done = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        left = "" if self.seconds_left is None else f", {timedelta(seconds=round(self.seconds_left))} left"
        # Zero before the first answer, and for servings that report no usage.
        retries = f"{self.retries:,} {'retry' if self.retries == 1 else 'retries'}"
        tokens = f"{self.tokens_per_second:.0f} tokens/s, " if self.tokens_per_second else ""
        text = (
            f"{done} {self.task_name} done{share}, {self.failed:,} failed, "
            f"{self.in_flight} of {self.permits} in flight, "
            f"{self.tasks_per_second:.1f} {self.task_name}/s, {tokens}{retries}{left}"
        )
        return f"{text} | {self.trouble}" if self.trouble else text


def take_snapshot(run: Run, pace: Pace, now: float, rows: int | None = None) -> ProgressSnapshot:
    """``now``: seconds of the clock of ``pace``. ``rows``: those of the input, if they are known."""
    progress, traffic = run.progress, run.pool.traffic
    tasks_per_second, tokens_per_second = pace.update(now, progress.done, traffic.usage.completion)
    is_single = run.settings.recipe.questions == 1
    done = progress.earlier + progress.done
    total = fraction = None
    if rows is not None and is_single and not progress.is_retry:
        total = rows if run.settings.limit is None else min(rows, run.settings.limit)
        total = max(total, done)
        fraction = done / max(1, total)
    elif progress.total and progress.phase == "running":
        # What is read is ahead of what is finished, by the tasks in flight.
        read = progress.read - progress.read_at_start
        finished = read * progress.done / max(1, progress.done + progress.in_flight)
        fraction = (progress.read_at_start + finished) / progress.total
    return ProgressSnapshot(
        done=done,
        total=total,
        failed=progress.failed,
        in_flight=run.pool.in_use,
        permits=run.pool.permits,
        tasks_per_second=tasks_per_second,
        tokens_per_second=tokens_per_second,
        retries=traffic.retried,
        fraction=fraction,
        seconds_left=estimate_seconds_left(fraction, done, tasks_per_second),
        trouble=describe_trouble(run.pool),
        task_name="rows" if is_single else "questions",
    )


def estimate_seconds_left(fraction: float | None, done: int, tasks_per_second: float) -> float | None:
    if not fraction or not done or not tasks_per_second:
        return None
    return done * (1 - fraction) / fraction / tasks_per_second


class RowCount:
    """Counts the rows of an input in a thread, so that a run over a large file does not wait for it."""

    def __init__(self, source: Source) -> None:
        self.rows: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(source,), daemon=True)
        self._thread.start()

    def _count(self, source: Source) -> None:
        try:
            sources = source.sources if isinstance(source, SeveralSource) else (source,)
            counts = [count_rows(each, self._stopped) for each in sources]
        except OSError:
            return
        if None not in counts:
            self.rows = sum(count for count in counts if count is not None)

    def stop(self) -> None:
        self._stopped.set()


def count_rows(source: Source, stopped: threading.Event) -> int | None:
    """Blank lines of a file count. None for inputs that must be parsed, for files so large that reading them takes
    minutes, and once ``stopped`` is set.
    """
    if isinstance(source, SpooledSource):
        source = source.source
    if type(source) is FileSource:
        if source.progress_total() > MAX_COUNTED:
            return None
        lines, last = 0, b"\n"
        with source.path.open("rb", buffering=0) as file:
            while block := file.read(COUNTED_BYTES):
                if stopped.is_set():
                    return None
                lines, last = lines + block.count(b"\n"), block[-1:]
        return lines + (last != b"\n")
    return None if isinstance(source, FileSource) else source.progress_total()


async def show_progress(run: Run, console: Console) -> None:
    count = RowCount(run.source)
    try:
        if console.is_terminal:
            await show_bar(run, console, count)
        else:
            await show_lines(run, console, count)
    finally:
        count.stop()


async def show_lines(
    run: Run, console: Console, count: RowCount | None = None, interval: float = LINE_INTERVAL
) -> None:
    pace = Pace(monotonic())
    while True:
        await asyncio.sleep(interval)
        text = format_phase(run, take_snapshot(run, pace, monotonic(), count.rows if count else None))
        console.print(text, soft_wrap=True, highlight=False)


def format_phase(run: Run, snapshot: ProgressSnapshot) -> str:
    """The phase, until rows are answered."""
    return snapshot.format() if run.progress.phase == "running" else run.progress.phase


class BarWithText(Progress):
    """Shows the figures on separate lines below the bar, so that they fit a narrow terminal."""

    text = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.text)


async def show_bar(run: Run, console: Console, count: RowCount | None = None) -> None:
    pace = Pace(monotonic())
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None))
    with BarWithText(*columns, console=console, transient=True, auto_refresh=False, expand=True) as bar:
        bar_id = bar.add_task(run.progress.phase, total=None)
        while True:
            update_bar(bar, bar_id, run, take_snapshot(run, pace, monotonic(), count.rows if count else None))
            await asyncio.sleep(BAR_INTERVAL)


def update_bar(bar: BarWithText, bar_id: TaskID, run: Run, snapshot: ProgressSnapshot) -> None:
    phase = run.progress.phase
    bar.text = snapshot.format() if phase == "running" else ""
    total = None if snapshot.fraction is None else 1.0
    bar.update(bar_id, description=phase, total=total, completed=snapshot.fraction or 0.0, refresh=True)

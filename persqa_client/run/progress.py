"""The progress of a run in figures, for displays and for callbacks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Protocol, cast

from persqa_client.config import Price
from persqa_client.endpoints.pool import Pool
from persqa_client.engines.budget import cost_of, format_amount
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import SettingsError
from persqa_client.outcomes import Failure, Outcome
from persqa_client.run.phases import PhaseWatch, describe_trouble, is_answering
from persqa_client.run.prices import KnownPrice, find_known_price
from persqa_client.run.row_count import RowCount
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import format_rate

logger = logging.getLogger(__name__)

# Seconds between calls of a callback, and over which rates are measured.
CALL_INTERVAL = 0.25
RATE_WINDOW = 60.0


class Watched(Protocol):
    """A run, or a stream of rows."""

    settings: RunSettings
    progress: RunProgress

    @property
    def pool(self) -> Pool: ...


@dataclass(slots=True)
class WatchedStream:
    """Counts the outcomes of rows that are answered without a run."""

    settings: RunSettings
    pool: Pool
    progress: RunProgress = field(default_factory=RunProgress)

    def add(self, outcome: Outcome) -> None:
        self.progress.done += 1
        self.progress.failed += isinstance(outcome, Failure)
        self.progress.spending.add(outcome)


class Pace:
    """Rates of a run over the last minute, from repeated calls of ``update``."""

    def __init__(self, began: float, done: int = 0, tokens: int = 0) -> None:
        # Seconds, finished tasks, completion tokens.
        self._samples = deque([(began, done, tokens)])

    def update(self, now: float, done: int, tokens: int) -> tuple[float, float]:
        """Tasks and completion tokens per second."""
        self._samples.append((now, done, tokens))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_WINDOW:
            self._samples.popleft()
        then, done_then, tokens_then = self._samples[0]
        seconds = max(now - then, 1e-3)
        return (done - done_then) / seconds, (tokens - tokens_then) / seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSnapshot:
    """The state of a run at a moment. Rows are questions if a row may have several."""

    # Counts of the whole run, with its earlier starts.
    done: int = 0
    # None if unknown.
    total: int | None = None
    failed: int = 0
    # Rates of the last minute, and the time left at them.
    rows_per_second: float = 0.0
    tokens_per_second: float = 0.0
    seconds_left: float | None = None
    # Requests on their way to the servers, and how many may be.
    in_flight: int = 0
    limit: int = 0
    retries: int = 0
    # Tokens of the finished rows of the whole run.
    prompt_tokens: int = 0
    completion_tokens: int = 0
    # None if the prices are not known.
    cost: float | None = None
    # What the run does, or waits for, in words.
    phase: str = ""
    # Which endpoints are unavailable or refuse many requests.
    trouble: str | None = None
    # Finished fraction of the input; None if unknown.
    fraction: float | None = None
    row_name: str = "rows"

    def format(self) -> str:
        share = "" if self.fraction is None else f" ({self.fraction:.0%})".replace("%", " %")
        done = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        left = "" if self.seconds_left is None else f", {timedelta(seconds=round(self.seconds_left))} left"
        # Zero before the first answer, and while the server is away; for servings that report no usage, too.
        rate = f", {format_rate(self.rows_per_second, self.row_name)}" if self.rows_per_second else ""
        tokens = f", {self.tokens_per_second:.0f} tokens/s" if self.tokens_per_second else ""
        retries = f", {self.retries:,} {'retry' if self.retries == 1 else 'retries'}" if self.retries else ""
        cost = "" if self.cost is None else f", cost {format_amount(self.cost)}"
        return (
            f"{done} {self.row_name} done{share}, {self.failed:,} failed, "
            f"{self._describe_flight()}{rate}{tokens}{retries}{cost}{left}"
        )

    def _describe_flight(self) -> str:
        if self.in_flight <= self.limit:
            return f"{self.in_flight} of {self.limit} in flight"
        # Requests that were sent before the limit fell.
        return f"{self.in_flight} in flight (limit {self.limit})"


class ProgressMeter:
    """Takes snapshots of a run. ``count_rows`` returns the number of its rows, or None while it is unknown."""

    def __init__(
        self,
        watched: Watched,
        began: float,
        *,
        count_rows: Callable[[], int | None] = lambda: None,
        price: Price | None = None,
    ) -> None:
        self.phases = PhaseWatch()
        self._watched = watched
        self._pace = Pace(began)
        # When it last did something else than answering, and the rows that were finished then.
        self._idle: tuple[float, int] | None = None
        self._count_rows = count_rows
        self.price = price

    @property
    def is_answering(self) -> bool:
        return is_answering(self._watched.progress)

    @property
    def work(self) -> str:
        """The work of the run, whatever it waits for."""
        return self._watched.progress.phase

    def take(self, now: float) -> ProgressSnapshot:
        """``now``: seconds of the clock of ``began``."""
        progress, pool, spending = self._watched.progress, self._watched.pool, self._watched.progress.spending
        traffic = pool.traffic
        phase = self.phases.update(now, progress, pool)
        self._follow_phase(now, traffic.usage.completion)
        rows_per_second, tokens_per_second = self._pace.update(now, progress.done, traffic.usage.completion)
        done = progress.earlier + progress.done
        total, fraction = self._find_total(done)
        tokens = spending.prompt_tokens, spending.completion_tokens
        left = estimate_seconds_left(fraction, done, rows_per_second)
        if phase.kind == "server":
            # Nobody knows when it comes back, and the rates would only fall.
            left, rows_per_second, tokens_per_second = None, 0.0, 0.0
        return ProgressSnapshot(
            done=done,
            total=total,
            failed=progress.earlier_failed + progress.failed,
            rows_per_second=rows_per_second,
            tokens_per_second=tokens_per_second,
            seconds_left=left,
            in_flight=pool.in_use,
            limit=pool.permits,
            retries=traffic.retried,
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            cost=None if self.price is None else cost_of(self.price, *tokens),
            phase=phase.text,
            trouble=describe_trouble(pool),
            fraction=fraction,
            row_name="rows" if self._watched.settings.recipe.questions == 1 else "questions",
        )

    def _follow_phase(self, now: float, tokens: int) -> None:
        """The rates begin with the first row, without the tokens of the probes, and again after the server was away."""
        if not self.is_answering or self.phases.shown.kind == "server":
            self._idle = now, self._watched.progress.done
        elif self._idle is not None:
            self._pace, self._idle = Pace(*self._idle, tokens), None

    def _find_total(self, done: int) -> tuple[int | None, float | None]:
        """The number of rows, and the finished fraction of them."""
        progress, settings = self._watched.progress, self._watched.settings
        rows = self._count_rows()
        if rows is not None and settings.recipe.questions == 1 and not progress.is_retry:
            total = max(done, rows if settings.limit is None else min(rows, settings.limit))
            return total, done / max(1, total)
        if not progress.total or not self.is_answering:
            return None, None
        # What is read is ahead of what is finished, by the tasks in flight.
        if not progress.is_retry:
            # Also in earlier starts, whose answers may be of rows behind the place where this one began to read.
            return None, progress.read / progress.total * done / max(1, done + progress.in_flight)
        read = progress.read - progress.read_at_start
        finished = read * progress.done / max(1, progress.done + progress.in_flight)
        return None, (progress.read_at_start + finished) / progress.total


def list_figures(snapshot: ProgressSnapshot, meter: ProgressMeter) -> Iterator[str]:
    """The lines below a bar, which names what the run does."""
    if meter.is_answering:
        yield snapshot.format()
    if meter.phases.shown.is_wait:
        yield snapshot.phase
    if snapshot.trouble:
        yield snapshot.trouble


def estimate_seconds_left(fraction: float | None, done: int, rows_per_second: float) -> float | None:
    if not fraction or not done or not rows_per_second:
        return None
    return done * (1 - fraction) / fraction / rows_per_second


OnProgress = Callable[[ProgressSnapshot], object]


def check_callback(on_progress: OnProgress | None) -> None:
    """Raises SettingsError."""
    if on_progress is None:
        return
    if not callable(cast(object, on_progress)) or inspect.iscoroutinefunction(on_progress):
        raise SettingsError("on_progress must be a function without async; it gets a snapshot of the progress.")


async def report_run(run: Run, on_progress: OnProgress) -> None:
    with RowCount(run.source, run.settings.limit, run.settings.shard) as count:
        await report_progress(run, on_progress, lambda: count.rows)


async def report_progress(
    watched: Watched, on_progress: OnProgress, count_rows: Callable[[], int | None] = lambda: None
) -> None:
    """Calls ``on_progress`` until it is cancelled, and then once more. Exceptions of it are logged once."""
    settings, call = watched.settings, make_safe(on_progress)
    meter = ProgressMeter(watched, monotonic(), count_rows=count_rows, price=settings.limits.price)
    # In a thread, since it reads many prices; until it ends, there is no cost.
    known = None if meter.price else asyncio.ensure_future(asyncio.to_thread(find_known_price, settings))
    try:
        with suppress(asyncio.CancelledError):
            while True:
                call(meter.take(monotonic()))
                await asyncio.sleep(CALL_INTERVAL)
                if known is not None and known.done():
                    meter.price, known = read_price(known), None
    finally:
        if known is not None:
            known.cancel()
        call(replace(meter.take(monotonic()), phase="ended", seconds_left=None))


def read_price(found: asyncio.Future[KnownPrice | None]) -> Price | None:
    """None if looking it up has failed: a display continues without the cost."""
    try:
        price = found.result()
    except Exception:
        logger.warning("The price of the model could not be looked up; the progress has no cost.", exc_info=True)
        return None
    return None if price is None else price.price


def make_safe(on_progress: OnProgress) -> Callable[[ProgressSnapshot], None]:
    """An error in a display must not end a run of hours."""
    has_failed = False

    def call(snapshot: ProgressSnapshot) -> None:
        nonlocal has_failed
        try:
            on_progress(snapshot)
        except Exception:
            if not has_failed:
                logger.warning("on_progress raised an exception; the run goes on.", exc_info=True)
            has_failed = True

    return call

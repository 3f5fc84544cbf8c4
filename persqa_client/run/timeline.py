"""The timeline of a run: samples of its progress and its traffic while it works, one line each in a file beside the
output.

A mark with the time of day begins what each process has written; the samples have the seconds since the process began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.traffic_counts import DURATION_BOUNDS, find_percentiles
from persqa_client.engines.row_loop import RunProgress
from persqa_client.errors import StorageError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.storage.ledger import AnyLedger, Ledger
from persqa_client.storage.timeline_file import TIMELINE, TimelineFile, is_timeline
from persqa_client.types import Json

# Seconds between samples: in the first five minutes, and then.
FIRST_INTERVAL, INTERVAL, FIRST_MINUTES = 1.0, 10.0, 300.0
# After these minutes, a line of more than 190 bytes makes the next interval longer: a day has less than 2 MB.
BYTES_PER_SECOND = 19.0
LATENCY_BOUNDS = "latency_bounds"
# A line with a larger number is damaged.
MAX_FIGURE = 1e15
NO_LATENCY = (0,) * (len(DURATION_BOUNDS) + 1)


@dataclass(frozen=True, slots=True)
class TimelineSample:
    """Counts are of this process. ``running`` and ``waiting``: requests at the servers; None if no server reports them.

    ``latency``: answers by duration, in the classes of ``DURATION_BOUNDS``.
    """

    seconds: float
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    limit: int = 0
    running: float | None = None
    waiting: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    latency: Sequence[int] = NO_LATENCY


def take_sample(progress: RunProgress, pool: Pool, seconds: float) -> TimelineSample:
    traffic = pool.traffic
    reported = [session.concurrency_limit.server_metrics for session in pool.sessions]
    metrics = [each for each in reported if each is not None]
    return TimelineSample(
        seconds=seconds,
        done=progress.done,
        failed=progress.failed,
        in_flight=pool.in_use,
        limit=pool.permits,
        running=sum(each.running for each in metrics) if metrics else None,
        waiting=sum(each.waiting for each in metrics) if metrics else None,
        prompt_tokens=traffic.usage.prompt,
        completion_tokens=traffic.usage.completion,
        retries=traffic.retries,
        refusals=traffic.refusals,
        latency=traffic.durations.counts,
    )


def render_sample(sample: TimelineSample, previous: TimelineSample) -> bytes:
    """One line. Counts by reason are left out if they are those of the ``previous`` sample; ``latency`` has the answers
    since then, by the number of the class.
    """
    added = {
        str(number): count - earlier
        for number, (count, earlier) in enumerate(zip(sample.latency, previous.latency, strict=True))
        if count > earlier
    }
    fields: Json = {
        "t": round(sample.seconds, 1),
        "done": sample.done,
        "failed": sample.failed,
        "in_flight": sample.in_flight,
        "limit": sample.limit,
        "running": None if sample.running is None else round(sample.running),
        "waiting": None if sample.waiting is None else round(sample.waiting),
        "tokens": [sample.prompt_tokens, sample.completion_tokens],
        "retries": dict(sample.retries) if sample.retries != previous.retries else None,
        "refusals": dict(sample.refusals) if sample.refusals != previous.refusals else None,
        "latency": added or None,
    }
    return dump_compact({name: value for name, value in fields.items() if value is not None}) + b"\n"


def seconds_to_next_sample(seconds: float, length: int) -> float:
    """``seconds``: since the start of the process. ``length``: bytes of the latest line."""
    return FIRST_INTERVAL if seconds < FIRST_MINUTES else max(INTERVAL, length / BYTES_PER_SECOND)


class Timeline:
    """Records the passes of one process. ``clock``: seconds since its start. An error of the file ends the timeline."""

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._clock, self._warn = clock, warn
        self._previous = TimelineSample(0.0)
        self._has_mark = self._has_failed = False

    @asynccontextmanager
    async def record(self, ledger: AnyLedger, progress: RunProgress, pool: Pool) -> AsyncIterator[None]:
        """Samples now, then periodically, and at the end. Does nothing for a run without files."""
        file = self._open(ledger) if isinstance(ledger, Ledger) and not self._has_failed else None
        if file is None:
            yield
            return
        sampling = asyncio.create_task(self._sample_periodically(file, progress, pool))
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            self._append(file, progress, pool)
            file.close()

    def _open(self, ledger: Ledger) -> TimelineFile | None:
        """Opens the timeline. A retry continues that of the finished run, as it extends its other files."""
        path = ledger.files.timeline if ledger.mode == "retry" else ledger.files.timeline_partial
        try:
            file = TimelineFile(path)
        except StorageError as error:
            self._end(error)
            return None
        try:
            if not self._has_mark:
                file.append_mark({"started": format_time(datetime.now(UTC)), LATENCY_BOUNDS: DURATION_BOUNDS})
        except StorageError as error:
            file.close()
            self._end(error)
            return None
        self._has_mark = True
        return file

    async def _sample_periodically(self, file: TimelineFile, progress: RunProgress, pool: Pool) -> None:
        length = self._append(file, progress, pool)
        while length is not None:
            await asyncio.sleep(seconds_to_next_sample(self._clock(), length))
            length = self._append(file, progress, pool)

    def _append(self, file: TimelineFile, progress: RunProgress, pool: Pool) -> int | None:
        """Bytes of the line; None if the timeline has ended."""
        if self._has_failed:
            return None
        sample = take_sample(progress, pool, self._clock())
        line = render_sample(sample, self._previous)
        self._previous = sample
        try:
            file.append(line)
        except StorageError as error:
            self._end(error)
            return None
        return len(line)

    def _end(self, error: StorageError) -> None:
        self._has_failed = True
        self._warn(f"There is no timeline from now on, which the run does not need: {error}")


def format_time(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(slots=True)
class TimelineStart:
    """Start of the samples of one process. ``started``: in ISO 8601; empty if it is not known."""

    started: str
    samples: list[TimelineSample] = field(default_factory=list)


def read_timeline(path: Path) -> list[TimelineStart]:
    """Starts without samples are left out, as are lines that can't be read. Empty if there is no timeline."""
    if not is_timeline(path):
        return []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    return [start for start in parse_starts(lines) if start.samples]


def parse_starts(lines: Sequence[bytes]) -> Iterator[TimelineStart]:
    start, usable = TimelineStart(""), True
    for line in lines:
        try:
            fields = load_object(line)
            if TIMELINE in fields:
                yield start
                start = TimelineStart(str(fields.get("started", "")))
                # Durations in other classes, of another version, can't be merged.
                usable = fields.get(LATENCY_BOUNDS) == list(DURATION_BOUNDS)
            else:
                start.samples.append(parse_sample(fields, start.samples, has_latency=usable))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
            continue
    yield start


def parse_sample(fields: dict[str, Any], earlier: Sequence[TimelineSample], *, has_latency: bool) -> TimelineSample:
    """Raises ValueError, TypeError, KeyError, IndexError, AttributeError or OverflowError for a line that is not a
    sample, or is earlier than the one before.
    """
    previous = earlier[-1] if earlier else TimelineSample(0.0)
    latency = list(previous.latency)
    for number, count in fields.get("latency", {}).items() if has_latency else ():
        latency[read_count(int(number))] += read_count(count)
    prompt, completion = fields["tokens"]
    running, waiting = fields.get("running"), fields.get("waiting")
    seconds = read_figure(fields["t"])
    if seconds < previous.seconds:
        raise ValueError("earlier than the sample before")
    return TimelineSample(
        seconds=seconds,
        done=read_count(fields["done"]),
        failed=read_count(fields["failed"]),
        in_flight=read_count(fields["in_flight"]),
        limit=read_count(fields["limit"]),
        running=None if running is None else read_figure(running),
        waiting=None if waiting is None else read_figure(waiting),
        prompt_tokens=read_count(prompt),
        completion_tokens=read_count(completion),
        retries=read_reasons(fields["retries"]) if "retries" in fields else previous.retries,
        refusals=read_reasons(fields["refusals"]) if "refusals" in fields else previous.refusals,
        latency=latency,
    )


def read_figure(value: object) -> float:
    """Raises TypeError or ValueError for what no sample has."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("not a number")
    if not 0 <= value <= MAX_FIGURE:
        raise ValueError("out of range")
    return value


def read_count(value: object) -> int:
    return int(read_figure(value))


def read_reasons(counts: Mapping[object, object]) -> dict[str, int]:
    return {str(reason): read_count(count) for reason, count in counts.items()}


def find_latency(later: Sequence[int], earlier: Sequence[int], shares: Sequence[float]) -> list[float] | None:
    """Durations in seconds that these shares of the answers between two samples do not exceed; None without answers."""
    return find_percentiles([count - before for count, before in zip(later, earlier, strict=True)], shares)

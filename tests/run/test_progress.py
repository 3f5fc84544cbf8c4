"""Progress on a pipe and on a terminal, and other monitors of a run."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from persqa_client.config import Endpoint, Limits
from persqa_client.errors import RunStopped
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.background import execute_with_monitors
from persqa_client.run.progress import Pace, ProgressSnapshot, RowCount, count_rows, show_bar, show_lines, take_snapshot
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.simulator.server import SimSettings, run_simulator

MODEL = "persqa-simulator"


def make_run(base_url: str, picture: Path, rows: int) -> Run:
    settings = RunSettings(
        input=None,
        output=None,
        endpoint=Endpoint(base_url=base_url, model=MODEL),
        limits=Limits(concurrency=2),
        probes=False,
    )
    return Run(settings, InMemorySource([{"image": str(picture), "id": number} for number in range(rows)]))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


async def test_lines_are_printed_until_the_run_ends(picture: Path) -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=20)
    with run_simulator(SimSettings(latency=0.1)) as server:
        summary = await execute_with_monitors(
            make_run(server.base_url, picture, 12), partial(show_lines, console=console, interval=0.05)
        )
    assert summary.tally.succeeded == 12
    lines = printed.getvalue().splitlines()
    lines = [line for line in lines if line != "probing the server"]
    assert lines
    assert all(" rows done" in line and "0 failed, " in line for line in lines)
    await asyncio.sleep(0.12)
    assert printed.getvalue().splitlines() == lines


async def test_an_error_of_a_monitor_does_not_affect_the_run(picture: Path) -> None:
    async def broken(run: Run) -> None:
        raise OSError("closed terminal")

    with run_simulator(SimSettings(latency=0.05)) as server:
        summary = await execute_with_monitors(make_run(server.base_url, picture, 4), broken)
    assert summary.tally.succeeded == 4


def test_unknown_figures_are_left_out() -> None:
    snapshot = ProgressSnapshot(1200, None, 3, 64, 80, 12.34, 0.0, 2, None, None, None)
    assert snapshot.format() == "1,200 rows done, 3 failed, 64 of 80 in flight, 12.3 rows/s, 2 retries"
    full = ProgressSnapshot(1200, 2400, 3, 64, 80, 12.34, 99.6, 2, 0.5, 61.2, "waiting: server unavailable").format()
    assert full.startswith("1,200/2,400 rows done (50 %), 3 failed, ")
    assert full.endswith("12.3 rows/s, 100 tokens/s, 2 retries, 0:01:01 left | waiting: server unavailable")
    several = ProgressSnapshot(1200, None, 3, 64, 80, 12.34, 0.0, 2, 0.41, None, None, "questions").format()
    assert several.startswith("1,200 questions done (41 %), ")
    assert "12.3 questions/s" in several


def test_rates_are_those_of_the_last_minute() -> None:
    pace = Pace(0.0)
    assert pace.update(10.0, 100, 5000) == (10.0, 500.0)
    for second in range(11, 200):
        rates = pace.update(float(second), 100, 5000)
    assert rates == (0.0, 0.0)
    assert pace.update(200.0, 160, 5600) == (1.0, 10.0)


@pytest.mark.parametrize(("text", "rows"), [("", 0), ("{}\n{}\n", 2), ("{}\n{}", 2), ("{}" * 9 + "\n", 1)])
def test_lines_of_a_file_are_counted(tmp_path: Path, text: str, rows: int) -> None:
    (tmp_path / "in.jsonl").write_text(text)
    assert count_rows(FileSource(tmp_path / "in.jsonl"), threading.Event()) == rows
    stopped = threading.Event()
    stopped.set()
    assert count_rows(FileSource(tmp_path / "in.jsonl"), stopped) in (None, 0)


def test_the_rows_of_a_spooled_file_are_counted(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{}\n{}\n")
    spooled = SpooledSource(FileSource(tmp_path / "in.jsonl"), str(tmp_path / "gone"))
    assert count_rows(spooled, threading.Event()) == 2


async def test_a_resumed_run_begins_where_it_stands(picture: Path, tmp_path: Path) -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=20)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"image": str(picture), "id": n}) + "\n" for n in range(12)))
    with run_simulator(SimSettings(latency=0.1)) as server:
        settings = make_run(server.base_url, picture, 0).settings
        files = {"input": tmp_path / "in.jsonl", "output": tmp_path / "qa.jsonl"}
        settings = settings.model_copy(update={**files, "limits": Limits(concurrency=2, max_tokens_total=150)})
        with pytest.raises(RunStopped):
            await Run(settings, FileSource(tmp_path / "in.jsonl")).execute()
        settings = settings.model_copy(update={"limits": Limits(concurrency=2)})
        resumed = Run(settings, FileSource(tmp_path / "in.jsonl"))
        count = RowCount(resumed.source)
        await execute_with_monitors(resumed, partial(show_lines, console=console, count=count, interval=0.05))
    counts = re.findall(r"^(\d+)/12 rows done \((\d+) %\), ", printed.getvalue(), re.MULTILINE)
    assert counts, printed.getvalue()
    assert 2 <= int(counts[0][0]) <= int(counts[-1][0]) <= 12
    assert all(int(share) == round(100 * int(done) / 12) for done, share in counts)


async def test_a_narrow_terminal_shows_why_a_run_waits(picture: Path) -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=60, force_terminal=True)
    with run_simulator(SimSettings(latency=0.1)) as server:
        run = make_run(server.base_url, picture, 12)
    run.progress.phase = "running"
    run.pool.sessions[0].outage.reason = "connection refused"
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await show_bar(run, console)
    await run.pool.aclose()
    shown = " ".join(printed.getvalue().split())
    assert "0 retries" in shown
    assert "connection refused" in shown


async def test_the_time_left_follows_from_the_rows_that_are_finished(picture: Path) -> None:
    """All 40 rows are read, and two of them are answered in a minute."""
    run = make_run("http://127.0.0.1:9/v1", picture, 40)
    run.progress.phase, run.progress.total, run.progress.read = "running", 40, 40
    run.progress.done, run.progress.in_flight = 2, 38
    pace = Pace(0.0)
    snapshot, counted = take_snapshot(run, pace, 60.0), take_snapshot(run, pace, 60.0, 40)
    await run.pool.aclose()
    assert snapshot.seconds_left == counted.seconds_left == pytest.approx(38 * 30)
    assert (snapshot.total, counted.total, snapshot.fraction, counted.fraction) == (None, 40, 0.05, 0.05)

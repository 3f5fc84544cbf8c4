"""Progress on a pipe and on a terminal, and other monitors of a run."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest
from PIL import Image
from rich.console import Console

from persqa_client.config import Endpoint, Limits, Price
from persqa_client.engines.row_loop import ANSWERING
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.background import execute_with_monitors
from persqa_client.run.prices import KnownPrice
from persqa_client.run.progress import (
    Pace,
    ProgressMeter,
    ProgressSnapshot,
    check_callback,
    read_price,
    report_progress,
    report_run,
)
from persqa_client.run.progress_display import draw_bar, log_progress, show_bar, show_in_notebook, show_lines
from persqa_client.run.row_count import count_rows
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
    lines: list[str] = []

    async def show(run: Run) -> None:
        await show_lines(ProgressMeter(run, monotonic()), lines.append, interval=0.05)

    with run_simulator(SimSettings(latency=0.1)) as server:
        summary = await execute_with_monitors(make_run(server.base_url, picture, 12), show)
    assert summary.tally.succeeded == 12
    told = [line for line in lines if line not in ("Starting", "Asking for the server's models")]
    assert told
    assert all(" rows done" in line and "0 failed, " in line for line in told if line != "Finishing the files")
    await asyncio.sleep(0.12)
    assert len(lines) >= len(told)
    count = len(lines)
    await asyncio.sleep(0.12)
    assert len(lines) == count


async def test_an_error_of_a_monitor_does_not_affect_the_run(picture: Path) -> None:
    async def broken(run: Run) -> None:
        raise OSError("closed terminal")

    with run_simulator(SimSettings(latency=0.05)) as server:
        summary = await execute_with_monitors(make_run(server.base_url, picture, 4), broken)
    assert summary.tally.succeeded == 4


def test_unknown_figures_are_left_out() -> None:
    snapshot = ProgressSnapshot(done=1200, failed=3, in_flight=64, limit=80, rows_per_second=12.34, retries=2)
    assert snapshot.format() == "1,200 rows done, 3 failed, 64 of 80 in flight, 12.3 rows/s, 2 retries"
    full = replace(snapshot, total=2400, tokens_per_second=99.6, fraction=0.5, seconds_left=61.2, cost=1.234).format()
    assert full.startswith("1,200/2,400 rows done (50 %), 3 failed, ")
    assert full.endswith("12.3 rows/s, 100 tokens/s, 2 retries, cost 1.23, 0:01:01 left")
    several = replace(snapshot, fraction=0.41, row_name="questions").format()
    assert several.startswith("1,200 questions done (41 %), ")
    assert "12.3 questions/s" in several
    assert replace(snapshot, retries=0).format().endswith("12.3 rows/s")
    assert replace(snapshot, retries=0, rows_per_second=0.02).format().endswith("80 in flight, 1.2 rows/min")
    assert replace(snapshot, retries=0, rows_per_second=0.0).format().endswith("64 of 80 in flight")
    assert ", 64 in flight (limit 8), " in replace(snapshot, limit=8).format()


def test_rates_are_those_of_the_last_minute() -> None:
    pace = Pace(0.0)
    assert pace.update(10.0, 100, 5000) == (10.0, 500.0)
    for second in range(11, 200):
        rates = pace.update(float(second), 100, 5000)
    assert rates == (0.0, 0.0)
    assert pace.update(200.0, 160, 5600) == (1.0, 10.0)


async def test_rates_begin_again_after_an_outage(picture: Path) -> None:
    """Otherwise the time left would be that of a server that is often away."""
    run = make_run("http://127.0.0.1:9/v1", picture, 100)
    run.progress.phase, run.progress.done = ANSWERING, 20
    meter = ProgressMeter(run, 0.0)
    assert meter.take(10.0).rows_per_second == 2.0
    outage = run.pool.sessions[0].outage
    for now in (11.0, 14.0, 50.0, 51.0):
        outage.reason = "connection refused."
        assert meter.take(now).rows_per_second < 2.0
    outage.reason = None
    first = meter.take(51.25)
    assert (first.rows_per_second, first.seconds_left) == (0.0, None)
    run.progress.done = 24
    assert meter.take(53.0).rows_per_second == 2.0
    await run.pool.aclose()


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
    lines: list[str] = []
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"image": str(picture), "id": n}) + "\n" for n in range(12)))
    with run_simulator(SimSettings(latency=0.1)) as server:
        settings = make_run(server.base_url, picture, 0).settings
        files = {"input": tmp_path / "in.jsonl", "output": tmp_path / "qa.jsonl"}
        settings = settings.model_copy(update={**files, "limits": Limits(concurrency=2, max_tokens_total=150)})
        with pytest.raises(RunStopped):
            await Run(settings, FileSource(tmp_path / "in.jsonl")).execute()
        settings = settings.model_copy(update={"limits": Limits(concurrency=2)})
        resumed = Run(settings, FileSource(tmp_path / "in.jsonl"))
        await execute_with_monitors(resumed, partial(log_progress, write=lines.append, interval=0.05))
    counts = re.findall(r"^(\d+)/12 rows done \((\d+) %\), ", "\n".join(lines), re.MULTILINE)
    assert counts, lines
    assert 2 <= int(counts[0][0]) <= int(counts[-1][0]) <= 12
    assert all(int(share) == round(100 * int(done) / 12) for done, share in counts)


async def show_for_a_moment(run: Run, width: int, began: float) -> str:
    """What a terminal shows of a run that has waited since ``began``."""
    printed = io.StringIO()
    console = Console(file=printed, width=width, force_terminal=True)
    meter = ProgressMeter(run, began)
    meter.take(began)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await show_bar(meter, console)
    return printed.getvalue()


async def test_a_narrow_terminal_shows_why_a_run_waits(picture: Path) -> None:
    run = make_run("http://127.0.0.1:9/v1", picture, 12)
    run.progress.phase = ANSWERING
    run.pool.sessions[0].outage.reason = "connection refused."
    before = await show_for_a_moment(run, 60, monotonic())
    shown = await show_for_a_moment(run, 60, monotonic() - 10)
    await run.pool.aclose()
    assert "0 failed, 0 of 2 in flight" in " ".join(shown.split())
    assert "Waiting for the server (connection refused; 0 s)" in shown
    assert "connection refused" not in before


async def test_the_last_line_has_room_for_the_sign_of_ctrl_c(picture: Path) -> None:
    """If the terminal wrapped it, the bar could not be erased."""
    run = make_run("http://127.0.0.1:9/v1", picture, 12)
    shown = await show_for_a_moment(run, 60, monotonic())
    await run.pool.aclose()
    lines = [re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", line).strip("\r") for line in re.split("[\r\n]", shown)]
    assert any(line.startswith("Starting ") for line in lines)
    assert max(map(len, lines)) == 58


async def test_the_time_left_follows_from_the_rows_that_are_finished(picture: Path) -> None:
    """All 40 rows are read, and two of them are answered in a minute."""
    run = make_run("http://127.0.0.1:9/v1", picture, 40)
    run.progress.phase, run.progress.total, run.progress.read = ANSWERING, 40, 40
    run.progress.done, run.progress.in_flight = 2, 38
    snapshot = ProgressMeter(run, 0.0).take(60.0)
    counted = ProgressMeter(run, 0.0, count_rows=lambda: 40).take(60.0)
    await run.pool.aclose()
    assert snapshot.seconds_left == counted.seconds_left == pytest.approx(38 * 30)
    assert (snapshot.total, counted.total, snapshot.fraction, counted.fraction) == (None, 40, 0.05, 0.05)


async def test_answers_of_earlier_starts_that_wait_count_as_finished(picture: Path) -> None:
    """They are of rows behind the place where the reading began; 34 of 38 questions of 19 rows are answered."""
    run = make_run("http://127.0.0.1:9/v1", picture, 24)
    run.settings = run.settings.model_copy(update={"recipe": run.settings.recipe.model_copy(update={"questions": 2})})
    progress = run.progress
    progress.phase, progress.total, progress.read, progress.read_at_start = ANSWERING, 24, 19, 5
    progress.earlier, progress.done, progress.in_flight = 30, 4, 4
    snapshot = ProgressMeter(run, 0.0).take(60.0)
    await run.pool.aclose()
    assert snapshot.fraction == pytest.approx(19 / 24 * 34 / 38)


async def test_no_time_is_left_while_the_server_is_away(picture: Path) -> None:
    run = make_run("http://127.0.0.1:9/v1", picture, 40)
    run.progress.phase, run.progress.done = ANSWERING, 20
    meter = ProgressMeter(run, 0.0, count_rows=lambda: 40)
    assert meter.take(60.0).seconds_left == 60
    run.pool.sessions[0].outage.reason = "connection refused."
    assert meter.take(61.0).seconds_left is not None  # a wait of a moment
    snapshot = meter.take(64.0)
    await run.pool.aclose()
    assert (snapshot.seconds_left, snapshot.phase[:23]) == (None, "Waiting for the server ")
    assert snapshot.format() == "20/40 rows done (50 %), 0 failed, 0 of 2 in flight"


async def test_the_rate_is_that_of_the_time_in_which_rows_are_answered(picture: Path) -> None:
    run = make_run("http://127.0.0.1:9/v1", picture, 40)
    meter = ProgressMeter(run, 0.0)
    run.progress.phase = "Testing what the server can do"
    assert meter.take(50.0).rows_per_second == 0
    run.progress.phase, run.progress.done = ANSWERING, 20
    snapshot = meter.take(60.0)
    await run.pool.aclose()
    assert snapshot.rows_per_second == 2


async def test_failures_of_earlier_starts_count(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"image": "none.png"}\n' + json.dumps({"image": str(picture)}) + "\n")
    with run_simulator(SimSettings(latency=0)) as server:
        settings = make_run(server.base_url, picture, 0).settings
        settings = settings.model_copy(update={"input": tmp_path / "in.jsonl", "output": tmp_path / "qa.jsonl"})
        await Run(settings.model_copy(update={"limit": 1}), FileSource(tmp_path / "in.jsonl")).execute()
        seen: list[ProgressSnapshot] = []
        run = Run(settings, FileSource(tmp_path / "in.jsonl"))
        await execute_with_monitors(run, partial(report_run, on_progress=seen.append))
    assert (seen[-1].done, seen[-1].total, seen[-1].failed, seen[-1].phase) == (2, 2, 1, "ended")


async def test_a_callback_that_fails_is_logged_once(picture: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def fail(snapshot: ProgressSnapshot) -> None:
        calls.append(snapshot.done)
        raise ValueError("no display")

    with run_simulator(SimSettings(latency=0.2)) as server:
        run = make_run(server.base_url, picture, 8)
        summary = await execute_with_monitors(run, partial(report_run, on_progress=fail))
    assert summary.tally.succeeded == 8
    assert (len(calls) >= 3, calls[-1]) == (True, 8)
    assert [record.getMessage() for record in caplog.records] == ["on_progress raised an exception; the run goes on."]
    assert "no display" in caplog.text


async def test_a_price_that_cannot_be_looked_up_is_no_cost(caplog: pytest.LogCaptureFixture) -> None:
    known, unknown, failed = (asyncio.get_running_loop().create_future() for _ in range(3))
    known.set_result(KnownPrice(Price(1.0, 2.0), "USD", "a list"))
    unknown.set_result(None)
    failed.set_exception(RuntimeError("no list"))
    assert [read_price(each) for each in (known, unknown)] == [Price(1.0, 2.0), None]
    assert not caplog.records
    assert read_price(failed) is None
    assert "no list" in caplog.text


async def test_the_last_call_comes_whatever_ends_the_calls(picture: Path) -> None:
    class Uncounted(Exception): ...

    def fail() -> int:
        raise Uncounted

    run = make_run("http://127.0.0.1:9/v1", picture, 1)
    seen: list[ProgressSnapshot] = []
    counts: Iterator[Callable[[], int]] = iter([lambda: 1, fail, lambda: 1])
    with pytest.raises(Uncounted):
        await report_progress(run, seen.append, lambda: next(counts)())
    await run.pool.aclose()
    assert [snapshot.phase == "ended" for snapshot in seen] == [False, True]


async def test_an_asynchronous_callback_is_refused() -> None:
    async def show(snapshot: ProgressSnapshot) -> None: ...

    check_callback(print)
    for wrong in (show, "print"):
        with pytest.raises(SettingsError, match="must be a function without async"):
            check_callback(wrong)  # type: ignore[arg-type]


async def test_a_notebook_shows_one_text_that_changes(picture: Path) -> None:
    """Equal texts are not sent again, and the last figures stay."""
    shown: list[str] = []

    async def show(run: Run) -> None:
        await show_in_notebook(ProgressMeter(run, monotonic(), count_rows=lambda: 12), shown.append, interval=0.01)

    with run_simulator(SimSettings(latency=0.1)) as server:
        await execute_with_monitors(make_run(server.base_url, picture, 12), show)
    assert re.fullmatch(r"12/12 rows done \(100 %\), 0 failed, 0 of 2 in flight, .*", shown[-1])
    assert not shown[-1].endswith("left")
    assert shown[0] == "Starting"
    assert any(text.startswith(f"Answering  {draw_bar(0.5)}\n6/12 rows done (50 %)") for text in shown)
    assert all(before != after for before, after in pairwise(shown[:-1]))


@pytest.mark.parametrize(("fraction", "done"), [(0.0, 0), (0.26, 10), (1.0, 40), (1.2, 40)])
def test_a_bar_has_one_width(fraction: float, done: int) -> None:
    bar = draw_bar(fraction)
    assert (len(bar), bar.count("█")) == (40, done)

"""What ``persqa run`` does with its flags: settings, the run under signals and progress, the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from persqa_client.cli.exits import ALL_GOOD, DEFECT, INTERRUPTED, NO_SERVER, SOME_FAILED, WRONG_USE, fail, say, unheard
from persqa_client.client.dialect import Dialect
from persqa_client.client.request import render_preview
from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build_settings
from persqa_client.endpoints.credentials import make_endpoints
from persqa_client.engines.row_loop import has_more_rows
from persqa_client.errors import RowError, RunStopped, SettingsError, StorageError
from persqa_client.inputs.sources import START_POSITION, Source, open_source
from persqa_client.run.background import STOPPING_MESSAGE, execute_with_monitors
from persqa_client.run.compose import RunPlan
from persqa_client.run.gc_tuning import look_seldom
from persqa_client.run.progress import QuietConsole, show_progress
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.types import BadRow, Request, Row, TaskId

# The event loop of a run from the command line: uvloop, where it is to be had. Changes nothing.

Value = TypeVar("Value")


def run_coroutine(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """As asyncio.run, at 5 % less CPU for the whole run."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # There is none for Windows.
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


# ``--dry-run``: the first requests as they would be sent, pictures abridged. Reads the input, prints to stdout.

SHOWN = 3


def show_requests(settings: RunSettings, source: Source) -> None:
    """Prints the requests of the first rows; a row that would fail says why."""
    plan = RunPlan(settings, source)
    lines = ((line, position) for line, position in source.lines(START_POSITION) if line.strip())
    for line, position in islice(lines, min(SHOWN, settings.limit or SHOWN)):
        row = plan.parse(position.number, line)
        urls = " or ".join(f"{endpoint.base_url}/chat/completions" for endpoint in settings.endpoints)
        print(f"--- line {position.number}: POST {urls}")
        if isinstance(row, BadRow):
            print(f"would fail: {row.message} ({row.code})")
            continue
        for unit in plan.units(row):
            print(describe(plan, row, unit, settings))


def describe(plan: RunPlan, row: Row, unit: TaskId, settings: RunSettings) -> str:
    # What a server obeys is not known without asking it: the request is shown as for vLLM since 0.12.
    asks = plan.ask_maker("constrain" if settings.recipe.strategy == "auto" else settings.recipe.strategy)
    try:
        ask = asks.make_task(row, unit)
        pictures = tuple(plan.load(reference) for reference in row.images)
    except RowError as error:
        return f"would fail: {error.message} ({error.code})"
    request = Request(ask.system, pictures, ask.prompt, ask.seed, ask.pattern, ask.prefill)
    return render_preview(
        request,
        model=settings.endpoint.model,
        sampling=settings.sampling,
        dialect=Dialect(constraint="structured_outputs", prefill="continue_final_message"),
    )


# The table at the end of a run. Prints to stdout.


def print_summary(summary: Summary, console: Console) -> None:
    """A table on a terminal; plain lines elsewhere, so that no name is broken to fit a width."""
    if not console.is_terminal:
        for name, value in lines_of(summary):
            print(f"{name:<13} {value}")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines_of(summary):
        table.add_row(name, value)
    console.print(table)


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def lines_of(summary: Summary) -> list[tuple[str, str]]:
    """What the table says, line by line."""
    tally = summary.tally
    many = tally.units != tally.rows
    rate = f", {tally.units / summary.seconds:.1f} {'questions' if many else 'rows'}/s" if summary.seconds >= 1 else ""
    asked = f", {tally.units:,} questions" if many else ""
    lines = [("rows", f"{tally.rows:,}{asked}"), ("good", f"{tally.succeeded:,}")]
    if tally.made_good_by:
        lines.append(("made good by", listed(tally.made_good_by)))
    codes = f" ({listed(tally.re_asked)})" if tally.re_asked else ""
    lines.append(("asked again", f"{tally.re_asked.total():,}{codes}"))
    lines.append(("failed", f"{tally.failed_total:,}"))
    lines += [(f"  {code}", f"{count:,}") for code, count in tally.failed.most_common()]
    lines.append(("tokens", f"{tally.prompt_tokens:,} in, {tally.completion_tokens:,} out"))
    lines.append(("time", f"{timedelta(seconds=round(summary.seconds))}{rate}"))
    lines += [("endpoint", f"{account.base_url}: {account.summary_line()}") for account in summary.endpoints]
    lines += [("server", note) for note in summary.notes]
    lines += [("found", fact) for fact in summary.findings]
    if summary.files is not None and summary.state == "finished":
        lines.append(("output", str(summary.files.output)))
        if tally.failed_total:
            lines.append(("failed rows", str(summary.files.failed)))
        lines.append(("run file", str(summary.files.run)))
    return lines


def main(flags: dict[str, Any], *, dry_run: bool) -> None:
    """Runs, and ends the process's command with its exit code."""
    try:
        endpoints = read_endpoints(flags)
    except SettingsError as error:
        fail(error, WRONG_USE)
    raise typer.Exit(execute(arrange(flags, endpoints, dry_run=dry_run)))


def arrange(flags: dict[str, Any], endpoints: Sequence[Endpoint], *, dry_run: bool) -> Run:
    """The run that the flags ask for. Ends the command where there is none: no rows, a dry run, or wrong flags."""
    try:
        settings = make_settings(flags, endpoints)
        assert settings.input is not None
        assert settings.output is not None
        source = open_source(settings.input, settings.recipe.image_key)
        if not has_more_rows(source, START_POSITION) and not settings.output.exists():
            say(f"{settings.input} holds no {'pictures' if settings.input.is_dir() else 'rows'}: nothing to do.")
            raise typer.Exit(ALL_GOOD)
        if dry_run:
            show_requests(settings, source)
            raise typer.Exit(ALL_GOOD)
        run = Run(settings, source)
    except SettingsError as error:
        fail(error, WRONG_USE)
    look_seldom()
    return run


def make_settings(flags: dict[str, Any], endpoints: Sequence[Endpoint]) -> RunSettings:
    """The settings that the flags stand for. Raises SettingsError with one sentence."""
    extra_body = flags["extra_body"]
    pick = flags.__getitem__
    endpoint, *further = endpoints
    return build_settings(
        RunSettings,
        endpoint=endpoint,
        further_endpoints=tuple(further),
        sampling=build_settings(
            Sampling,
            extra_body=parse_extra_body(extra_body) if extra_body else {},
            **{name: pick(name) for name in ("temperature", "top_p", "max_tokens", "seed")},
        ),
        limits=build_settings(Limits, **{name: pick(name) for name in Limits.model_fields if name in flags}),
        recipe=build_settings(Recipe, **{name: pick(name) for name in Recipe.model_fields if flags[name] is not None}),
        **{name: pick(name) for name in ("probes", "uuid")},
        **{name: pick(name) for name in ("input", "output", "image_root", "limit", "fresh", "retry_failed")},
    )


def read_endpoints(flags: dict[str, Any]) -> tuple[Endpoint, ...]:
    """Those of the flags. Raises SettingsError with one sentence."""
    for name, default in (("serve_args", None), ("device", "auto"), ("vllm_command", None)):
        if flags[name] != default:
            raise SettingsError(f"--{name.replace('_', '-')} is for the server that --serve MODEL starts.")
    if flags["base_url"] and not flags["model"]:
        raise SettingsError("--model: say which of the endpoint's models is to answer (persqa doctor lists them).")
    return make_endpoints(flags["base_url"] or [], flags["model"] or "", flags["api_key_env"] or [], os.environ)


def parse_extra_body(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--extra-body is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise SettingsError("--extra-body must be a JSON object, such as '{\"top_k\": 20}'.")
    return value


def execute(run: Run) -> int:
    """The run's exit code, after it has said what it has to say."""
    try:
        summary = run_coroutine(watched(run))
    except (SettingsError, StorageError) as error:
        fail(error, WRONG_USE)
    except RunStopped as error:
        say(go_on(run)) if run.live.done else None
        fail(error, NO_SERVER)
    except KeyboardInterrupt:
        say(f"Stopped. {go_on(run)}")
        return INTERRUPTED
    except Exception:
        # Not to go on with: only to tell it apart from what a person can mend, before the process ends.
        traceback.print_exc()
        say(f"Error: this is a defect of this program; please report it with the lines above. {go_on(run)}")
        return DEFECT
    return tell(run, summary)


async def watched(run: Run) -> Summary:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        say(STOPPING_MESSAGE)
        run.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    for warning in run.plan.warnings():
        say(f"Warning: {warning}")
    run.pool.warn = lambda warning: say(f"Warning: {warning}")
    return await execute_with_monitors(run, partial(show_progress, console=QuietConsole(stderr=True)))


def tell(run: Run, summary: Summary) -> int:
    if summary.state == "already":
        say(f"{run.settings.output} is finished already: nothing to do.")
        if summary.tally.failed_total:
            kind = "rows" if summary.tally.units == summary.tally.rows else "questions"
            say(f"{summary.tally.failed_total} {kind} failed; --retry-failed asks them again.")
    else:
        with unheard(sys.stdout):
            print_summary(summary, Console())
    if summary.state == "interrupted":
        say(f"Stopped after {summary.tally.rows} rows. {go_on(run)}")
        return INTERRUPTED
    return SOME_FAILED if summary.tally.failed_total else ALL_GOOD


def go_on(run: Run) -> str:
    return f"Nothing is lost: give the same command again to go on where {run.settings.output} was left."

"""``persqa run``: builds the settings, then executes the run with signals, progress, summary and exit code."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer

from persqa_client.cli.dry_run import print_requests
from persqa_client.cli.endpoint_flags import CREDENTIAL_FLAGS, read_endpoints
from persqa_client.cli.engine import check_engine, make_run
from persqa_client.cli.exits import EXIT_BUG, EXIT_INTERRUPTED, EXIT_NO_SERVER, EXIT_OK, EXIT_USAGE, exit_with_error
from persqa_client.cli.messages import has_log_file, log_message, print_message, print_warning, show_logged_warnings
from persqa_client.cli.preview import print_kept_rows, report_preview
from persqa_client.cli.results import report_result, report_stop
from persqa_client.cli.run import Mode
from persqa_client.cli.run_report import check_report, write_run_report
from persqa_client.config import Endpoint
from persqa_client.errors import (
    MaskedError,
    OutputClosed,
    RunStopped,
    SettingsError,
    StorageError,
    UnusableInput,
)
from persqa_client.inputs.opening import expand_existing, open_inputs
from persqa_client.inputs.sources import Source
from persqa_client.keys import mask_keys
from persqa_client.probing.only_model import add_model, lacks_model
from persqa_client.run.background import STOPPING_MESSAGE, Monitor, execute_with_monitors, tune_gc
from persqa_client.run.preview import Preview, Sample, make_preview_settings
from persqa_client.run.progress_display import log_progress, show_progress
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of, refuse_empty_source, refuse_output_as_input
from persqa_client.run.settings import RunSettings, as_one_path, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.storage.run_files import RunFiles
from persqa_client.terminals import QuietConsole

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with suppress(ImportError):  # There is no uvloop for Windows.
    new_event_loop = importlib.import_module("uvloop").new_event_loop

Value = TypeVar("Value")
# Seconds after which it is said that a server has not named its model yet.
MODEL_WAIT = 2.0
# At SIGTERM, which a batch system sends.
TERMINATED_MESSAGE = "Stopping after the requests in flight. A second signal stops immediately."
# Seconds between the figures in a log file.
LOG_INTERVAL = 60.0
# Flags of ``persqa run`` that are not run settings; they select or start the server.
SERVER_FLAGS = frozenset(
    ("base_url", "model", *CREDENTIAL_FLAGS, "serve", "serve_args", "serve_timeout", "device", "vllm_command")
)


def run_at_endpoints(flags: dict[str, Any], mode: Mode) -> None:
    """All that needs no server is checked before one is asked for its model."""
    try:
        endpoints = read_endpoints(flags, sends=not mode.dry_run)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    run, report = prepare_run(flags, endpoints, mode)
    if lacks_model(endpoints):
        use_model_of_endpoint(run)
    try:
        code = execute(run, report)
    finally:
        write_run_report(report.page, run.settings.output)
    raise typer.Exit(code)


def use_model_of_endpoint(run: Run) -> None:
    """Exits if the first endpoint does not serve exactly one model."""
    settings = run.settings
    try:
        if settings.output is not None and not settings.is_stream:
            files = RunFiles.for_output(settings.output)
            refuse_output_as_input(run.source, files)
            files.check_can_be_written()
        endpoints = run_coroutine(ask_for_model(settings.endpoints, settings.limits.timeout))
        print_message(f"Model: {mask_keys(endpoints[0].model)}")
        run.use_endpoint(*endpoints)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    except RunStopped as error:
        exit_with_error(error, EXIT_NO_SERVER)
    except KeyboardInterrupt:
        print_message("Stopped. No row was asked about.", logging.WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None


async def ask_for_model(endpoints: Sequence[Endpoint], timeout: float) -> tuple[Endpoint, ...]:
    """Does the same as ``add_model``, and prints what it waits for if that takes longer than a moment."""
    wait = f"Waiting for {mask_keys(endpoints[0].base_url)} to list its models. --model names one without asking."
    message = asyncio.get_running_loop().call_later(MODEL_WAIT, print_message, wait)
    try:
        return await add_model(endpoints, timeout)
    finally:
        message.cancel()


@dataclass(frozen=True, slots=True)
class Report:
    """The texts that are printed about a run."""

    # After its end; returns the exit code.
    result: Callable[[Run, Summary], int] = report_result
    # Before the error that stopped it.
    stopped: Callable[[Run, MaskedError], None] = report_stop
    shows_progress: bool = True
    # Written after all else.
    page: Path | None = None


RUN_REPORT = Report()


def prepare_run(flags: dict[str, Any], endpoints: Sequence[Endpoint], mode: Mode) -> tuple[Run, Report]:
    """Exits after a dry run, and for invalid flags and inputs."""
    try:
        settings = read_settings(flags, endpoints)
        refuse_contradicting_modes(settings, mode)
        check_engine(mode.engine, flags, settings, has_page=mode.page is not None)
        if settings.output is None and not mode.dry_run and mode.preview is None:
            raise SettingsError(
                "--output is missing: name the file to write, such as -o qa.jsonl, or give --preview 5."
            )
        source = open_inputs(
            list(map(expand_existing, flags["input"])),
            settings.recipe.image_key,
            standard_input=sys.stdin.buffer,
            leave_out=is_file_of(settings),
            lists_images=has_listing(settings) and mode.preview is None,
            row_layout=settings.recipe.row_layout,
            fetches=settings.fetch,
            local_only=settings.local_only,
        )
        if settings.output is None or not settings.output.exists():
            refuse_empty_source(source)
        if mode.page is not None and (mode.dry_run or mode.preview is not None):
            print_message(f"No report is written: {'--dry-run' if mode.dry_run else '--preview'} makes no results.")
        if mode.dry_run:
            raise typer.Exit(EXIT_OK if print_requests(settings, source) else EXIT_USAGE)
        if settings.metrics_port is not None:
            # Imported here, so that a run without this flag starts earlier.
            from persqa_client.run.metrics import check_metrics_port

            check_metrics_port(settings.metrics_port)
        show_logged_warnings()
        prepared = prepare_work(settings, source, mode, flags["input"])
    except (SettingsError, StorageError, UnusableInput) as error:
        exit_with_error(error, EXIT_USAGE)
    tune_gc()
    return prepared


def refuse_contradicting_modes(settings: RunSettings, mode: Mode) -> None:
    if mode.dry_run and mode.preview is not None:
        raise SettingsError("--dry-run sends nothing, and --preview asks about rows; give only one of them.")
    if mode.result is not None and (mode.dry_run or mode.preview is not None):
        other = "--dry-run" if mode.dry_run else "--preview"
        raise SettingsError(f"--json prints the results of a run, and {other} makes none; give only one of them.")
    if mode.result is not None and settings.is_stream:
        raise SettingsError("--json and -o - both write to standard output; name an output file, such as -o qa.jsonl.")


def prepare_work(settings: RunSettings, source: Source, mode: Mode, inputs: Sequence[str]) -> tuple[Run, Report]:
    """Raises SettingsError."""
    if mode.preview is None:
        if mode.page is not None:
            check_report(mode.page, settings.output)
        run = make_run(mode.engine, settings, source, inputs)
        if mode.result is not None:
            mode.result.run = run
        shows_results = not mode.quiet and mode.result is None
        result = partial(report_result, shows_results=shows_results)
        return run, Report(result, shows_progress=not mode.quiet, page=mode.page)
    preview = Preview(Sample(source, mode.preview, settings.limit, shard=settings.shard))
    run = Run(make_preview_settings(settings), preview.sample, warn=print_warning, wrap_answer=preview.watch)
    stopped = lambda run, error: print_kept_rows(run, preview)  # noqa: E731
    return run, Report(partial(report_preview, preview=preview), stopped, shows_progress=not mode.quiet)


def read_settings(flags: dict[str, Any], endpoints: Sequence[Endpoint]) -> RunSettings:
    values = {name: value for name, value in flags.items() if value is not None and name not in SERVER_FLAGS}
    if extra_body := values.pop("extra_body", None):
        values["extra_body"] = parse_extra_body(extra_body)
    inputs = values.pop("input")
    return make_run_settings(endpoints, values, input=as_one_path(inputs), output=values.pop("output", None))


def parse_extra_body(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--extra-body is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise SettingsError("--extra-body must be a JSON object, such as '{\"top_k\": 20}'.")
    return value


def execute(run: Run, report: Report) -> int:
    try:
        summary = run_coroutine(execute_with_signals(run, shows_progress=report.shows_progress))
    except OutputClosed:
        return EXIT_OK
    except (SettingsError, RunStopped, StorageError) as error:
        report.stopped(run, error)
        is_usage = isinstance(error, SettingsError | UnusableInput | StorageError)
        exit_with_error(error, EXIT_USAGE if is_usage else EXIT_NO_SERVER)
    except KeyboardInterrupt:
        print_message(f"Stopped. {run.describe_resuming()}", logging.WARNING)
        return EXIT_INTERRUPTED
    except Exception:
        # Any other exception is a bug and has its own exit code.
        print_message(traceback.format_exc().rstrip(), logging.ERROR)
        print_message(
            "Error: this is a bug in persqa_client. Please report it, including the lines above. "
            f"{run.describe_resuming()}",
            logging.ERROR,
        )
        return EXIT_BUG
    return report.result(run, summary)


def run_coroutine(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Runs the coroutine like ``asyncio.run``, but on uvloop if installed, which saves 5 % of CPU time."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


async def execute_with_signals(run: Run, *, shows_progress: bool, monitors: Sequence[Monitor] = ()) -> Summary:
    loop = asyncio.get_running_loop()

    signals = count(1)

    def stop(message: str) -> None:
        print_message(message if next(signals) == 1 else "Stopping immediately.", logging.WARNING)
        run.stop()

    for number, message in ((signal.SIGINT, STOPPING_MESSAGE), (signal.SIGTERM, TERMINATED_MESSAGE)):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, message)
    if shows_progress:
        monitors = (*monitors, partial(show_progress, console=QuietConsole(stderr=True)))
    if has_log_file():
        monitors = (*monitors, partial(log_progress, write=log_message, interval=LOG_INTERVAL))
    return await execute_with_monitors(run, *monitors, announce=print_message)

"""``persqa run``: builds the settings, then executes the run with signals, progress, summary and exit code."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer

from persqa_client.cli.exits import EXIT_BUG, EXIT_INTERRUPTED, EXIT_NO_SERVER, EXIT_OK, EXIT_USAGE, exit_with_error
from persqa_client.cli.messages import has_log_file, log_message, print_message, show_controls
from persqa_client.cli.preview import print_kept_rows, report_preview
from persqa_client.cli.results import report_result, report_stop
from persqa_client.cli.run import Mode
from persqa_client.cli.run_report import check_report, write_run_report
from persqa_client.client.dialect import Dialect
from persqa_client.client.request import render_preview
from persqa_client.config import UNKNOWN_MODEL, Endpoint
from persqa_client.endpoints.credentials import Credentials, make_endpoints
from persqa_client.errors import (
    MaskedError,
    OutputClosed,
    RowError,
    RunStopped,
    SettingsError,
    StorageError,
    UnusableInput,
)
from persqa_client.images.prepare import load_image
from persqa_client.inputs.opening import expand_existing, open_inputs
from persqa_client.inputs.shards import iterate_rows
from persqa_client.inputs.sources import Source
from persqa_client.keys import mask_keys, mask_secrets
from persqa_client.probing.only_model import add_model
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.background import STOPPING_MESSAGE, Monitor, execute_with_monitors, tune_gc
from persqa_client.run.image_roots import find_input_folder, recorded_roots_of
from persqa_client.run.metrics import check_metrics_port
from persqa_client.run.plan import RunPlan
from persqa_client.run.preview import Preview, Sample, make_preview_settings
from persqa_client.run.progress_display import QuietConsole, log_progress, show_progress
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of, refuse_empty_source
from persqa_client.run.settings import RunSettings, as_one_path, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.types import BadRow, Request, Row, TaskId
from persqa_client.urls import add_query

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with suppress(ImportError):  # There is no uvloop for Windows.
    new_event_loop = importlib.import_module("uvloop").new_event_loop

Value = TypeVar("Value")
# Seconds between the figures in a log file.
LOG_INTERVAL = 60.0
# Rows shown by a dry run.
DRY_RUN_ROWS = 3
# Flags of ``persqa run`` that are not run settings; they select or start the server.
CREDENTIAL_FLAGS = ("api_key_env", "api_key_command", "header", "ca_cert", "client_cert")
SERVER_FLAGS = frozenset(
    ("base_url", "model", *CREDENTIAL_FLAGS, "serve", "serve_args", "serve_timeout", "device", "vllm_command")
)


def run_at_endpoints(flags: dict[str, Any], mode: Mode) -> None:
    try:
        endpoints = read_endpoints(flags, can_ask=not mode.dry_run)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    except RunStopped as error:
        exit_with_error(error, EXIT_NO_SERVER)
    except KeyboardInterrupt:
        print_message("Stopped. No row was asked about.", logging.WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    run, report = prepare_run(flags, endpoints, mode)
    try:
        code = execute(run, report)
    finally:
        write_run_report(report.page, run.settings.output)
    raise typer.Exit(code)


def read_endpoints(flags: dict[str, Any], *, can_ask: bool) -> tuple[Endpoint, ...]:
    """Without --model, the first endpoint is asked for the only model that it serves, if ``can_ask``.

    Raises SettingsError if endpoint or model is missing, or if flags need ``--serve``; RunStopped like
    ``add_model``.
    """
    for name, default in (("serve_args", None), ("device", "auto"), ("vllm_command", None)):
        if flags[name] != default:
            raise SettingsError(f"--{name.replace('_', '-')} needs --serve MODEL, which starts a server.")
    urls, model, credentials = flags["base_url"] or [], flags["model"] or "", read_credentials(flags)
    if not urls or model:
        return make_endpoints(urls, model, credentials, os.environ)
    if not can_ask:
        raise SettingsError("--model: name one of the endpoint's models (persqa doctor lists them).")
    endpoints = make_endpoints(urls, UNKNOWN_MODEL, credentials, os.environ)
    endpoints = run_coroutine(add_model(endpoints, flags["timeout"]))
    print_message(f"Model: {mask_keys(endpoints[0].model)}")
    return endpoints


def read_credentials(flags: Mapping[str, Any]) -> Credentials:
    return Credentials(
        flags["api_key_env"] or (),
        flags["api_key_command"] or (),
        flags["header"] or (),
        flags["ca_cert"],
        flags["client_cert"],
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed of a run."""

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
        )
        if settings.output is None or not settings.output.exists():
            refuse_empty_source(source)
        if mode.dry_run:
            raise typer.Exit(EXIT_OK if print_requests(settings, source) else EXIT_USAGE)
        check_metrics_port(settings.metrics_port)
        show_logged_warnings()
        prepared = prepare_work(settings, source, mode)
    except SettingsError as error:
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


def prepare_work(settings: RunSettings, source: Source, mode: Mode) -> tuple[Run, Report]:
    """Raises SettingsError."""
    if mode.preview is None:
        if mode.page is not None:
            check_report(mode.page, settings.output)
        run = Run(settings, source, warn=print_warning)
        if mode.result is not None:
            mode.result.run = run
        shows_results = not mode.quiet and mode.result is None
        result = partial(report_result, shows_results=shows_results)
        return run, Report(result, shows_progress=not mode.quiet, page=mode.page)
    preview = Preview(Sample(source, mode.preview, settings.limit, shard=settings.shard))
    run = Run(make_preview_settings(settings), preview.sample, warn=print_warning, wrap_answer=preview.watch)
    stopped = lambda run, error: print_kept_rows(run, preview)  # noqa: E731
    return run, Report(partial(report_preview, preview=preview), stopped, shows_progress=not mode.quiet)


def print_warning(warning: str) -> None:
    print_message(f"Warning: {mask_keys(warning)}", logging.WARNING)


class WarningHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_warning(record.getMessage())


def show_logged_warnings() -> None:
    """Prints what the package logs for users of the API, in the form of the command's own warnings."""
    logger = logging.getLogger("persqa_client")
    if not logger.handlers:
        logger.addHandler(WarningHandler(logging.WARNING))


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


def print_requests(settings: RunSettings, source: Source) -> bool:
    """Whether any of the rows that are shown could be asked about."""
    plan = RunPlan(settings, find_input_folder(source, settings.image_root), recorded_roots_of(source))
    reader = plan.make_row_reader()
    # Without a probe the server's features are unknown, so requests are shown as for vLLM 0.12 and later.
    strategy = settings.recipe.strategy
    task_maker = plan.make_task_maker("constrain" if strategy == "auto" else strategy)
    urls = " or ".join(
        add_query(f"{endpoint.base_url}/chat/completions", endpoint.query) for endpoint in settings.endpoints
    )
    usable = False
    shown = list(islice(iterate_rows(source, settings.limit, settings.shard), DRY_RUN_ROWS))
    if not shown and settings.shard is not None:
        raise SettingsError(f"None of the rows is in the shard {settings.shard}.")
    for line, position, name, path in shown:
        row = reader.parse(position.number, line, name, path)
        print(f"--- line {position.number}: POST {urls}")
        if isinstance(row, BadRow):
            print(show_controls(f"would fail: {row.message} ({row.code})"))
            continue
        for task_id in reader.task_ids(row):
            try:
                print(show_controls(render_request(row, task_id, plan, task_maker)))
                usable = True
            except RowError as error:
                print(show_controls(f"would fail: {error.message} ({error.code})"))
    for warning in source.warnings():
        print_warning(warning)
    return usable


def render_request(row: Row, task_id: TaskId, plan: RunPlan, task_maker: TaskMaker) -> str:
    """Raises RowError for a row that would fail before its request."""
    settings = plan.settings
    task = task_maker.make_task(row, task_id)
    images = tuple(
        load_image(reference, plan.image_roots, max_pixels=settings.recipe.max_pixels, mark=mark)
        for reference, mark in row.views
    )
    return render_preview(
        Request(task.system, images, task.prompt, task.seed, task.pattern, task.prefill),
        model=mask_keys(settings.endpoint.model),
        sampling=settings.sampling.model_copy(update={"extra_body": mask_secrets(settings.sampling.extra_body)}),
        dialect=Dialect(constraint="structured_outputs", prefill="continue_final_message"),
    )


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
    """Like ``asyncio.run``, but on uvloop if installed, which saves 5 % of CPU time."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


async def execute_with_signals(run: Run, *, shows_progress: bool, monitors: Sequence[Monitor] = ()) -> Summary:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        print_message(STOPPING_MESSAGE, logging.WARNING)
        run.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    if shows_progress:
        monitors = (*monitors, partial(show_progress, console=QuietConsole(stderr=True)))
    if has_log_file():
        monitors = (*monitors, partial(log_progress, write=log_message, interval=LOG_INTERVAL))
    return await execute_with_monitors(run, *monitors, announce=print_message)

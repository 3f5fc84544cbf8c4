"""``persqa run --serve``: runs with a vLLM server that is started for the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from logging import WARNING
from typing import Any

import typer
from rich.markup import escape
from rich.status import Status

from persqa_client.cli.endpoint_flags import CREDENTIAL_FLAGS
from persqa_client.cli.execute import execute, prepare_run
from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_NO_SERVER, EXIT_USAGE, exit_with_error, prepare_process
from persqa_client.cli.messages import log_message, print_message
from persqa_client.cli.run import Mode
from persqa_client.cli.run_report import write_run_report
from persqa_client.config import Endpoint, build_settings
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.keys import mask_keys
from persqa_client.terminals import QuietConsole
from persqa_client.vllm_server.command import API_KEY_VARIABLE, split_arguments
from persqa_client.vllm_server.logs import make_progress_printer
from persqa_client.vllm_server.server import VLLMServer


def run_with_server(flags: dict[str, Any], mode: Mode) -> None:
    console = QuietConsole(stderr=True)
    status = console.status("") if console.is_interactive and not mode.quiet else None
    try:
        server = make_server(flags, partial(tell_progress, status, make_progress_printer(write=choose_writer(status))))
        placeholder = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=server.model)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    run, report = prepare_run(flags, (placeholder,), mode)
    page = None
    try:
        with run.hold_files() as has_work:
            # Locks the files first, so that running the command twice cannot start two servers.
            if has_work:
                start_server(server, status or nullcontext())
                run.use_endpoint(server.endpoint)
            page = report.page
            code = execute(run, report)
    except (SettingsError, StorageError) as error:
        exit_with_error(error, EXIT_USAGE)
    except RunStopped as error:
        exit_with_error(error, EXIT_NO_SERVER)
    except KeyboardInterrupt:
        print_message(f"Stopped. {run.describe_resuming()}", WARNING)
        code = EXIT_INTERRUPTED
    finally:
        stop_server(server)
        write_run_report(page, run.settings.output)
    raise typer.Exit(code)


def choose_writer(status: Status | None) -> Callable[[str], None]:
    """The function that writes a line: only to the log if a status line shows the text on the terminal."""
    return print_message if status is None else log_message


def tell_progress(status: Status | None, write: Callable[[str], None], line: str) -> None:
    if status is not None:
        status.update(escape(line))
    write(line)


def make_server(flags: dict[str, Any], on_progress: Callable[[str], None]) -> VLLMServer:
    if flags["base_url"]:
        raise SettingsError("Give either --serve to start a server, or --base-url of a running server.")
    if given := next((name for name in CREDENTIAL_FLAGS if flags[name]), None):
        flag = given.replace("_", "-")
        raise SettingsError(f"--{flag} needs --base-url; --serve takes the server's key from {API_KEY_VARIABLE}.")
    return VLLMServer(
        flags["serve"],
        served_model_name=flags["model"],
        vllm_command=flags["vllm_command"],
        device=flags["device"],
        extra_args=split_arguments(flags["serve_args"] or "", "--serve-args"),
        startup_timeout=flags["serve_timeout"],
        on_progress=on_progress,
    )


def start_server(server: VLLMServer, status: AbstractContextManager[object]) -> None:
    server.check()
    began = time.monotonic()
    print_message(f"Starting vllm serve {mask_keys(server.model_name_or_path)} …")
    try:
        with status:
            server.start()
    except KeyboardInterrupt:
        print_message("Stopped while the server was starting. No request was sent.", WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    seconds = time.monotonic() - began
    print_message(f"Ready after {seconds:.0f} s: {server.base_url}, process {server.pid}, log {server.log_path}")


def stop_server(server: VLLMServer) -> None:
    # The event loop has removed its signal handlers; SIGTERM must not kill the process before the server is stopped.
    prepare_process()
    with suppress(KeyboardInterrupt):
        server.stop()

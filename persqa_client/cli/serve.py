"""``persqa run --serve``: the server that a run starts for itself. Starts and ends it, and shows how that goes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from persqa_client.cli.execute import arrange, execute, go_on
from persqa_client.cli.exits import INTERRUPTED, NO_SERVER, WRONG_USE, fail, prepare, say
from persqa_client.config import Endpoint, build_settings
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.run.run import Run
from persqa_client.vllm_server.command import API_KEY_VARIABLE, split_arguments
from persqa_client.vllm_server.server import VLLMServer


def main(flags: dict[str, Any], *, dry_run: bool) -> None:
    """As ``running.main``, with a server that is there for this run alone."""
    try:
        server = make_server(flags)
        stand_in = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=server.model)
    except SettingsError as error:
        fail(error, WRONG_USE)
    run = arrange(flags, (stand_in,), dry_run=dry_run)
    raise typer.Exit(serve(server, run))


def make_server(flags: dict[str, Any]) -> VLLMServer:
    """The server that the flags ask for, not started yet. Raises SettingsError where they don't go together."""
    if flags["base_url"]:
        raise SettingsError("--serve starts a server for this run, and --base-url names one that is there: give one.")
    if flags["api_key_env"]:
        raise SettingsError(
            f"--api-key-env is for --base-url: a server of --serve takes its key from {API_KEY_VARIABLE}."
        )
    return VLLMServer(
        flags["serve"],
        served_model_name=flags["model"],
        vllm_command=flags["vllm_command"],
        device=flags["device"],
        extra_args=split_arguments(flags["serve_args"] or "", "--serve-args"),
        startup_timeout=flags["serve_timeout"],
    )


def serve(server: VLLMServer, run: Run) -> int:
    """Starts the server, executes the run there, and ends it; nothing is started where nothing is left to do.

    The run's files are held meanwhile, so that the same command, given twice, does not start a second server.
    """
    try:
        with run.held() as has_work:
            if has_work:
                start(server)
                run.move(server.endpoint)
            return execute(run)
    except (SettingsError, StorageError) as error:
        fail(error, WRONG_USE)
    except RunStopped as error:
        fail(error, NO_SERVER)
    except KeyboardInterrupt:
        say(f"Stopped. {go_on(run)}")
        return INTERRUPTED
    finally:
        end(server)


def start(server: VLLMServer) -> None:
    """Tells what it does, and how long it took. Raises as the server does; ends the command on Ctrl-C."""
    began = time.monotonic()
    say(f"Starting vllm serve {server.model_name_or_path} …")
    try:
        wait_for(server)
    except KeyboardInterrupt:
        say("Stopped while the server was starting, and ended it: nothing was asked.")
        raise typer.Exit(INTERRUPTED) from None
    seconds = time.monotonic() - began
    say(f"It is ready after {seconds:.0f} s: {server.base_url}, process {server.pid}, log {server.log_path}")


def wait_for(server: VLLMServer) -> None:
    """Shows one line that changes on a terminal, and a line every ten seconds on a pipe."""
    console = Console(stderr=True)
    if not console.is_terminal:
        server.start()
        return
    with console.status("") as status:
        server.on_progress = lambda line: status.update(escape(line))
        server.start()


def end(server: VLLMServer) -> None:
    # The event loop has taken its handlers with it, and SIGTERM must not end us in the middle of this.
    prepare()
    # Interrupted, it has been ended without being asked; more can't be wanted.
    with suppress(KeyboardInterrupt):
        server.stop()

"""``persqa run --serve``: the server that a run starts for itself. Starts and ends it, and shows how that goes."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.markup import escape

from persqa_client.cli.exits import prepare, say
from persqa_client.config import RunSettings
from persqa_client.endpoints import make_endpoints
from persqa_client.errors import SettingsError
from persqa_client.serving.vllm_command import KEY_VARIABLE, split_words
from persqa_client.serving.vllm_server import VLLMServer


def make_server(flags: dict[str, Any]) -> VLLMServer | None:
    """The server that the flags ask for, not started yet. Raises SettingsError where they don't go together."""
    model = flags["serve"]
    if not model:
        for name in ("serve_args", "vllm_command"):
            if flags[name] is not None:
                raise SettingsError(f"--{name.replace('_', '-')} is for the server that --serve MODEL starts.")
        return None
    if flags["base_url"]:
        raise SettingsError("--serve starts a server for this run, and --base-url names one that is there: give one.")
    if flags["api_key_env"]:
        raise SettingsError(f"--api-key-env is for --base-url: a server of --serve takes its key from {KEY_VARIABLE}.")
    return VLLMServer(
        model,
        served_model_name=flags["model"],
        vllm_command=flags["vllm_command"],
        extra_args=split_words(flags["serve_args"] or "", "--serve-args"),
        startup_timeout=flags["serve_timeout"],
    )


def start(server: VLLMServer) -> None:
    """Shows one line that changes on a terminal, and a line every ten seconds on a pipe. Raises as the server does."""
    console = Console(stderr=True)
    began = time.monotonic()
    say(f"Starting vllm serve {server.served} …")
    if console.is_terminal:
        with console.status("") as status:
            server.on_progress = lambda line: status.update(escape(line))
            server.start()
    else:
        server.start()
    seconds = time.monotonic() - began
    say(f"It is ready after {seconds:.0f} s: {server.base_url}, process {server.pid}, log {server.log_path}")


def settings_at(server: VLLMServer, settings: RunSettings) -> RunSettings:
    """The settings with the server's address, now that it has one, and its key, where it wants one."""
    keys = [server.api_key_env] if server.api_key_env else []
    (endpoint,) = make_endpoints([server.base_url], server.model, keys, os.environ)
    return settings.model_copy(update={"endpoint": endpoint})


def end(server: VLLMServer) -> None:
    # The event loop has taken its handlers with it, and SIGTERM must not end us in the middle of this.
    prepare()
    # Interrupted, it has been ended without being asked; more can't be wanted.
    with suppress(KeyboardInterrupt):
        server.stop()

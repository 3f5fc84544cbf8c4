"""What ``persqa run`` does with its flags: settings, the run under signals and progress, the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import typer
from rich.console import Console

from persqa_client.attending import SEEN_BY_THEN, STOPPING, Beside, attended, heed
from persqa_client.cli.dry_run import show_requests
from persqa_client.cli.exits import ALL_GOOD, DEFECT, INTERRUPTED, NO_SERVER, SOME_FAILED, WRONG_USE, fail, say
from persqa_client.cli.report import print_summary
from persqa_client.cli.serving import end, make_server, settings_at, start
from persqa_client.collector import look_seldom
from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build
from persqa_client.endpoints import NOWHERE, make_endpoints
from persqa_client.engines.feed import has_more
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.inputs.sources import START, open_source
from persqa_client.progress import show_progress
from persqa_client.runs import Run, Summary
from persqa_client.serving.vllm_server import VLLMServer


def main(flags: dict[str, Any], *, dry_run: bool) -> None:
    """Runs, and ends the process's command with its exit code."""
    try:
        server = make_server(flags)
        settings = make_settings(flags)
        assert settings.input is not None
        assert settings.output is not None
        source = open_source(settings.input, settings.recipe.image_key)
        if not has_more(source, START) and not settings.output.exists():
            say(f"{settings.input} holds no {'pictures' if settings.input.is_dir() else 'rows'}: nothing to do.")
            raise typer.Exit(ALL_GOOD)
        if dry_run:
            show_requests(settings, source)
            return
        run = Run(settings, source)
    except SettingsError as error:
        fail(error, WRONG_USE)
    look_seldom()
    raise typer.Exit(execute(run) if server is None else serve(server, run))


def make_settings(flags: dict[str, Any]) -> RunSettings:
    """The settings that the flags stand for. Raises SettingsError with one sentence."""
    extra_body = flags["extra_body"]
    pick = flags.__getitem__
    endpoint, *further = read_endpoints(flags)
    return build(
        RunSettings,
        endpoint=endpoint,
        further=tuple(further),
        sampling=build(
            Sampling,
            extra_body=parse_extra_body(extra_body) if extra_body else {},
            **{name: pick(name) for name in ("temperature", "top_p", "max_tokens", "seed")},
        ),
        limits=build(Limits, **{name: pick(name) for name in Limits.model_fields if name in flags}),
        recipe=build(Recipe, **{name: pick(name) for name in Recipe.model_fields if flags[name] is not None}),
        **{name: pick(name) for name in ("probes", "uuid")},
        **{name: pick(name) for name in ("input", "output", "image_root", "limit", "fresh", "retry_failed")},
    )


def read_endpoints(flags: dict[str, Any]) -> tuple[Endpoint, ...]:
    """Those of the flags; of a server that is still to be started, one that stands for it."""
    if flags["serve"]:
        return (build(Endpoint, base_url=NOWHERE, model=flags["model"] or flags["serve"]),)
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


def serve(server: VLLMServer, run: Run) -> int:
    """Starts the server, executes the run there, and ends it; nothing is started where nothing is left to do."""
    try:
        if not run.has_work():
            return execute(run)
        start(server)
    except SettingsError as error:
        fail(error, WRONG_USE)
    except RunStopped as error:
        fail(error, NO_SERVER)
    except KeyboardInterrupt:
        say("Stopped while the server was starting, and ended it: nothing was asked.")
        return INTERRUPTED
    try:
        return execute(Run(settings_at(server, run.settings), run.source), server)
    finally:
        end(server)


def execute(run: Run, server: VLLMServer | None = None) -> int:
    """The run's exit code, after it has said what it has to say."""
    try:
        summary = asyncio.run(watched(run, server))
    except (SettingsError, StorageError) as error:
        fail(error, WRONG_USE)
    except RunStopped as error:
        say(go_on(run)) if run.live.done else None
        fail((server and server.failure(wait=SEEN_BY_THEN)) or error, NO_SERVER)
    except KeyboardInterrupt:
        say(f"Stopped. {go_on(run)}")
        return INTERRUPTED
    except Exception:
        # Not to go on with: only to tell it apart from what a person can mend, before the process ends.
        traceback.print_exc()
        say(f"Error: this is a defect of this program; please report it with the lines above. {go_on(run)}")
        return DEFECT
    return tell(run, summary)


async def watched(run: Run, server: VLLMServer | None) -> Summary:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        say(STOPPING)
        run.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    for warning in run.plan.warnings():
        say(f"Warning: {warning}")
    run.pool.warn = lambda warning: say(f"Warning: {warning}")
    beside: list[Beside] = [partial(show_progress, console=Console(stderr=True))]
    if server is not None:
        beside.append(partial(heed, gone=server.failure))
    return await attended(run, *beside)


def tell(run: Run, summary: Summary) -> int:
    if summary.state == "already":
        say(f"{run.settings.output} is finished already: nothing to do.")
        if summary.tally.bad:
            say(f"{summary.tally.bad} rows failed; --retry-failed asks them again.")
    else:
        print_summary(summary, Console())
    if summary.state == "interrupted":
        say(f"Stopped after {summary.tally.rows} rows. {go_on(run)}")
        return INTERRUPTED
    return SOME_FAILED if summary.tally.bad else ALL_GOOD


def go_on(run: Run) -> str:
    return f"Nothing is lost: give the same command again to go on where {run.settings.output} was left."

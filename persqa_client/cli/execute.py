"""What ``persqa run`` does with its flags: settings, the run under signals and progress, the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import typer
from rich.console import Console

from persqa_client.cli.dry_run import show_requests
from persqa_client.cli.event_loop import run_on
from persqa_client.cli.exits import ALL_GOOD, DEFECT, INTERRUPTED, NO_SERVER, SOME_FAILED, WRONG_USE, fail, say, unheard
from persqa_client.cli.report import print_summary
from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build
from persqa_client.endpoints.credentials import make_endpoints
from persqa_client.engines.feed import has_more
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.inputs.sources import START, open_source
from persqa_client.run.attending import STOPPING, attended
from persqa_client.run.gc_tuning import look_seldom
from persqa_client.run.progress import Onlooker, show_progress
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary


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
        if not has_more(source, START) and not settings.output.exists():
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
        summary = run_on(watched(run))
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
        say(STOPPING)
        run.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    for warning in run.plan.warnings():
        say(f"Warning: {warning}")
    run.pool.warn = lambda warning: say(f"Warning: {warning}")
    return await attended(run, partial(show_progress, console=Onlooker(stderr=True)))


def tell(run: Run, summary: Summary) -> int:
    if summary.state == "already":
        say(f"{run.settings.output} is finished already: nothing to do.")
        if summary.tally.bad:
            kind = "rows" if summary.tally.units == summary.tally.rows else "questions"
            say(f"{summary.tally.bad} {kind} failed; --retry-failed asks them again.")
    else:
        with unheard(sys.stdout):
            print_summary(summary, Console())
    if summary.state == "interrupted":
        say(f"Stopped after {summary.tally.rows} rows. {go_on(run)}")
        return INTERRUPTED
    return SOME_FAILED if summary.tally.bad else ALL_GOOD


def go_on(run: Run) -> str:
    return f"Nothing is lost: give the same command again to go on where {run.settings.output} was left."

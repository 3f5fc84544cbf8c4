"""The JSON object of ``persqa run --json``, which is the only text on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import typer

from persqa_client import __version__
from persqa_client.cli.exits import EXIT_BUG, EXIT_INTERRUPTED, ErrorExit
from persqa_client.cli.messages import tolerate_closed_stream
from persqa_client.engines.budget import BUDGET
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.run.prices import find_known_price
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.storage.tally import Tally

BUG = "An exception that is a bug in persqa_client; its traceback is on stderr."
# States of runs that the same command continues.
RESUMABLE = ("interrupted", "stopped", "failed")
INTERRUPTED = "Stopped by Ctrl-C or SIGTERM."


@dataclass(slots=True)
class RunResult:
    """Result of a command, for its JSON object. ``run`` is None until the settings and the input were found usable."""

    run: Run | None = None


@contextmanager
def print_run_as_json(result: RunResult) -> Iterator[None]:
    """Prints the object however the command ends, apart from errors in its flags."""
    try:
        yield
    except typer.Exit as end:
        error = end.error if isinstance(end, ErrorExit) else None
        print_as_json(describe_run_result(result.run, error, end.exit_code))
        raise


def print_as_json(value: object) -> None:
    """Prints in ASCII, since the terminal may lack letters, and the name of a file may be no text."""
    with tolerate_closed_stream(sys.stdout):
        print(json.dumps(value, indent=2))


def describe_run_result(run: Run | None, error: object, exit_code: int) -> dict[str, Any]:
    summary = run.summary if run is not None else None
    state = find_state(summary, error, exit_code)
    has_ended = state in ("finished", "already")
    return {
        "version": __version__,
        "state": state,
        "exit_code": exit_code,
        "reason": None if has_ended else describe_reason_of_end(error, exit_code),
        "resume": run.describe_resuming() if run is not None and state in RESUMABLE and not is_budget(error) else None,
        "shard": str(run.settings.shard) if run is not None and run.settings.shard else None,
        **describe_counts(summary.tally if summary is not None else Tally()),
        "cost": describe_cost(run, summary),
        **describe_speed(summary),
        "files": describe_files(run),
        "endpoints": [asdict(stats) for stats in summary.endpoints] if summary is not None else [],
        "notes": [*summary.notes, *summary.findings] if summary is not None else [],
    }


def find_state(summary: Summary | None, error: object, exit_code: int) -> str:
    """``refused``: before the first request; ``stopped``: by an error; ``failed``: by a bug."""
    if exit_code == EXIT_INTERRUPTED:
        return "interrupted"
    if exit_code == EXIT_BUG:
        return "failed"
    if error is not None:
        return "refused" if isinstance(error, SettingsError) else "stopped"
    return "finished" if summary is None else summary.state


def is_budget(error: object) -> bool:
    """The message has the advice on how to continue."""
    return isinstance(error, RunStopped) and error.code == BUDGET


def describe_reason_of_end(error: object, exit_code: int) -> dict[str, str | None]:
    if exit_code == EXIT_INTERRUPTED:
        return {"code": "interrupted", "message": INTERRUPTED}
    if error is None:
        return {"code": "bug", "message": BUG}
    if isinstance(error, RunStopped):
        return {"code": error.code, "message": error.message}
    return {"code": "settings" if isinstance(error, SettingsError) else "storage", "message": str(error)}


def describe_counts(tally: Tally) -> dict[str, Any]:
    return {
        "rows": tally.rows,
        "questions": tally.tasks,
        "answered": tally.succeeded,
        "failed": tally.failed_total,
        "failed_by_code": dict(tally.failed),
        "re_asked": dict(tally.re_asked),
        "interventions": dict(tally.made_good_by),
        "doubtful": tally.doubtful,
        "doubts": dict(tally.doubts),
        "verdicts": dict(tally.verdicts),
        "requests": tally.attempts,
        "tokens": {"prompt": tally.prompt_tokens, "completion": tally.completion_tokens},
    }


def describe_cost(run: Run | None, summary: Summary | None) -> dict[str, object] | None:
    """None without a known price, and for a run that has asked nothing."""
    if run is None or summary is None:
        return None
    price = find_known_price(run.settings)
    tally = summary.tally
    return None if price is None else price.to_json(tally.prompt_tokens, tally.completion_tokens)


def describe_speed(summary: Summary | None) -> dict[str, float | None]:
    """Time and rate of all starts of the run together."""
    if summary is None:
        return {"seconds": 0.0, "rows_per_second": None}
    rate = summary.tally.rows / summary.seconds if summary.seconds else None
    return {"seconds": round(summary.seconds, 3), "rows_per_second": rate and round(rate, 3)}


def describe_files(run: Run | None) -> dict[str, str]:
    """The files that exist at present: an unfinished run has others."""
    files = run.summary.files if run is not None and run.summary is not None else None
    if files is None:
        failed = run.settings.failed if run is not None else None
        return {} if failed is None else {"failed": str(failed)}
    ended = ("output", "failed", "details", "run", "timeline", "listing", "decisions")
    growing = ("partial", "failed_partial", "details_partial", "timeline_partial", "listing_partial")
    return {name: str(path) for name in (*ended, *growing) if (path := getattr(files, name)).exists()}

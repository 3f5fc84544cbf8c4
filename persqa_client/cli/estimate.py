"""``persqa estimate``: the command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from persqa_client.cli import run_flags as flag
from persqa_client.cli.exits import logged_command
from persqa_client.cli.fetch_flags import fetch_option
from persqa_client.cli.output_names import rows_file
from persqa_client.cli.run import run

# Flags of ``persqa run`` that do not affect an estimate: of a server of its own, of the files that a run writes and
# continues, of the end of a run, and of what is done instead of one.
ONLY_OF_RUNS = frozenset(
    {"serve", "serve_args", "serve_timeout", "device", "vllm_command", "no_uuid", "metrics_port"}
    | {"output_style", "paths", "details", "failed", "fresh", "retry_failed", "recheck_pictures", "report"}
    | {"max_bad_answers", "max_bad_rows", "max_inflight_mb"}
    | {"max_tokens_total", "max_cost", "max_failures", "max_wall", "preview", "dry_run"}
    | {"engine", "shards", "ray_address", "ray_workers", "merge"}
)
# Values of these flags in a run that does not have them.
FIXED_FLAGS = {"serve_args": None, "device": "auto", "vllm_command": None}
# Taken flags that are no settings of the run.
NOT_SETTINGS = frozenset({"config", "help_all"})

PilotRows = Annotated[
    int, typer.Option(min=0, metavar="N", help="Ask about N rows, spread over the input; 0 sends nothing.")
]
Output = Annotated[
    Path | None,
    flag.files_option(
        "--output",
        "-o",
        metavar="FILE.jsonl",
        parser=rows_file,
        help="Only for the command of the run, which is printed.",
    ),
]
Fetch = Annotated[
    bool,
    fetch_option(
        "--fetch",
        help="Download pictures that rows name by http(s) URL, or in any bucket, into a temporary folder: those of at "
        "most 200 rows.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]


def takes_flags_of_run(command: Callable[..., None]) -> Callable[..., None]:
    """Puts the flags of ``persqa run`` in place of ``**flags``. Where the command has its own, these are taken."""
    own = {each.name: each for each in inspect.signature(command, eval_str=True).parameters.values()}
    del own["flags"]
    of_run = inspect.signature(run, eval_str=True).parameters.values()
    argument, *options = (own.pop(each.name, each) for each in of_run if each.name not in ONLY_OF_RUNS)
    # typer reads it.
    command.__signature__ = inspect.Signature([argument, *own.values(), *options])  # type: ignore[attr-defined]
    return command


@takes_flags_of_run
def estimate(
    input: flag.Input,
    output: Output = None,
    pilot: PilotRows = 20,
    json: flag.AsJSON = False,
    quiet: Quiet = False,
    log_file: flag.LogFile = None,
    fetch: Fetch = False,
    **flags: Any,
) -> None:
    """Tell what a run will take: rows, pictures, requests, tokens, time and money.

    Reads the input, and with an endpoint asks about a few rows of it. Writes nothing.

    Exit codes: 0 told, 2 invalid usage or input, or no usable row, 3 server unavailable or requests rejected.

    Example:
      persqa estimate photos/ --base-url http://127.0.0.1:8000/v1
    """
    settings = {name: value for name, value in flags.items() if name not in NOT_SETTINGS}
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.estimate_report import estimate_at_endpoints

    with logged_command(False, log_file, output):
        estimate_at_endpoints(
            {"input": input, "fetch": fetch, **settings, **FIXED_FLAGS}, pilot, as_json=json, quiet=quiet
        )

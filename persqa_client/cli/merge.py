"""``persqa merge``: its flags, and what it says of the merged run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import WARNING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persqa_client.cli.exits import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_ROWS_FAILED,
    EXIT_USAGE,
    count_of,
    exit_with_error,
)
from persqa_client.cli.messages import print_message
from persqa_client.cli.output_names import rows_file
from persqa_client.cli.run_flags import Quiet
from persqa_client.cli.usage import path

if TYPE_CHECKING:
    from persqa_client.run.merge import MergeReport


def merge_outputs(
    outputs: Annotated[
        list[Path], typer.Argument(metavar="OUT...", parser=path, help="Output files of the runs with --shard.")
    ],
    target: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.jsonl", parser=rows_file, help="New file to write.")
    ],
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out shards that are missing or not finished.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the counts as one JSON object on standard output, and nothing else.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Put the outputs of all shards of a run together, in input order. Sends nothing.

    The shards stay as they are. The new output has its own failure file, details and run file, as of one run.

    Exit codes: 0 all answers accepted, 1 some rows failed, 2 invalid usage or files, or shards that do not fit,
    130 stopped.

    Example: persqa merge part-*.jsonl -o qa.jsonl
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.json_result import print_as_json
    from persqa_client.errors import SettingsError, StorageError
    from persqa_client.run.merge import merge_runs

    try:
        if str(target) == "-":
            raise SettingsError("a merge is written to a file, and not to standard output: give -o a file")
        with merge_status(hidden=quiet or json) as tell:
            report = merge_runs(outputs, target, partial=partial, tell=tell)
    except (SettingsError, StorageError) as error:
        exit_with_error(error, EXIT_USAGE)
    except KeyboardInterrupt:
        print_message("Stopped. Nothing was written, or the next command completes the output.", WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    for number, reason in report.left_out.items():
        print_message(f"Warning: shard {number} is left out ({reason}).", WARNING)
    if json:
        print_as_json(describe_merge(report))
    elif not quiet:
        for line in format_merge(report):
            print(line)
    raise typer.Exit(EXIT_ROWS_FAILED if report.tally.failed_total else EXIT_OK)


@contextmanager
def merge_status(*, hidden: bool) -> Iterator[Callable[[int], None]]:
    from persqa_client.terminals import QuietConsole

    console = QuietConsole(stderr=True)
    if hidden or not console.is_interactive:
        yield lambda done: None
        return
    with console.status("Reading the shards") as status:
        yield lambda done: status.update(f"Merging: {count_of(done, 'question')}")


def format_merge(report: MergeReport) -> list[str]:
    tally, files = report.tally, report.files
    several = f", {tally.tasks:,} questions" if tally.tasks != tally.rows else ""
    lines = [f"{'shards':<13} {report.count:,}"] if report.count else []
    lines += [f"{'rows':<13} {tally.rows:,}{several}", f"{'answered':<13} {tally.succeeded:,}"]
    lines.append(f"{'failed':<13} {tally.failed_total:,}")
    lines += [f"  {code:<11} {count:,}" for code, count in tally.failed.most_common()]
    lines.append(f"{'output':<13} {files.output}")
    named = [("failed rows", files.failed), ("details", files.details), ("run file", files.run)]
    lines += [f"{name:<13} {path}" for name, path in named if path.exists()]
    return [*lines, f"{'to look at it':<13} persqa view {shlex.quote(str(files.output))}"]


def describe_merge(report: MergeReport) -> dict[str, Any]:
    from persqa_client import __version__

    tally = report.tally
    return {
        "version": __version__,
        "exit_code": EXIT_ROWS_FAILED if tally.failed_total else EXIT_OK,
        "shards": report.count,
        "left_out": {str(number): reason for number, reason in report.left_out.items()},
        "rows": tally.rows,
        "questions": tally.tasks,
        "answered": tally.succeeded,
        "failed": tally.failed_total,
        "failed_by_code": dict(tally.failed),
        "output": str(report.files.output),
    }

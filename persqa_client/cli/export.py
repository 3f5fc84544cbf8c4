"""``persqa export``: its flags, and what it says of the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import WARNING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, count_of, exit_with_error
from persqa_client.cli.messages import configure_messages, print_message, show_logged_warnings
from persqa_client.cli.usage import path, place

if TYPE_CHECKING:
    from persqa_client.formats.export import ExportReport, Stage
    from persqa_client.formats.splits import Split
    from persqa_client.records.run_records import RecordedRun

STAGES: dict[Stage, tuple[str, str]] = {
    "group": ("Grouping", "row"),
    "compare": ("Comparing", "picture"),
    "write": ("Writing", "row"),
    "upload": ("Sending", "file"),
}
# Rows or pictures after which their number is shown again.
SHOWN_STEPS = 100
LayoutName = Literal[
    "llava",
    "llamafactory",
    "swift",
    "trl",
    "openai",
    "axolotl",
    "yollava",
    "mcllava",
    "rap",
    "repic",
    "jsonl",
    "parquet",
    "webdataset",
    "captions",
]


def export_outputs(
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT...", parser=path, help="Output files of runs.")],
    to: Annotated[
        LayoutName,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format: llava (also Qwen's trainer), llamafactory, swift, trl, openai, axolotl; of personalised "
            "models yollava, mcllava, rap, repic; jsonl (the lines of the output); with the pictures in the files "
            "parquet (for Hugging Face datasets), webdataset; or captions (a .txt beside each picture).",
        ),
    ],
    target: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            parser=place,
            help="New folder, or a file that ends in .json or .jsonl; also s3://BUCKET/FOLDER.",
        ),
    ],
    pictures: Annotated[
        Literal["copy", "link", "leave", "embed"] | None,
        typer.Option(
            help="Copies or links in DIR/images, the paths of the originals, or data in the rows. Default: copy; leave "
            "for a FILE; embed for openai, parquet, webdataset, captions."
        ),
    ] = None,
    sent: Annotated[
        bool,
        typer.Option(
            "--sent",
            help="Pictures as they were sent: upright, reduced, with their --box, without GPS and other metadata.",
        ),
    ] = False,
    paths: Annotated[
        Literal["relative", "absolute"], typer.Option(help="How rows name copies and links; relative to DIR.")
    ] = "relative",
    split: Annotated[
        str | None, typer.Option(metavar="NAME=SHARE,...", help="Several files, such as train=0.9,val=0.1.")
    ] = None,
    by: Annotated[
        Literal["picture", "row", "folder", "tag"],
        typer.Option(help="What stays together in a split. Near-duplicate pictures count as one picture."),
    ] = "picture",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    details: Annotated[
        bool,
        typer.Option("--details", help="In parquet, webdataset: also raw text, checks, seed, question id, tokens."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object on standard output, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Write the accepted answers of runs in the format that a trainer loads. Sends nothing.

    DIR has the rows (train.json, train.jsonl, data/*.parquet or train-*.tar, for each part of --split), the
    pictures, and export.json, which says where the rows come from. An unfinished run is exported as far as it got. What
    was decided with persqa view --edit applies: rejected answers are left out, and edited ones have their new text.

    Exit codes: 0 written, 2 invalid usage or files, 130 stopped.

    Example: persqa export qa.jsonl --to llava -o dataset --split train=0.9,val=0.1
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.json_result import print_as_json
    from persqa_client.errors import SettingsError, StorageError
    from persqa_client.formats.export import ExportSettings
    from persqa_client.formats.splits import Split, parse_parts
    from persqa_client.formats.upload import write_export

    configure_messages(quiet=quiet or json)
    show_logged_warnings()
    try:
        parts = Split(parse_parts(split), by, seed) if split is not None else None
        with show_steps(quiet=quiet or json) as on_step:
            settings = ExportSettings(to, target, pictures, sent, paths == "absolute", parts, force, details)
            report = write_export(outputs, settings, on_step)
    except (SettingsError, StorageError) as error:
        if json:
            print_as_json(describe_failed_export(error, EXIT_USAGE))
        exit_with_error(error, EXIT_USAGE)
    except KeyboardInterrupt:
        if json:
            print_as_json(describe_failed_export(None, EXIT_INTERRUPTED))
        print_message("Stopped. Nothing was exported.", WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    warnings = list_export_warnings(report, parts)
    if json:
        print_as_json(describe_export_result(report, warnings))
    for line in describe_decisions(report.decisions):
        print_message(line)
    for line in warnings:
        print_message(line, WARNING)
    print_message(describe_written(report))


@contextmanager
def show_steps(*, quiet: bool) -> Iterator[Callable[[Stage, int], None]]:
    """Shows the progress of the export on a terminal; elsewhere, nothing."""
    from persqa_client.terminals import QuietConsole

    console = QuietConsole(stderr=True)
    if quiet or not console.is_interactive:
        yield lambda stage, number: None
        return
    with console.status("Reading the files …") as status:

        def show(stage: Stage, number: int) -> None:
            if number % SHOWN_STEPS == 0:
                verb, noun = STAGES[stage]
                status.update(f"{verb} {count_of(number, noun)} …")

        yield show


def list_export_warnings(report: ExportReport, split: Split | None) -> list[str]:
    """Rows that are not in the export, and parts of a split that are not as large as they should be."""
    lines = [describe_unfinished(run) for run in report.runs if run.state == "unfinished"]
    if report.left_out:
        count = report.left_out.total()
        codes = ", ".join(f"{code} {number:,}" for code, number in report.left_out.most_common())
        first = report.examples[0]
        lines.append(f"{count_of(count, 'row')} left out ({codes}). The first is {first.id}: {first.message}.")
    for name, number in report.files.items():
        if not number:
            lines.append(f"{name} has no rows: there are too few pictures or groups for its share.")
    return [*lines, *describe_shares(report, split)]


def describe_unfinished(run: RecordedRun) -> str:
    text = f"{run.output} is unfinished: exported as far as it is."
    if waiting := run.extent.waiting:
        answers = "accepted answer waits" if waiting == 1 else "accepted answers wait"
        text += f" {waiting:,} more {answers} for an unfinished row before"
        text += "; the same persqa run command finishes the run."
    return text


def describe_shares(report: ExportReport, split: Split | None) -> Iterator[str]:
    from persqa_client.formats.splits import find_far_shares

    if split is None or not all(report.files.values()):
        return
    rows = {Path(name).stem: number for name, number in report.files.items()}
    if far := find_far_shares(split.parts, rows):
        parts = ", ".join(f"{part.name} has {share:.0%} of the rows instead of {part.share:.0%}" for part, share in far)
        parts = parts.replace("%", " %")
        yield f"With few {split.by}s, the shares of --split are rough: {parts}. Another --seed gives others."


def describe_written(report: ExportReport) -> str:
    from persqa_client.formats.export_target import description_path

    pictures = f", {count_of(report.picture_files, 'picture')}" if report.picture_files else ""
    rows = count_of(report.row_count, "row")
    if len(report.files) > 1:
        rows = f"{rows} ({', '.join(f'{name} {number:,}' for name, number in report.files.items())})"
    return f"{rows}{pictures}: {report.target}. See {description_path(report.target)}."


def describe_export_result(report: ExportReport, warnings: list[str]) -> dict[str, Any]:
    from persqa_client import __version__
    from persqa_client.formats.export_target import description_path

    return {
        "version": __version__,
        "state": "written",
        "exit_code": EXIT_OK,
        "target": str(report.target),
        "description": str(description_path(report.target)),
        "files": report.files,
        "rows": report.row_count,
        "pictures": report.picture_files,
        "left_out": dict(report.left_out),
        "decisions": report.decisions,
        "warnings": warnings,
    }


def describe_failed_export(error: object, exit_code: int) -> dict[str, Any]:
    from persqa_client import __version__
    from persqa_client.cli.json_result import describe_reason_of_end

    reason = describe_reason_of_end(error, exit_code)
    state = "interrupted" if exit_code == EXIT_INTERRUPTED else "refused"
    return {"version": __version__, "state": state, "exit_code": exit_code, "reason": reason}


def describe_failed(count: int) -> str:
    if not count:
        return ""
    return f"; {count:,} of them {'the answer of a failed question' if count == 1 else 'answers of failed questions'}"


def describe_decisions(counts: dict[str, int]) -> list[str]:
    lines = []
    names = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
    applied = [f"{name} {counts[kind]:,}" for kind, name in names.items() if kind in counts]
    if applied:
        failed = describe_failed(counts.get("failed", 0))
        lines.append(f"Decided by hand: {', '.join(applied)}{failed}.")
    if stale := counts.get("stale"):
        lines.append(f"{count_of(stale, 'stale decision')} not applied: the answers are others by now.")
    if left := counts.get("not_accepted"):
        lines.append(
            f"{count_of(left, 'decision')} not applied: the run does not have these answers, or their details."
        )
    return lines

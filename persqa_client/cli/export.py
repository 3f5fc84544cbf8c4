"""``persqa export``: its flags, and what it says of the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_USAGE, count_of, exit_with_error
from persqa_client.cli.messages import print_message
from persqa_client.cli.usage import path

if TYPE_CHECKING:
    from persqa_client.formats.export import ExportReport, Stage

STAGES: dict[Stage, tuple[str, str]] = {
    "group": ("Grouping", "row"),
    "compare": ("Comparing", "picture"),
    "write": ("Writing", "row"),
}
# Rows or pictures after which their number is shown again.
SHOWN_STEPS = 100
LayoutName = Literal[
    "llava", "llamafactory", "swift", "trl", "openai", "axolotl", "yollava", "mcllava", "rap", "repic", "jsonl"
]


def export_outputs(
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT...", parser=path, help="Output files of runs.")],
    to: Annotated[
        LayoutName,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format: llava (also Qwen's trainer), llamafactory, swift, trl, openai, axolotl; of personalised "
            "models yollava, mcllava, rap, repic; or jsonl (the lines of the output).",
        ),
    ],
    target: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            parser=path,
            help="New folder, or a file that ends in .json or .jsonl.",
        ),
    ],
    pictures: Annotated[
        Literal["copy", "link", "leave", "embed"] | None,
        typer.Option(
            help="Copies or links in DIR/images, the paths of the originals, or data in the rows. Default: copy; leave "
            "for a FILE; embed for openai."
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
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
) -> None:
    """Write the accepted answers of runs in the format that a trainer loads. Sends nothing.

    DIR has the rows (train.json or train.jsonl, or a file for each part of --split), the pictures, and export.json,
    which says where the rows come from. An unfinished run is exported as far as it got. What was decided with
    persqa view --edit applies: rejected answers are left out, and edited ones have their new text.

    Exit codes: 0 written, 2 invalid usage or files, 130 stopped.

    Example: persqa export qa.jsonl --to llava -o dataset --split train=0.9,val=0.1
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.errors import SettingsError, StorageError
    from persqa_client.formats.export import ExportSettings, export_runs
    from persqa_client.formats.splits import Split, parse_parts

    try:
        parts = Split(parse_parts(split), by, seed) if split is not None else None
        with show_steps() as on_step:
            settings = ExportSettings(to, target, pictures, sent, paths == "absolute", parts, force)
            report = export_runs(outputs, settings, on_step=on_step)
    except (SettingsError, StorageError) as error:
        exit_with_error(error, EXIT_USAGE)
    except KeyboardInterrupt:
        print_message("Stopped. Nothing was exported.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    for line in describe_report_lines(report):
        print_message(line)


@contextmanager
def show_steps() -> Iterator[Callable[[Stage, int], None]]:
    """On a terminal, how far the export is; nothing else."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage, number: None
        return
    with console.status("Reading the files …") as status:

        def show(stage: Stage, number: int) -> None:
            if number % SHOWN_STEPS == 0:
                verb, noun = STAGES[stage]
                status.update(f"{verb} {count_of(number, noun)} …")

        yield show


def describe_report_lines(report: ExportReport) -> list[str]:
    from persqa_client.formats.export_target import description_path

    lines = describe_decisions(report.decisions)
    for run in report.runs:
        if run.state == "unfinished":
            lines.append(f"{run.output} is unfinished: exported as far as it is.")
    if report.left_out:
        count = report.left_out.total()
        codes = ", ".join(f"{code} {number:,}" for code, number in report.left_out.most_common())
        first = report.examples[0]
        lines.append(f"{count_of(count, 'row')} left out ({codes}). The first is {first.id}: {first.message}.")
    for name, number in report.files.items():
        if not number:
            lines.append(f"{name} has no rows: there are too few pictures or groups for its share.")
    pictures = f", {count_of(report.picture_files, 'picture')}" if report.picture_files else ""
    rows = " + ".join(f"{number:,}" for number in report.files.values())
    noun = "row" if report.row_count == 1 else "rows"
    lines.append(f"{rows} {noun}{pictures}: {report.target}. See {description_path(report.target)}.")
    return lines


def describe_decisions(counts: dict[str, int]) -> list[str]:
    lines = []
    names = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
    applied = [f"{name} {counts[kind]:,}" for kind, name in names.items() if kind in counts]
    if applied:
        lines.append(f"Decided by hand: {', '.join(applied)}.")
    if stale := counts.get("stale"):
        lines.append(f"{count_of(stale, 'stale decision')} not applied: the answers are others by now.")
    if left := counts.get("not_accepted"):
        lines.append(f"{count_of(left, 'decision')} not applied: an export has no answers of failed questions.")
    return lines

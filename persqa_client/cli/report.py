"""``persqa report``: its flags, and what it says of the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_USAGE, count_of, exit_with_error
from persqa_client.cli.messages import print_message, show_logged_warnings
from persqa_client.cli.output_names import page_file
from persqa_client.cli.usage import path

if TYPE_CHECKING:
    from persqa_client.report.data import ReportData

# Number of pictures whose thumbnails take several seconds.
MANY_THUMBNAILS = 200


def make_report(
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT...", parser=path, help="Output files of runs.")],
    page: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.html", parser=page_file, help="The page; an earlier report is replaced."
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.html even if it is not a report.")] = False,
) -> None:
    """Write one HTML page with the pictures, questions, answers and failures of runs. Sends nothing.

    An unfinished run is shown as far as it got.

    Exit codes: 0 page written, 2 invalid usage or files, 130 stopped.

    Example: persqa report qa.jsonl -o report.html
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.errors import SettingsError, StorageError
    from persqa_client.report.page import write_report

    show_logged_warnings()
    try:
        data = write_report(outputs, page, force=force, on_read=announce_thumbnails)
    except (SettingsError, StorageError) as error:
        exit_with_error(error, EXIT_USAGE)
    except KeyboardInterrupt:
        print_message("Stopped. No page was written.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print_message(describe_report(data, page))


def announce_thumbnails(data: ReportData) -> None:
    if data.thumbnail_count >= MANY_THUMBNAILS:
        print_message(f"Making thumbnails of {count_of(data.thumbnail_count, 'picture')} …")


def describe_report(data: ReportData, page: Path) -> str:
    megabytes = page.stat().st_size / 1e6
    text = f"{count_of(data.row_count, 'question')} about {count_of(data.picture_count, 'picture')}: {page} "
    text += f"({megabytes:.1f} MB). Open it in a browser."
    if data.thumbnail_count < data.picture_count:
        text += f" An even sample of {count_of(data.thumbnail_count, 'picture')} has thumbnails."
    return text

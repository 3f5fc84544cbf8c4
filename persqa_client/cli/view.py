"""``persqa view``: its flags, and what it prints."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from persqa_client.cli.exits import EXIT_USAGE, exit_with_error
from persqa_client.cli.messages import print_message, show_logged_warnings
from persqa_client.cli.usage import path


def view_output(
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT...", parser=path, help="Output files of runs.")],
    edit: Annotated[
        bool, typer.Option("--edit", help="Accept, reject and edit answers; kept in OUT's .decisions.jsonl.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Show the pictures, questions, answers and failures of runs in the browser. Sends nothing to other machines.

    Any number of rows; a run that goes on is followed. Ctrl-C ends it.

    Exit codes: 0 ended by Ctrl-C, 2 invalid usage or files.

    Example: persqa view qa.jsonl --open
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.errors import SettingsError
    from persqa_client.report.rows import refuse_repeated_outputs
    from persqa_client.report.served_runs import ServedRuns
    from persqa_client.report.server import PageServer

    def announce(url: str) -> None:
        # Alone on its line, so that a script can read it and a terminal makes a link of it.
        typer.echo(url)
        print_message(describe_page(outputs, edit=edit))
        print_message("Open the address in a browser on this machine. Ctrl-C ends it.")
        if open_browser:
            # Some browsers return only when they are closed.
            threading.Thread(target=show_page, args=(url,), daemon=True).start()

    show_logged_warnings()
    try:
        refuse_repeated_outputs(outputs)
        runs = ServedRuns(outputs)
        try:
            runs.advance(strict=True)
            asyncio.run(PageServer(runs, editable=edit).serve(port, announce))
        finally:
            runs.close()
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    except KeyboardInterrupt:
        pass  # before the server has its own handler
    print_message("Stopped.")


def show_page(url: str) -> None:
    if not webbrowser.open(url):
        print_message("No browser could be opened.")


def describe_page(outputs: list[Path], *, edit: bool) -> str:
    from persqa_client.storage.run_files import RunFiles

    shown = f"Showing {', '.join(map(str, outputs))}."
    if not edit:
        return shown
    names = dict.fromkeys(str(RunFiles.for_output(output).decisions) for output in outputs)
    return f"{shown} Decisions go to {', '.join(names)}."

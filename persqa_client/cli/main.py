"""The ``persqa`` command. Each subcommand has a module of its own."""

from __future__ import annotations

import typer

from persqa_client.cli.doctor import doctor
from persqa_client.cli.exits import prepare_process
from persqa_client.cli.run import run
from persqa_client.cli.sim import sim

app = typer.Typer(
    name="persqa",
    help="Generates personalised visual question-answering data from photos through an OpenAI-compatible endpoint.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.callback()(prepare_process)
app.command()(run)
app.command()(sim)
app.command()(doctor)

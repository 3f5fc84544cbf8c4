"""The ``persqa`` command: its sub-commands, each in a file of its own."""

from __future__ import annotations

import typer

from persqa_client.cli.doctor import doctor
from persqa_client.cli.exits import prepare
from persqa_client.cli.run import run
from persqa_client.cli.sim import sim

app = typer.Typer(
    name="persqa",
    help="Personalised visual question-answering data from photos, through an OpenAI-compatible endpoint.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.callback()(prepare)
app.command()(run)
app.command()(sim)
app.command()(doctor)

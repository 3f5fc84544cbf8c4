"""The ``persqa`` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from persqa_client.cli.exits import prepare_process
from persqa_client.cli.run import RunCommand, run
from persqa_client.cli.sim import sim


def doctor(
    base_url: Annotated[str, typer.Option(help="Endpoint, such as http://HOST:8000/v1.")],
    model: Annotated[
        str | None, typer.Option(help="Model name; default: the first model that the server lists.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the API key.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.")] = 120.0,
) -> None:
    """Test what a server supports, and suggest the flags of a run.

    Exit codes: 0 server can be used, 2 invalid usage, 3 server unavailable, requests rejected, or no image support.

    Example: persqa doctor --base-url http://127.0.0.1:8000/v1
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.doctor import print_report

    print_report(base_url, model, api_key_env, timeout)


app = typer.Typer(
    name="persqa",
    help="Generates personalised visual question-answering data from photos through an OpenAI-compatible endpoint.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.callback()(prepare_process)
app.command(cls=RunCommand)(run)
app.command()(sim)
app.command()(doctor)

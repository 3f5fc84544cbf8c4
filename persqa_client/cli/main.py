"""The ``persqa`` command and its subcommands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from persqa_client import __version__
from persqa_client.cli.bank import app as bank_app
from persqa_client.cli.estimate import estimate
from persqa_client.cli.exits import prepare_process
from persqa_client.cli.export import export_outputs
from persqa_client.cli.init import make_config
from persqa_client.cli.merge import merge_outputs
from persqa_client.cli.prompt import app as prompt_app
from persqa_client.cli.recheck import recheck_output
from persqa_client.cli.report import make_report
from persqa_client.cli.run import RunCommand, run
from persqa_client.cli.run_flags import VARIABLES
from persqa_client.cli.sim import sim
from persqa_client.cli.usage import Command, Group, path
from persqa_client.cli.view import view_output


def doctor(
    base_url: Annotated[str, typer.Option(envvar=VARIABLES["base_url"], help="Endpoint, such as http://HOST:8000/v1.")],
    model: Annotated[
        str | None,
        typer.Option(envvar=VARIABLES["model"], help="Model name; default: the first model that the server lists."),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the API key.")
    ] = None,
    api_key_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Command that prints the API key.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=@VARIABLE", help="Further header, with its value in an environment variable."),
    ] = None,
    ca_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=path, help="Certificates to trust instead of the system's.")
    ] = None,
    client_cert: Annotated[
        str | None, typer.Option(metavar="FILE[:KEY]", help="Client certificate and its key, in PEM format.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.")] = 120.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object on standard output, and nothing else.")
    ] = False,
) -> None:
    """Test what a server supports, and suggest the flags of a run.

    Exit codes: 0 server can be used, 2 invalid usage, 3 server unavailable, requests rejected, or no image support.

    Example: persqa doctor --base-url http://127.0.0.1:8000/v1
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.doctor import print_report

    flags = {
        "api_key_env": api_key_env and [api_key_env],
        "api_key_command": api_key_command and [api_key_command],
        "header": header,
        "ca_cert": ca_cert,
        "client_cert": client_cert,
    }
    print_report(next(iter(base_url.split()), ""), model, flags, timeout, as_json=json)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"persqa {__version__}")
        raise typer.Exit


def prepare(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    prepare_process()


app = typer.Typer(
    cls=Group,
    name="persqa",
    help="Generates personalised visual question-answering data from photos through an OpenAI-compatible endpoint.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,  # errors in one line, as those of a run
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(prepare)
app.command(cls=RunCommand)(run)
app.command(cls=RunCommand)(estimate)
app.command("init", cls=Command)(make_config)
app.command(cls=Command)(sim)
app.command(cls=Command)(doctor)
app.add_typer(bank_app, name="bank")
app.add_typer(prompt_app, name="prompt")
app.command("merge", cls=Command)(merge_outputs)
app.command("recheck", cls=Command)(recheck_output)
app.command("report", cls=Command)(make_report)
app.command("view", cls=Command)(view_output)
app.command("export", cls=Command)(export_outputs)

"""What ``persqa doctor`` does: looks at the server, tries all that a run may need, prints a table and a command."""

from __future__ import annotations

import asyncio
import os

from rich.console import Console
from rich.table import Table
from rich.text import Text

from persqa_client.cli.advice import command
from persqa_client.cli.doctor_report import Finding, findings
from persqa_client.cli.exits import NO_SERVER, WRONG_USE, fail
from persqa_client.config import Endpoint, Limits, build
from persqa_client.endpoints.credentials import find_key
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError, SettingsError
from persqa_client.probing.capabilities import Server, unfit
from persqa_client.probing.probe import examine, look

AT_ONCE = 8


def main(base_url: str, model: str | None, api_key_env: str | None, timeout: float) -> None:
    """Prints what was found; ends the command with its exit code where the server is not fit."""
    try:
        key = find_key(base_url, api_key_env, os.environ)
        endpoint = build(Endpoint, base_url=base_url, model=model or "?", api_key=key)
        limits = build(Limits, timeout=timeout, concurrency=AT_ONCE, max_attempts=2, max_outage=timeout)
        endpoint, server, notes = asyncio.run(diagnose(endpoint, limits, choose=model is None))
    except SettingsError as error:
        fail(error, WRONG_USE)
    except PersQAError as error:
        fail(error, NO_SERVER)
    console = Console()
    print_findings(findings(endpoint, server, notes), console)
    reason = unfit(server)
    if reason is None and server.sight is not None and server.sight.state == "failed":
        reason = f"It has no answer to a request with a picture: {server.sight.words}"
    if reason is not None:
        fail(f"This server is not fit for a run. {reason}", NO_SERVER)
    console.print("\nSettings to use:", style="bold")
    console.print(command(server, endpoint, api_key_env), soft_wrap=True, markup=False, highlight=False)


async def diagnose(endpoint: Endpoint, limits: Limits, *, choose: bool) -> tuple[Endpoint, Server, list[str]]:
    """The endpoint with its model chosen, what was found, and what requests to it must do without.

    Raises RunStopped where the server is away or refuses.
    """
    if choose:
        async with Session(endpoint, limits=limits) as session:
            models = (await look(session)).models
        if not models:
            raise SettingsError("This server lists no models: name one with --model.")
        endpoint = endpoint.model_copy(update={"model": models[0]})
    async with Session(endpoint, limits=limits) as session:
        server = await examine(session, thorough=True)
        return endpoint, server, session.dialect.notes()


def print_findings(lines: list[Finding], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in lines:
        table.add_row(heading, Text(text))
    console.print(table)

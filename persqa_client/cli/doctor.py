"""``persqa doctor``: what a server is, and what it obeys, before a run depends on it."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    base_url: Annotated[str, typer.Option(help="The endpoint, such as http://HOST:8000/v1.")],
    model: Annotated[str | None, typer.Option(help="The model's name there; else the first that it lists.")] = None,
    api_key_env: Annotated[str | None, typer.Option(metavar="NAME", help="Variable with the key.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.")] = 120.0,
) -> None:
    """Ask a server what it is and try what a run needs of it.

    Exit codes: 0 fit for a run, 2 usage, 3 server away, refusing, or without an eye for pictures.

    Example: persqa doctor --base-url http://127.0.0.1:8000/v1
    """
    # Imported here, because --help must not wait for the SDK.
    from persqa_client.cli import doctor_report

    doctor_report.main(base_url, model, api_key_env, timeout)

"""The flags of ``persqa run`` for pictures that rows name by URL."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

fetch_option = partial(typer.Option, rich_help_panel="Pictures by URL")
Fetch = Annotated[
    bool,
    fetch_option(
        "--fetch",
        help="Download pictures that rows name by http(s) URL, or in any bucket, into persqa-fetched, beside the "
        "output.",
    ),
]
FetchAllow = Annotated[
    list[str] | None,
    fetch_option(
        metavar="HOST", help="Name, address or network that is not public, but pictures may come from. Repeatable."
    ),
]
FetchTimeout = Annotated[float, fetch_option(metavar="SECONDS", help="Time limit of one download.")]
FetchMaxMB = Annotated[
    int, fetch_option("--fetch-max-mb", min=1, max=1000, metavar="N", help="Size limit of one picture, in MB.")
]
FetchPerHost = Annotated[int, fetch_option(min=1, metavar="N", help="Downloads from one host at the same time.")]

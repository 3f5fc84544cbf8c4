"""The flags of ``persqa run`` that limit it: how much at once, and how much in all."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from persqa_client.cli.usage import path

limit_option = partial(typer.Option, rich_help_panel="Limits")
Concurrency = Annotated[str, limit_option(metavar="auto|N", help="Concurrent requests; auto finds the best number.")]
MaxConcurrency = Annotated[int, limit_option(min=1, metavar="N", help="Largest number that --concurrency auto tries.")]
RequestsPerSecond = Annotated[float | None, limit_option(metavar="X", help="Requests per second; may be below 1.")]
RequestsPerMinute = Annotated[float | None, limit_option(metavar="N", help="Requests per minute.")]
TokensPerMinute = Annotated[int | None, limit_option(metavar="N", help="Tokens per minute.")]
LimitsShare = Annotated[str | None, limit_option(metavar="I/N", help="Share of these limits for one of N processes.")]
ShareLimits = Annotated[
    Path | None,
    limit_option(metavar="DIR", parser=path, help="Share these limits with the other processes that name this folder."),
]
Timeout = Annotated[float, limit_option(metavar="SECONDS", help="Time limit of one attempt.")]
MaxAttempts = Annotated[int, limit_option(min=1, metavar="N", help="Attempts for each request.")]
MaxOutage = Annotated[float, limit_option(metavar="SECONDS", help="Time to wait for a server that is unavailable.")]
MaxBadAnswers = Annotated[
    int, limit_option(min=0, metavar="N", help="Rejected answers in a row that stop the run; 0 for no stop.")
]
MaxBadRows = Annotated[
    int,
    limit_option(
        min=0,
        metavar="N",
        help="Unusable rows at the beginning that stop the run, or all rows of a shorter input; 0 for no stop.",
    ),
]
MaxInflightMB = Annotated[int, limit_option(min=1, metavar="N", help="Memory for rows and images in progress, in MB.")]

budget_option = partial(typer.Option, rich_help_panel="Budget")
MaxTokensTotal = Annotated[int | None, budget_option(min=1, metavar="N", help="Stop after N tokens of the whole run.")]
MaxCost = Annotated[
    float | None, budget_option(metavar="X", help="Stop at this cost of the whole run, in the currency of the prices.")
]
PriceIn = Annotated[
    float | None,
    budget_option(
        metavar="X", help="Price of a million prompt tokens; default: the host's price in US dollars, if it is known."
    ),
]
PriceOut = Annotated[float | None, budget_option(metavar="X", help="Price of a million completion tokens.")]
MaxFailures = Annotated[int | None, budget_option(min=1, metavar="N", help="Stop after N failed rows or questions.")]
MaxWall = Annotated[
    str | None, budget_option(metavar="N|8h", help="Stop after this time, in seconds, or such as 8h and 1h30m.")
]

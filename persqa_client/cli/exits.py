"""Exit codes, and how an error is told. Prints to the terminal."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

ALL_GOOD = 0
SOME_FAILED = 1
WRONG_USE = 2
"""Usage or configuration, the run's own files included."""
NO_SERVER = 3
"""The server is away or refuses."""
INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM; resumable."""


def say(text: str) -> None:
    """One line for the person, on stderr, so that stdout stays free for results."""
    print(text, file=sys.stderr, flush=True)


def fail(error: object, code: int) -> NoReturn:
    sentence = str(error).strip()
    end = "" if sentence.endswith((".", "!", "?")) else "."
    say(f"Error: {sentence}{end}")
    raise typer.Exit(code)

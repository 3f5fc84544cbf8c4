"""Exit codes, and how an error is told. Prints to the terminal, and prepares it and the process for that."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

import typer

from persqa_client.errors import ServerFailed

ALL_GOOD = 0
SOME_FAILED = 1
WRONG_USE = 2
"""Usage or configuration, the run's own files included."""
NO_SERVER = 3
"""The server is away or refuses."""
DEFECT = 70
"""A fault in this package (EX_SOFTWARE of sysexits.h); resumable."""
INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM; resumable."""


def say(text: str) -> None:
    """One line for the person, on stderr, so that stdout stays free for results."""
    with unheard(sys.stderr):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def unheard(stream: TextIO) -> Iterator[None]:
    """What is said of a run is not the run: where nobody reads it any more, or the disk is full, it is lost alone."""
    try:
        yield
        stream.flush()
    except OSError:
        # What is left in the stream would fail again, at the latest when the process ends.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def prepare() -> None:
    """For every command, before anything heavy is imported: SIGTERM is as good as Ctrl-C from the first moment, and no
    letter is foreign to the terminal."""
    signal.signal(signal.SIGTERM, interrupt)
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_streams() -> None:
    """Standard streams that the process was started without lead nowhere, so that no socket gets their numbers:
    uvloop ends the process for one that does."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, "w" if number else "r", closefd=False))


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def fail(error: object, code: int) -> NoReturn:
    sentence = str(error).strip()
    if isinstance(error, ServerFailed):
        # The sentence comes last: a terminal shows the end.
        sentence = error.message
        say("\n  ".join(("The end of the server's log:", *error.log)) if error.log else "The server's log is empty.")
    end = "" if sentence.endswith((".", "!", "?")) else "."
    say(f"Error: {sentence}{end}")
    raise typer.Exit(code)

"""Exit codes, messages on stderr, and process setup shared by all commands."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

import typer

from persqa_client.errors import ServerFailed

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
EXIT_OK = 0
EXIT_ROWS_FAILED = 1
# Invalid usage or configuration, or files cannot be written.
EXIT_USAGE = 2
# The server is unavailable or rejects the requests.
EXIT_NO_SERVER = 3
# A bug in this program: EX_SOFTWARE of sysexits.h. The run can be resumed.
EXIT_BUG = 70
# Stopped by Ctrl-C or SIGTERM. The run can be resumed.
EXIT_INTERRUPTED = 130


def show_controls(text: str) -> str:
    """Escapes characters that a terminal would obey; a model's text may have any."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def print_message(text: str) -> None:
    """Prints to stderr; stdout is reserved for results."""
    with tolerate_closed_stream(sys.stderr):
        print(show_controls(text), file=sys.stderr, flush=True)


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def exit_with_error(error: object, code: int) -> NoReturn:
    """Prints the error (and the log of a failed server before it) and exits."""
    message = str(error).strip()
    if isinstance(error, ServerFailed):
        message = error.message
        print_message(
            "\n  ".join(("The end of the server's log:", *error.log)) if error.log else "The server's log is empty."
        )
    end = "" if message.endswith((".", "!", "?")) else "."
    print_message(f"Error: {message}{end}")
    raise typer.Exit(code)


@contextmanager
def tolerate_closed_stream(stream: TextIO) -> Iterator[None]:
    """Discards output if the reader has closed the stream or the disk is full, so that the run continues."""
    try:
        yield
        stream.flush()
    except OSError:
        # The remaining buffer would fail again when the process exits.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def prepare_process() -> None:
    """Makes Ctrl-C and SIGTERM raise KeyboardInterrupt, opens closed standard streams, and escapes characters that the
    terminal cannot encode.

    Runs before every command and before slow imports.
    """
    signal.signal(signal.SIGTERM, raise_keyboard_interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_missing_streams() -> None:
    """Opens /dev/null for closed standard streams.

    Otherwise a socket could get their file descriptors, and uvloop aborts on such a socket.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, "w" if number else "r", closefd=False))


def raise_keyboard_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

"""Exit codes and process setup shared by all commands."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from persqa_client.cli.messages import configure_messages, log_message, print_message
from persqa_client.errors import ServerFailed

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


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class ErrorExit(typer.Exit):
    """The end of a command by an error that has been printed."""

    def __init__(self, error: object, code: int) -> None:
        super().__init__(code)
        self.error = error


def exit_with_error(error: object, code: int) -> NoReturn:
    """Prints the error (and the log of a failed server before it) and exits."""
    message = str(error).strip()
    if isinstance(error, ServerFailed):
        message = error.message
        log = "\n  ".join(("The end of the server's log:", *error.log)) if error.log else "The server's log is empty."
        print_message(log, logging.ERROR)
    end = "" if message.endswith((".", "!", "?")) else "."
    print_message(f"Error: {message}{end}", logging.ERROR)
    raise ErrorExit(error, code)


@contextmanager
def logged_command(quiet: bool, log_file: Path | None, output: Path | None = None) -> Iterator[None]:
    """Applies --quiet and --log-file inside. Exits if the log file can't be written, or is a file of the run."""
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client import __version__
    from persqa_client.errors import SettingsError
    from persqa_client.storage.run_files import RunFiles

    try:
        if log_file is not None and output is not None and RunFiles.for_output(output).includes(log_file):
            raise SettingsError(
                f"--log-file: {log_file} is one of the files of the output {output}; name another file."
            )
        configure_messages(quiet=quiet, log_file=log_file)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    log_message(f"persqa {__version__} starts, process {os.getpid()}.")
    try:
        yield
    except typer.Exit as end:
        log_message(f"The exit code is {end.exit_code}.")
        raise


def prepare_process() -> None:
    """Makes Ctrl-C and SIGTERM raise KeyboardInterrupt, opens closed standard streams, and escapes characters that the
    terminal cannot encode. Exits without a working directory.

    Runs before every command and before slow imports.
    """
    signal.signal(signal.SIGTERM, raise_keyboard_interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    require_working_directory()


def require_working_directory() -> None:
    """Exits if it was removed, perhaps by another shell, and made anew: relative paths would have no meaning."""
    try:
        os.getcwd()
    except OSError as error:
        exit_with_error(f"The working directory can't be found ({error.strerror}); change to it anew.", EXIT_USAGE)


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

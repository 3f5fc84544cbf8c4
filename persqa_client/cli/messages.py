"""Messages on stderr and in the file of --log-file. Results go to stdout."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# How a line of a log file begins.
TIME_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
MARGIN = "\n    "

# Apart from the logger of the package, whose warnings are messages, too.
logger = logging.getLogger("persqa_client.cli.messages")
logger.propagate = False
logger.setLevel(logging.INFO)


def show_controls(text: str) -> str:
    """Escapes characters that a terminal would obey; a model's text may have any."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


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


class StderrHandler(logging.Handler):
    """Prints to the stream that is ``sys.stderr`` at the time: a progress bar replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "is_for_file", False):
            with tolerate_closed_stream(sys.stderr):
                # Imported here to keep --help fast (cli/run.py).
                from persqa_client.terminals import wrap_words

                print(wrap_words(show_controls(record.getMessage()), sys.stderr), file=sys.stderr, flush=True)


stderr_handler = StderrHandler()
logger.addHandler(stderr_handler)


class LogFileHandler(logging.FileHandler):
    """Appends to a file. After an error of the disk, the rest is left out, and the command continues."""

    def emit(self, record: logging.LogRecord) -> None:
        # Imported here to keep --help fast (cli/run.py).
        from persqa_client.keys import mask_keys

        message = record.getMessage().removeprefix(f"{record.levelname.title()}: ")
        text = show_controls(mask_keys(message)).replace("\n", MARGIN)
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")
        assert self.stream is not None
        try:
            self.stream.write(f"{time} {record.levelname:<7} {text}\n")
            self.stream.flush()
        except OSError as error:
            logger.removeHandler(self)
            with tolerate_closed_stream(self.stream):
                pass
            self.close()
            warning = f"Warning: --log-file: {self.baseFilename} can't be written any more ({error.strerror})."
            logger.warning(warning)


def print_message(text: str, level: int = logging.INFO) -> None:
    """Prints to stderr; stdout is reserved for results. With --quiet, only warnings and errors are printed."""
    logger.log(level, "%s", text)


def print_warning(warning: str) -> None:
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.keys import mask_keys

    print_message(f"Warning: {mask_keys(warning)}", logging.WARNING)


class WarningHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_warning(record.getMessage())


def show_logged_warnings() -> None:
    """Prints what the package logs for users of the API, in the form of the command's own warnings."""
    package = logging.getLogger("persqa_client")
    if not package.handlers:
        package.addHandler(WarningHandler(logging.WARNING))


def log_message(text: str) -> None:
    """Writes a message to the log file only."""
    logger.info("%s", text, extra={"is_for_file": True})


def configure_messages(*, quiet: bool = False, log_file: Path | None = None) -> None:
    """Sets what --quiet and --log-file say, for the rest of the process. Raises SettingsError."""
    stderr_handler.setLevel(logging.WARNING if quiet else logging.INFO)
    for earlier in [handler for handler in logger.handlers if isinstance(handler, LogFileHandler)]:
        logger.removeHandler(earlier)
        earlier.close()
    if log_file is not None:
        logger.addHandler(open_log_file(log_file))


def has_log_file() -> bool:
    return any(isinstance(handler, LogFileHandler) for handler in logger.handlers)


def open_log_file(path: Path) -> LogFileHandler:
    """Raises SettingsError if it can't be written, or is another file than a log."""
    from persqa_client.errors import SettingsError

    try:
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(32)
            if beginning and not TIME_STAMP.match(beginning):
                raise SettingsError(f"--log-file: {path} is no log of persqa; name another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        return LogFileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(f"--log-file: {path} can't be written ({error.strerror}).") from error

"""The entry point of the ``persqa`` command. Handles signals and errors during the imports, which are slow."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# As in cli/exits.py, which is imported later.
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# Errors of a standard stream: on a full disk, and of a closed pipe.
FULL, CLOSED = (errno.ENOSPC, errno.EDQUOT), (errno.EPIPE,)


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop_early)  # until ``prepare_process``
    from persqa_client.cli.main import app

    with tolerated_output():
        try:
            app(prog_name="persqa")
        finally:
            # Inside of its own, so that an exit code of the command stays if the reader has closed the output.
            with tolerated_output():
                if sys.stdout is not None:  # closed by the caller
                    sys.stdout.flush()


@contextmanager
def tolerated_output() -> Iterator[None]:
    """Leaves out output whose reader has ended. Exits if the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL + CLOSED:
            raise
        # What is left in the buffer would fail again when the process exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in FULL:
            print(f"Error: the output can't be written ({error.strerror}).", file=sys.stderr)
            sys.exit(EXIT_USAGE)


def stop_early(number: int, frame: FrameType | None) -> None:
    """Ctrl-C during the imports. Nothing is open yet, and an exception in an import would be reported as a bug."""
    os.write(sys.stderr.fileno(), b"Stopped.\n")
    os._exit(EXIT_INTERRUPTED)

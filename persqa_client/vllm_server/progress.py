"""What a person is told while a server starts: what it is at, every ten seconds. Prints to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from persqa_client.vllm_server.logs import doing

PRINT_EVERY = 10.0


def waiting(served: str, seconds: float, said: str) -> str:
    """A line for the person who waits. ``said`` is the log so far."""
    at = doing(said)
    return f"Waiting for vllm serve {served} to be ready, {seconds:.0f} s{'' if at is None else f' ({at})'}"


def printer(clock: Callable[[], float] = time.monotonic) -> Callable[[str], None]:
    """Prints the first line that it is given, and then one every ten seconds."""
    due = 0.0

    def tell(line: str) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PRINT_EVERY
            print(line, file=sys.stderr, flush=True)

    return tell

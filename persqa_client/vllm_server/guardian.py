"""Stands between us and a server: starts it, and ends it with all its children when it is told to, or when we are gone.

A process of its own, so that it sees our end however that comes, SIGKILL included: the pipe to it closes. On Linux it
also adopts what the server's children leave behind, so that nobody who descends from the server can get away.

Says on stdout ``started PID``, ``failed REASON`` and ``ended CODE``; its stderr is the server's log.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from persqa_client.vllm_server.processes import TICK, descendants, kill_all, send

LOOK_EVERY = 0.2
LAST_WORDS = 2.0
"""Seconds that a dead server's children get to end by themselves."""
INSISTING = 15.0
"""Seconds of SIGKILL, after which what is left hangs in the kernel."""


def longest_end(grace: float) -> float:
    """Seconds that an end takes at most, and a little."""
    return grace + LAST_WORDS + INSISTING + 1.0


PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Guardian:
    """One server's, from ``start`` to ``end``."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.code: int | None = None
        """The server's exit code, negative for a signal, once it has ended."""
        self.dismissed = False
        self.server: subprocess.Popen[bytes]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.dismiss)
        control(PR_SET_CHILD_SUBREAPER, 1)

    def dismiss(self, number: int, frame: FrameType | None) -> None:
        self.dismissed = True

    def start(self, command: list[str]) -> None:
        """Raises OSError where the command can't be run."""
        self.server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            start_new_session=True,
            # Should the guardian itself be killed, the server hears of it. Safe here: one thread, and nothing imported.
            preexec_fn=lambda: control(PR_SET_PDEATHSIG, signal.SIGTERM),
        )

    def watch(self) -> None:
        """Returns when the server has ended, or is to end."""
        while not self.dismissed and self.look() is None and os.getppid() == self.parent:
            if select.select([sys.stdin.fileno()], [], [], LOOK_EVERY)[0]:
                return

    def look(self) -> int | None:
        """Takes note of every child that has ended, adopted ones too."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if ended[0] == self.server.pid:
                    self.code = self.server.returncode = os.waitstatus_to_exitcode(ended[1])
                    tell(f"ended {self.code}")
        return self.code

    def end(self, grace: float) -> None:
        """Asks the server to end, then its children, then ends all that is left."""
        if self.code is None:
            send([self.server.pid], signal.SIGTERM)
            self.wait(lambda: self.code is not None, grace)
        if self.code is not None:
            send(descendants(os.getpid()), signal.SIGTERM)
            self.wait(lambda: not self.left(), LAST_WORDS)
        kill_all(self.left, INSISTING)

    def left(self) -> set[int]:
        """The server and its own that are still there."""
        self.look()
        return descendants(os.getpid())

    def wait(self, over: Callable[[], bool], seconds: float) -> None:
        """Until it is over, or for so long."""
        deadline = time.monotonic() + seconds
        while not over() and time.monotonic() < deadline:
            time.sleep(TICK)
            self.look()


def control(option: int, value: int) -> None:
    """A setting of this process's own; Linux alone has it."""
    if LIBC is not None:
        LIBC.prctl(option, value, 0, 0, 0)


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Loaded before anything forks."""


def tell(line: str) -> None:
    # With nobody there to hear it, the guardian still has its work to do.
    with suppress(OSError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def main() -> None:
    """``grace`` seconds, then the words of the command."""
    grace, command = float(sys.argv[1]), sys.argv[2:]
    guardian = Guardian()
    try:
        guardian.start(command)
    except OSError as error:
        tell(f"failed {error.strerror or error}")
        return
    tell(f"started {guardian.server.pid}")
    guardian.watch()
    guardian.end(grace)

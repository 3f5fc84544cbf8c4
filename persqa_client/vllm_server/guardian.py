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
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType

# Which processes descend from one, and sending them signals. Reads /proc, or asks ``ps`` where there is none.
#
# Knows nothing of the rest of the package: the guardian starts with this alone.

PROC = Path("/proc")
TICK = 0.05

TIDIER = "multiprocessing.resource_tracker"
"""In the command line of a process that Python starts beside others: it removes the shared memory that they leave
behind, hundreds of megabytes with vLLM, and ends by itself once they are gone. Nobody else would remove that."""
TIDYING = 2.0
"""Seconds that it gets for this."""


def parents() -> dict[int, int]:
    """Every process with its parent; those that have ended and are only not yet taken note of are left out."""
    if not (PROC / "self" / "stat").exists():
        return listed_parents()
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            # One that ends meanwhile is none.
            with suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold spaces and parentheses itself.
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    found[int(entry.name)] = int(parent)
    return found


def listed_parents() -> dict[int, int]:
    told = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in told.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if len(row) > 2 and not row[2].startswith("Z")}


def descendants(root: int) -> set[int]:
    """All that descend from ``root`` now, itself not among them, whatever group or session they made for themselves."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    ahead = [root]
    while ahead:
        new = set(children.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def tidiers(pids: Iterable[int]) -> set[int]:
    """Those that clean up behind the others. On Linux alone; elsewhere none is told from the rest."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            if TIDIER in (PROC / str(pid) / "cmdline").read_text(errors="replace"):
                found.add(pid)
    return found


def kill_all(left: Callable[[], set[int]], seconds: float) -> None:
    """SIGKILL to all that ``left`` finds, again and again until it finds none; gives up after ``seconds``.

    Those that clean up behind the others come last, and only where they do not end by themselves.
    """
    now = time.monotonic()
    deadline, tidied = now + seconds, now + TIDYING
    while (found := left()) and (now := time.monotonic()) < deadline:
        if others := found - tidiers(found):
            tidied = now + TIDYING
        send(found if now > tidied else others, signal.SIGKILL)
        time.sleep(TICK)


def kill_tree(root: int, seconds: float) -> None:
    """``kill_all`` for ``root``, all its descendants, and what they started meanwhile.

    The descendants are found before their parents die: an orphan can't be told from a stranger.
    """
    known = {root}

    def left() -> set[int]:
        for pid in tuple(known):
            known.update(descendants(pid))
        return known & parents().keys()

    kill_all(left, seconds)


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

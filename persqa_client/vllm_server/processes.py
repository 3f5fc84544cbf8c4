"""Which processes descend from one, and sending them signals. Reads /proc, or asks ``ps`` where there is none.

Knows nothing of the rest of the package: the guardian starts with this alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

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

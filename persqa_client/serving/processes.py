"""Which processes descend from one, and sending them signals. Reads /proc, or asks ``ps`` where there is none.

Knows nothing of the rest of the package: the guardian starts with this alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICK = 0.05


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


def kill_tree(root: int, seconds: float) -> None:
    """SIGKILL to ``root`` and all its descendants, and to what they started meanwhile; gives up after ``seconds``.

    The descendants are found before their parents die: an orphan can't be told from a stranger.
    """
    deadline = time.monotonic() + seconds
    known = {root}
    while time.monotonic() < deadline:
        for pid in tuple(known):
            known |= descendants(pid)
        left = known & parents().keys()
        if not left:
            return
        send(left, signal.SIGKILL)
        time.sleep(TICK)

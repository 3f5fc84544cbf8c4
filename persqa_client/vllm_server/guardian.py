"""Runs a command in a process of its own, and ends it with all its children when the parent process ends.

The guardian is a separate process, so that it notices every end of its parent, SIGKILL included: the pipe from the
parent closes. On Linux it also adopts the orphans of the command, so that no descendant is missed.

It writes ``started PID``, ``failed REASON`` and ``ended CODE`` to stdout; its stderr is the command's log.
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
from types import FrameType

import psutil

POLL_SECONDS = 0.05
PARENT_POLL_SECONDS = 0.2

# Seconds that the children of a server that has ended get to end by themselves.
CHILDREN_GRACE = 2.0
# Seconds of SIGKILL; a process that is left afterwards hangs in the kernel.
KILL_TIMEOUT = 15.0

# In the command line of a process that Python starts beside others. It removes the shared memory that they leave
# behind, hundreds of megabytes with vLLM, and then ends by itself; nothing else would remove that memory.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"
RESOURCE_TRACKER_GRACE = 2.0

# Options of prctl(2), which only Linux has. The library is loaded before anything forks.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def is_live(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def find_descendants(pid: int) -> set[psutil.Process]:
    """The live descendants of a process, in whatever session."""
    try:
        return set(filter(is_live, psutil.Process(pid).children(recursive=True)))
    except psutil.NoSuchProcess:
        return set()


def send_signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.send_signal(number)


def is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return RESOURCE_TRACKER in " ".join(process.cmdline())
    except psutil.Error:
        return False


def kill_until_ended(find_remaining: Callable[[], set[psutil.Process]]) -> None:
    """Send SIGKILL until no process remains, for at most KILL_TIMEOUT. Resource trackers are killed last."""
    now = time.monotonic()
    deadline, trackers_deadline = now + KILL_TIMEOUT, now + RESOURCE_TRACKER_GRACE
    while (remaining := find_remaining()) and (now := time.monotonic()) < deadline:
        others = {process for process in remaining if not is_resource_tracker(process)}
        if others:
            trackers_deadline = now + RESOURCE_TRACKER_GRACE
        send_signal(remaining if now > trackers_deadline else others, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants, also those that are started meanwhile."""
    try:
        known = {psutil.Process(pid)}
    except psutil.NoSuchProcess:
        return

    def find_remaining() -> set[psutil.Process]:
        # Found before their parents die, since an orphan can't be recognised as a descendant.
        for process in tuple(filter(is_live, known)):
            known.update(find_descendants(process.pid))
        return set(filter(is_live, known))

    kill_until_ended(find_remaining)


def max_stop_seconds(grace: float) -> float:
    """The longest time that ``Guardian.stop`` takes, and a little more."""
    return grace + CHILDREN_GRACE + KILL_TIMEOUT + 1.0


class Guardian:
    """Starts one command, waits for its end or the parent's, and stops what is left."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        # The command's exit code, negative for a signal, once it has ended.
        self.exit_code: int | None = None
        self.stop_requested = False
        self.command: subprocess.Popen[bytes]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        set_process_option(PR_SET_CHILD_SUBREAPER, 1)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True

    def start(self, command: list[str]) -> None:
        self.command = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            start_new_session=True,
            # If the guardian itself is killed, Linux signals the command. Safe with one thread and no import.
            preexec_fn=lambda: set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM),
        )

    def watch(self) -> None:
        """Return when the command has ended, or when it must be stopped."""
        while not self.stop_requested and os.getppid() == self.parent:
            self._reap()
            if self.exit_code is not None or select.select([sys.stdin.fileno()], [], [], PARENT_POLL_SECONDS)[0]:
                return

    def stop(self, grace: float) -> None:
        """Send SIGTERM to the command and, once it has ended, to its children; then kill what is left."""
        if self.exit_code is None:
            # Not Popen.send_signal, which would collect the exit code. A command under sudo can't be signalled.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.command.pid, signal.SIGTERM)
            self._wait_until(lambda: self.exit_code is not None, grace)
        if self.exit_code is not None:
            send_signal(find_descendants(os.getpid()), signal.SIGTERM)
            self._wait_until(lambda: not self._find_remaining(), CHILDREN_GRACE)
        kill_until_ended(self._find_remaining)

    def _reap(self) -> None:
        """Collect the exit codes of all children that have ended, adopted ones too."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if ended[0] == self.command.pid:
                    self.exit_code = self.command.returncode = os.waitstatus_to_exitcode(ended[1])
                    report(f"ended {self.exit_code}")

    def _find_remaining(self) -> set[psutil.Process]:
        self._reap()
        return find_descendants(os.getpid())

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._reap()


def set_process_option(option: int, value: int) -> None:
    if LIBC is not None:
        LIBC.prctl(option, value, 0, 0, 0)


def report(line: str) -> None:
    # The parent may have ended already, and the rest is to be done all the same.
    with suppress(OSError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def run_guardian() -> None:
    """Arguments: seconds of grace, then the words of the command."""
    grace, command = float(sys.argv[1]), sys.argv[2:]
    guardian = Guardian()
    try:
        guardian.start(command)
    except OSError as error:
        report(f"failed {error.strerror or error}")
        return
    report(f"started {guardian.command.pid}")
    guardian.watch()
    guardian.stop(grace)

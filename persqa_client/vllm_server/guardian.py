"""Runs a command in a separate process, and stops it with all its children when the parent process ends.

The pipe from the parent closes even after SIGKILL. On Linux the guardian also adopts orphaned processes. It writes
``started PID``, ``failed REASON`` and ``ended CODE`` to stdout; its stderr is the command's log.
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

# Seconds for the children of an exited server to exit.
CHILDREN_GRACE = 2.0
# Seconds to wait after SIGKILL. A process that remains longer hangs in the kernel.
KILL_TIMEOUT = 15.0

# In the command line of Python's resource tracker, which removes the shared memory of dead processes (hundreds of
# megabytes with vLLM) and then exits.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"
RESOURCE_TRACKER_GRACE = 2.0

# Options of prctl(2), Linux only. The library is loaded before any fork.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def is_live(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def find_descendants(pid: int) -> set[psutil.Process]:
    """Live descendants, in any session."""
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
    """Sends SIGKILL until no process remains, at most for KILL_TIMEOUT. Kills resource trackers last."""
    now = time.monotonic()
    deadline, trackers_deadline = now + KILL_TIMEOUT, now + RESOURCE_TRACKER_GRACE
    while (remaining := find_remaining()) and (now := time.monotonic()) < deadline:
        others = {process for process in remaining if not is_resource_tracker(process)}
        if others:
            trackers_deadline = now + RESOURCE_TRACKER_GRACE
        send_signal(remaining if now > trackers_deadline else others, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def kill_tree(pid: int) -> None:
    """Kills a process and all its descendants, including new ones."""
    try:
        known = {psutil.Process(pid)}
    except psutil.NoSuchProcess:
        return

    def find_remaining() -> set[psutil.Process]:
        # Found before their parents die, because orphans can't be recognised as descendants.
        for process in tuple(filter(is_live, known)):
            known.update(find_descendants(process.pid))
        return set(filter(is_live, known))

    kill_until_ended(find_remaining)


def max_stop_seconds(grace: float) -> float:
    return grace + CHILDREN_GRACE + KILL_TIMEOUT + 1.0


class Guardian:
    """Starts a command, waits for its end or the parent's, and stops the remaining processes."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        # Exit code of the command, negative for a signal.
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
            # If the guardian is killed, Linux signals the command. Safe with one thread and no imports.
            preexec_fn=lambda: set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM),
        )

    def watch(self) -> None:
        while not self.stop_requested and os.getppid() == self.parent:
            self._reap()
            if self.exit_code is not None or is_readable(sys.stdin.fileno(), PARENT_POLL_SECONDS):
                return

    def stop(self, grace: float) -> None:
        """Sends SIGTERM to the command, then to its children; then kills the rest."""
        if self.exit_code is None:
            # Popen.send_signal would collect the exit code. A command under sudo can't be signalled.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.command.pid, signal.SIGTERM)
            self._wait_until(lambda: self.exit_code is not None, grace)
        if self.exit_code is not None:
            send_signal(find_descendants(os.getpid()), signal.SIGTERM)
            self._wait_until(lambda: not self._find_remaining(), CHILDREN_GRACE)
        kill_until_ended(self._find_remaining)

    def _reap(self) -> None:
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


def is_readable(descriptor: int, seconds: float) -> bool:
    """Whether data, or the end, can be read. ``select.select`` fails for descriptors from 1024 on."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def report(line: str) -> None:
    # The parent may have exited; the rest must still be done.
    with suppress(OSError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def run_guardian() -> None:
    """Arguments: grace in seconds, and the command's words."""
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

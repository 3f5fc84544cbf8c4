"""A command with its guardian, as seen by the starting process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from persqa_client.errors import SettingsError
from persqa_client.vllm_server.guardian import find_descendants, is_readable, kill_tree, max_stop_seconds

# Imports the guardian from this package's folder, and this process's psutil, independent of working directory and
# environment.
PACKAGE_PARENT = str(Path(__file__).parents[2])
PSUTIL_PARENT = str(Path(psutil.__file__).parents[1])
GUARDIAN_CODE = f"""
import sys
sys.path.insert(0, {PACKAGE_PARENT!r})
sys.path.append({PSUTIL_PARENT!r})
from persqa_client.vllm_server.guardian import run_guardian
run_guardian()
"""

# Exit code if the guardian was killed and the command's is unknown.
UNKNOWN_EXIT_CODE = -int(signal.SIGKILL)


class ManagedProcess:
    """A process that ends with the current one, including all its children. Thread-safe.

    Output goes to ``log``. ``grace``: seconds between SIGTERM and SIGKILL. Raises SettingsError if the command can't be
    run.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: IO[bytes], *, grace: float) -> None:
        self.grace = grace
        self.pid = 0
        # Negative for a signal; None while unknown.
        self.exit_code: int | None = None
        self._owner = os.getpid()
        self._received = b""
        self._reading = threading.Lock()
        # In its own session it gets no Ctrl-C from the terminal; this process stops it.
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-c", GUARDIAN_CODE, str(grace), *command],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            self._wait_for_start(command[0])
        except BaseException:
            self.kill()
            raise

    def _wait_for_start(self, program: str) -> None:
        while not self.pid and self.exit_code is None:
            self._read_reports(1.0)
            if self._received.startswith(b"failed "):
                reason = self._received.partition(b" ")[2].decode(errors="replace").strip()
                raise SettingsError(f"{program} can't be run: {reason}.")

    @property
    def is_ours(self) -> bool:
        return os.getpid() == self._owner

    def find_pids(self) -> set[int]:
        return {process.pid for process in find_descendants(self._guardian.pid)}

    def poll(self) -> int | None:
        if self.exit_code is None and self.is_ours:
            self._read_reports(0.0)
        return self.exit_code

    def _read_reports(self, seconds: float) -> None:
        assert self._guardian.stdout is not None
        # Locked including select: of two threads that see the same bytes, one would block in read.
        with self._reading:
            if self._guardian.stdout.closed or not is_readable(self._guardian.stdout.fileno(), seconds):
                return
            data = os.read(self._guardian.stdout.fileno(), 4096)
            self._received += data
            for line in self._received.split(b"\n")[:-1]:
                name, _, number = line.partition(b" ")
                if name == b"started":
                    self.pid = int(number)
                elif name == b"ended":
                    self.exit_code = int(number)
            if not data and self.exit_code is None:
                self.exit_code = UNKNOWN_EXIT_CODE

    def stop(self) -> None:
        """Sends SIGTERM, kills after ``grace`` seconds, and returns when no descendant is left. Idempotent.

        If interrupted, kills immediately and raises.
        """
        assert self._guardian.stdin is not None
        try:
            with suppress(OSError):
                self._guardian.stdin.close()
            self._guardian.wait(max_stop_seconds(self.grace))
        except BaseException as error:
            self.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        self._close()

    def kill(self) -> None:
        if self._guardian.poll() is None:
            kill_tree(self._guardian.pid)
        elif self.pid and self.poll() in (None, UNKNOWN_EXIT_CODE):
            # The guardian was killed, and the command may still run.
            kill_tree(self.pid)
            self.pid = 0
        self._guardian.wait()
        self._close()

    def _close(self) -> None:
        self.poll()
        with self._reading:
            for stream in (self._guardian.stdin, self._guardian.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

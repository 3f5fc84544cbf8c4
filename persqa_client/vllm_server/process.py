"""A command that runs under a guardian: our end of it. Starts and ends processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from persqa_client.errors import SettingsError
from persqa_client.vllm_server.guardian import INSISTING, descendants, kill_tree, longest_end

PACKAGE_FOLDER = str(Path(__file__).parents[2])
BOOT = (
    f"import sys; sys.path.insert(0, {PACKAGE_FOLDER!r}); from persqa_client.vllm_server.guardian import main; main()"
)
"""By the place of this very package: neither the working directory nor the environment can put another in front."""

UNKNOWN = -int(signal.SIGKILL)
"""The exit code where the guardian was killed and nobody knows it."""


class ManagedProcess:
    """A process that ends with this one, with all that it started. Its words go to ``log``. Any thread may ask for it.

    Returns when it is started. Raises SettingsError where the command can't be run.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: IO[bytes], *, grace: float) -> None:
        self.grace = grace
        self.pid = 0
        self.code: int | None = None
        """Exit code, negative for a signal, once it is known that it has ended."""
        self._owner = os.getpid()
        self._said = b""
        self._listening = threading.Lock()
        # A session of its own: Ctrl-C on the terminal is for us, and we end the server in our own time.
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, str(grace), *command],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            self._arrive(command[0])
        except BaseException:
            self.kill()
            raise

    def _arrive(self, program: str) -> None:
        while not self.pid and self.code is None:
            self._listen(1.0)
            if self._said.startswith(b"failed "):
                reason = self._said.partition(b" ")[2].decode(errors="replace").strip()
                raise SettingsError(f"{program} can't be run: {reason}.")

    @property
    def is_ours(self) -> bool:
        """Whether this process started it: a forked child of it did not."""
        return os.getpid() == self._owner

    def family(self) -> set[int]:
        """The process and all that it started and that is there now."""
        return descendants(self._guardian.pid)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.code is None and self.is_ours:
            self._listen(0.0)
        return self.code

    def _listen(self, seconds: float) -> None:
        # Of two that saw the same words, one would read them, and the other wait for more.
        with self._listening:
            self._hear(seconds)

    def _hear(self, seconds: float) -> None:
        assert self._guardian.stdout is not None
        if self._guardian.stdout.closed or not select.select([self._guardian.stdout], [], [], seconds)[0]:
            return
        words = os.read(self._guardian.stdout.fileno(), 4096)
        self._said += words
        for line in self._said.split(b"\n")[:-1]:
            name, _, number = line.partition(b" ")
            if name == b"started":
                self.pid = int(number)
            elif name == b"ended":
                self.code = int(number)
        if not words and self.code is None:
            self.code = UNKNOWN

    def end(self) -> None:
        """Asks it to end, and ends it after ``grace`` seconds; nothing that it started is left. Twice is once.

        Interrupted meanwhile, it ends it at once.
        """
        assert self._guardian.stdin is not None
        try:
            with suppress(OSError):
                self._guardian.stdin.close()
            self._guardian.wait(longest_end(self.grace))
        except BaseException as error:
            self.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        self._close()

    def kill(self) -> None:
        """Ends it without asking."""
        if self._guardian.poll() is None:
            kill_tree(self._guardian.pid, INSISTING)
        elif self.pid and self.poll() in (None, UNKNOWN):
            # The guardian was killed by somebody: what it guarded may still be there.
            kill_tree(self.pid, INSISTING)
            self.pid = 0
        self._guardian.wait()
        self._close()

    def _close(self) -> None:
        self.poll()
        with self._listening:
            for stream in (self._guardian.stdin, self._guardian.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

"""API keys that a command prints, for keys that expire during a run."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from persqa_client.config import HEADER_VALUE
from persqa_client.errors import SettingsError
from persqa_client.task_groups import loop_time

# Seconds until the command must have printed the key.
COMMAND_TIMEOUT = 30.0
# Seconds between two calls for the same endpoint.
MIN_INTERVAL = 60.0


def run_key_command(command: str, timeout: float = COMMAND_TIMEOUT) -> str:
    """The key that the command prints. No shell is used. Raises SettingsError."""
    with start_command(command, timeout) as process:
        output, _ = process.communicate(timeout=timeout)
    return read_key_output(command, process.returncode, output)


async def ask_for_key(command: str, timeout: float = COMMAND_TIMEOUT) -> str:
    """Like ``run_key_command``, without blocking the event loop. The command ends with the calling task."""
    with start_command(command, timeout) as process:
        output, _ = await asyncio.to_thread(process.communicate, timeout=timeout)
    return read_key_output(command, process.returncode, output)


@contextmanager
def start_command(command: str, timeout: float) -> Iterator[subprocess.Popen[bytes]]:
    """Kills the command and its children at the end, unless it has ended."""
    words = split_command(command)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # and so in a process group that can be killed
        )
    except OSError as error:
        raise SettingsError(f"--api-key-command: {words[0]} can't be run ({error.strerror or error}).") from None
    try:
        yield process
    except subprocess.TimeoutExpired:
        assert process.stdout is not None
        process.stdout.close()  # not read to its end, which a child that is left may hold open
        raise SettingsError(f"--api-key-command: {words[0]} did not end within {timeout:g} s.") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def split_command(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"--api-key-command can't be split into words ({error}): check its quotes.") from None
    if not words:
        raise SettingsError("--api-key-command is empty.")
    return words


def read_key_output(command: str, code: int, output: bytes) -> str:
    """Nothing that the command printed is repeated, because it may contain the key."""
    program = split_command(command)[0]
    if code:
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise SettingsError(f"--api-key-command: {program} {how}; run the command by hand to see why.")
    key = output.decode("ascii", "replace").strip()
    if not key:
        raise SettingsError(f"--api-key-command: {program} printed nothing; it must print the key.")
    if not HEADER_VALUE.fullmatch(key) or " " in key:
        raise SettingsError(f"--api-key-command: {program} printed more than a key; it must print the key alone.")
    return key


class KeySource:
    """The key of one endpoint, asked again when it expires."""

    def __init__(self, command: str | None, key: str) -> None:
        self.key = key
        self._command = command
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def replace(self, refused: str) -> bool:
        """Whether there is a key to try instead of the refused one. Raises SettingsError if the command fails.

        Of concurrent callers only one runs the command, and it runs at most once in ``MIN_INTERVAL``.
        """
        if self._command is None:
            return False
        async with self._asking:
            if self.key != refused:
                return True
            now = loop_time()
            if self._asked_at is not None and now - self._asked_at < MIN_INTERVAL:
                return False
            self._asked_at = now
            self.key = await ask_for_key(self._command)
            return self.key != refused

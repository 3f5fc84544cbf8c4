"""API keys that a command prints, for keys that expire during a run, and messages about refused credentials."""

from __future__ import annotations

import asyncio
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from persqa_client.client.retry import Backoff
from persqa_client.errors import SettingsError
from persqa_client.keys import may_be_key
from persqa_client.task_groups import loop_time
from persqa_client.validation import HEADER_VALUE


class Authentication(NamedTuple):
    """``settings``: where the credentials are given, as flags. ``reason`` and ``advice`` are for a 401."""

    settings: str
    reason: str
    advice: str


NO_KEY = Authentication(
    "--api-key-env",
    "the server requires a key and none was sent",
    "name the variable that holds the key with --api-key-env",
)
KEY = Authentication(
    "--api-key-env",
    "the key is wrong or expired",
    "name the variable that holds the right key with --api-key-env",
)
KEY_COMMAND = Authentication(
    "--api-key-command",
    "the key that --api-key-command printed is wrong or expired",
    "run the command by hand to check it",
)


def find_authentication(*, has_key: bool, has_command: bool, headers: Iterable[str]) -> Authentication:
    """Any header may hold the credentials of an endpoint without a key."""
    if has_command:
        return KEY_COMMAND
    if has_key:
        return KEY
    names = list(headers)
    if not names:
        return NO_KEY
    settings = f"--header {' or '.join(names)}"
    advice = "check the value of its variable"
    if "authorization" not in {name.lower() for name in names}:
        advice += ", or name the variable that holds a key with --api-key-env"
    return Authentication(settings, f"the value of {settings} is wrong or expired", advice)


# Seconds until the command must have printed the key.
COMMAND_TIMEOUT = 30.0
# Minimum seconds from a printed key to the next run of the command for the same endpoint.
MIN_INTERVAL = 60.0
# Seconds from a failure of the command to its next run, by the number of failures in a row.
KEY_BACKOFF = Backoff(initial=1.0, maximum=30.0)
# Bytes of output after which the command is ended; a key is shorter.
MAX_OUTPUT = 65_536
# Seconds between checks whether the command has ended.
POLL_INTERVAL = 0.02


def run_key_command(command: str, timeout: float = COMMAND_TIMEOUT) -> str:
    """The key that the command prints. No shell is used. Raises SettingsError."""
    with start_command(command, timeout) as process:
        output = read_until_exit(process, timeout)
    return read_key_output(command, process.returncode, output)


async def ask_for_key(command: str, timeout: float = COMMAND_TIMEOUT) -> str:
    """Runs ``run_key_command`` without blocking the event loop. The command ends with the calling task."""
    with start_command(command, timeout) as process:
        output = await asyncio.to_thread(read_until_exit, process, timeout)
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
            start_new_session=True,  # in a process group that can be killed
        )
    except OSError as error:
        if may_be_key(words[0]):
            raise SettingsError("--api-key-command takes a command that prints the key, not the key itself.") from None
        raise SettingsError(f"--api-key-command: {words[0]} can't be run ({error.strerror or error}).") from None
    try:
        yield process
    except subprocess.TimeoutExpired:
        raise SettingsError(f"--api-key-command: {words[0]} did not end within {timeout:g} s.") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def read_until_exit(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """The output up to the end of the process, or up to ``MAX_OUTPUT``. Raises subprocess.TimeoutExpired.

    A child that the process leaves behind may hold the pipe open for longer.
    """
    assert process.stdout is not None
    output = bytearray()
    deadline = time.monotonic() + timeout
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_READ)
        is_open = True
        while len(output) < MAX_OUTPUT:
            # Checked before the pipe is read, which then holds the complete output of the process.
            has_ended = process.poll() is not None
            if not has_ended and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, timeout)
            if is_open and selector.select(0.0 if has_ended else POLL_INTERVAL):
                chunk = pipe.read(MAX_OUTPUT)
                is_open = bool(chunk)
                output += chunk
            elif has_ended:
                break
            elif not is_open:
                time.sleep(POLL_INTERVAL)
    return bytes(output)


def split_command(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"--api-key-command can't be split into words ({error}): check its quotes.") from None
    if not words:
        raise SettingsError("--api-key-command is empty.")
    return words


def read_key_output(command: str, code: int, output: bytes) -> str:
    """Messages do not repeat the output, because it may contain the key."""
    program = split_command(command)[0]
    if code and len(output) < MAX_OUTPUT:  # otherwise it was killed
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise SettingsError(f"--api-key-command: {program} {how}; run the command by hand to see why.")
    key = output.decode("ascii", "replace").strip()
    if not key:
        raise SettingsError(f"--api-key-command: {program} printed nothing; it must print the key.")
    if not HEADER_VALUE.fullmatch(key) or " " in key:
        raise SettingsError(f"--api-key-command: {program} printed more than a key; it must print the key alone.")
    return key


class KeySource:
    """The key of one endpoint; runs the command again when the key expires. Belongs to one event loop.

    ``backoff``: waits after failures of the command. ``error`` is why its latest run printed no key.
    """

    def __init__(self, command: str | None, key: str, backoff: Backoff = KEY_BACKOFF) -> None:
        self.key = key
        self.error: SettingsError | None = None
        self._command = command
        self._backoff = backoff
        self._failures = 0  # in a row
        self._next_call = 0.0  # on the loop's clock
        self._call: asyncio.Task[None] | None = None

    async def replace(self, refused: str) -> bool:
        """Returns whether there is a key other than the refused one. Raises SettingsError if the command fails.

        Concurrent callers share one run of the command and its result, even if some of them are cancelled. The command
        runs again ``MIN_INTERVAL`` after a key at the earliest, and after a longer wait with each failure in a row.
        """
        if self._command is None:
            return False
        if self.key != refused:
            return True
        if self._call is None and loop_time() >= self._next_call:
            self._call = asyncio.create_task(self._run(self._command))
        if self._call is not None:
            await asyncio.shield(self._call)
        if self.error is not None:
            raise self.error.fresh()
        return self.key != refused

    async def _run(self, command: str) -> None:
        try:
            self.key = await ask_for_key(command)
        except SettingsError as error:
            self.error = error.fresh()
            self._next_call = loop_time() + self._backoff.max_wait(self._failures)
            self._failures += 1
        else:
            self.error, self._failures = None, 0
            self._next_call = loop_time() + MIN_INTERVAL
        finally:
            self._call = None

    async def aclose(self) -> None:
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)

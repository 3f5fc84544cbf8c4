"""What a server's log says: its last lines, why it ended, what it is at. Pure."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from persqa_client.errors import ServerFailed, SettingsError

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SPEAKER = re.compile(r"^\([\w ]+=\d+\)\s*")
STAMP = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\d\d-\d\d [\d:]+ (?:\[[^\]]*\])\s*")
COMPLAINT = re.compile(r"^(?:[\w.]+(?:Error|Exception|Exit)|(?:[\w. -]+: )?error): .+|^Value error, .+")
"""The last line of a traceback, of a usage error, and what pydantic says of a setting, below its own."""
HEARSAY = re.compile(r"Engine core initialization failed|EngineDeadError|See root cause|WorkerProc initialization")
"""One process telling of another's end: the cause stands further up."""
FAREWELL = re.compile(r"nanobind|^ - (?:leaked|\.\.\. skipped)|resource_tracker")
"""What libraries say at every end; it would fill the last lines."""
TAKEN = re.compile(r"address already in use|EADDRINUSE", re.IGNORECASE)

LAST = 20
SHORT = 90
LONG = 300


def last_lines(text: str, count: int = LAST) -> list[str]:
    """The end of a log as it would look on a terminal, without blank lines and libraries' farewells."""
    lines = (shown(line) for line in text.split("\n"))
    return [line for line in lines if line.strip() and not FAREWELL.search(line)][-count:]


def shown(line: str) -> str:
    """Without colours; of a bar that was drawn over itself, the last state."""
    return CONTROLS.sub("", line).rstrip().rpartition("\r")[2]


def bare(line: str) -> str:
    """Without who said it, when and where."""
    return STAMP.sub("", SPEAKER.sub("", shown(line).strip())).strip()


def cause(text: str) -> str | None:
    """The error that the log ends with, one line of it; None where it tells of none."""
    complaints = [line for line in map(bare, text.split("\n")) if COMPLAINT.match(line)]
    first_hand = [line for line in complaints if not HEARSAY.search(line)]
    found = first_hand or complaints
    return abridge(found[-1].removeprefix("Value error, "), LONG) if found else None


def port_was_taken(text: str) -> bool:
    return TAKEN.search(text) is not None


def doing(text: str) -> str | None:
    """What the server is at, by its newest line."""
    lines = last_lines(text, 1)
    return abridge(bare(lines[0]), SHORT) if lines else None


def abridge(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# The file with a server's own words: a given one, or a temporary one that goes when all went well. Reads, writes.

TAIL = 65536
"""Bytes at its end that are looked at."""


class ServerLog:
    """One file for all starts of a server; ``said`` speaks of the newest."""

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self.given = None if given is None else Path(given)
        self.path = self.given
        """None where there is no file at the moment."""
        self._begin = 0

    def open(self) -> IO[bytes]:
        """For a new start, whose words follow those of earlier ones. Raises SettingsError where it can't be written."""
        try:
            if self.path is None:
                descriptor, name = tempfile.mkstemp(prefix="persqa-vllm-", suffix=".log")
                os.close(descriptor)
                self.path = Path(name)
            file = self.path.open("ab")
        except OSError as error:
            raise SettingsError(f"The server's log {self.path or ''} can't be written ({error.strerror}).") from error
        self._begin = file.tell()
        return file

    def said(self) -> str:
        """The end of what the newest start has said; nothing where there is no file."""
        if self.path is None:
            return ""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._begin, os.fstat(file.fileno()).st_size - TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def discard(self) -> None:
        """Removes a temporary file; a given one stays."""
        if self.path is not None and self.given is None:
            self.path.unlink(missing_ok=True)
            self.path = None


# Why a server is not there, told to a person: one sentence, and the end of its log. Pure.


def died(served: str, code: int, said: str, log: Path | None, *, ready: bool) -> ServerFailed:
    """It has ended with ``code`` (negative: by a signal), before it was ready or afterwards."""
    when = "while it was in use" if ready else "before it was ready"
    reason = cause(said)
    told = "" if reason is None else f": {reason.rstrip('.')}"
    sentence = f"vllm serve {served} {ended(code)} {when}{told}. {whole(log)}"
    return ServerFailed("server_died" if ready else "server_failed", sentence, last_lines(said))


def stopped(served: str) -> ServerFailed:
    """Somebody asks for it who does not know that we have ended it."""
    return ServerFailed(
        "server_stopped", f"vllm serve {served} was stopped, and nobody answers at its address any more."
    )


def ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (somebody killed it, or the system did for want of memory)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"


def too_slow(served: str, seconds: float, said: str, log: Path | None) -> ServerFailed:
    at = doing(said)
    told = "it said nothing" if at is None else f"the last that it said was: {at.rstrip('.')}"
    limit = f"{seconds:g} s (--serve-timeout, startup_timeout)"
    sentence = f"vllm serve {served} was not ready within {limit}; {told}. {whole(log)}"
    return ServerFailed("server_slow", sentence, last_lines(said))


def whole(log: Path | None) -> str:
    return f"Its whole log: {log}."


def taken(port: int) -> SettingsError:
    return SettingsError(
        f"Port {port} is taken by another program: choose another one, or none, and a free one is found."
    )


def outrun(tries: int) -> ServerFailed:
    """Free ports were chosen, and each was gone before the server had it."""
    return ServerFailed(
        "no_port", f"{tries} free ports were taken by other programs before vllm serve could have them: try again."
    )


# What a person is told while a server starts: what it is at, every ten seconds. Prints to stderr.

PRINT_EVERY = 10.0


def waiting(served: str, seconds: float, said: str) -> str:
    """A line for the person who waits. ``said`` is the log so far."""
    at = doing(said)
    return f"Waiting for vllm serve {served} to be ready, {seconds:.0f} s{'' if at is None else f' ({at})'}"


def printer(clock: Callable[[], float] = time.monotonic) -> Callable[[str], None]:
    """Prints the first line that it is given, and then one every ten seconds."""
    due = 0.0

    def tell(line: str) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PRINT_EVERY
            print(line, file=sys.stderr, flush=True)

    return tell

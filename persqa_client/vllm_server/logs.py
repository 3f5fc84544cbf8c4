"""Log of a vLLM server, and messages that quote it."""

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
from persqa_client.keys import mask_keys

ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROCESS_PREFIX = re.compile(r"^\([\w ]+=\d+\)\s*")
LEVEL_PREFIX = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\d\d-\d\d [\d:]+ (?:\[[^\]]*\])\s*")
# The last line of a traceback or of a usage error, or pydantic's line about a setting.
ERROR_LINE = re.compile(r"^(?:[\w.]+(?:Error|Exception|Exit)|(?:[\w. -]+: )?error): .+|^Value error, .+")
# Errors about the end of another process; the cause is in an earlier line.
SECONDARY_ERROR = re.compile(
    r"Engine core initialization failed|EngineDeadError|See root cause|WorkerProc initialization"
)
# Messages of libraries at every exit.
EXIT_NOISE = re.compile(r"nanobind|^ - (?:leaked|\.\.\. skipped)|resource_tracker")
PORT_IN_USE = re.compile(r"address already in use|EADDRINUSE", re.IGNORECASE)

LAST_LINES = 20
MAX_ACTIVITY_LENGTH = 90
MAX_CAUSE_LENGTH = 300

# Bytes read from the end of a log.
TAIL_BYTES = 65536

PRINT_INTERVAL = 10.0


class ServerLog:
    """Log file of all starts: the given path, or a temporary file that ``discard`` removes."""

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self.given = None if given is None else Path(given)
        # None without a temporary file.
        self.path = self.given
        self._start = 0

    def open(self) -> IO[bytes]:
        try:
            if self.path is None:
                descriptor, name = tempfile.mkstemp(prefix="persqa-vllm-", suffix=".log")
                os.close(descriptor)
                self.path = Path(name)
            file = self.path.open("ab")
        except OSError as error:
            raise SettingsError(f"The server's log {self.path or ''} can't be written ({error.strerror}).") from error
        self._start = file.tell()
        return file

    def read_tail(self) -> str:
        if self.path is None:
            return ""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._start, os.fstat(file.fileno()).st_size - TAIL_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def discard(self) -> None:
        if self.path is not None and self.given is None:
            self.path.unlink(missing_ok=True)
            self.path = None


def last_lines(log: str, count: int = LAST_LINES) -> list[str]:
    lines = (render_line(line) for line in log.split("\n"))
    return [line for line in lines if line.strip() and not EXIT_NOISE.search(line)][-count:]


def render_line(line: str) -> str:
    return ESCAPE_SEQUENCE.sub("", line).rstrip().rpartition("\r")[2]


def strip_prefixes(line: str) -> str:
    return LEVEL_PREFIX.sub("", PROCESS_PREFIX.sub("", render_line(line).strip())).strip()


def find_cause(log: str) -> str | None:
    """The line with the last error, preferably a primary one; None without errors."""
    errors = [line for line in map(strip_prefixes, log.split("\n")) if ERROR_LINE.match(line)]
    found = [line for line in errors if not SECONDARY_ERROR.search(line)] or errors
    return shorten_line(found[-1].removeprefix("Value error, "), MAX_CAUSE_LENGTH) if found else None


def find_activity(log: str) -> str | None:
    lines = last_lines(log, 1)
    return shorten_line(strip_prefixes(lines[0]), MAX_ACTIVITY_LENGTH) if lines else None


def has_port_conflict(log: str) -> bool:
    return PORT_IN_USE.search(log) is not None


def shorten_line(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def exit_error(model: str, exit_code: int, log: str, path: Path | None, *, ready: bool) -> ServerFailed:
    when = "while it was in use" if ready else "before it was ready"
    cause = find_cause(log)
    detail = "" if cause is None else f": {cause.rstrip('.')}"
    message = f"vllm serve {model} {describe_exit(exit_code)} {when}{detail}. Full log: {path}."
    return ServerFailed("server_died" if ready else "server_failed", message, last_lines(log))


def describe_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = " (by another process, or by the system because of low memory)" if -exit_code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"


def startup_timeout_error(model: str, seconds: float, log: str, path: Path | None) -> ServerFailed:
    activity = find_activity(log)
    state = "its log is empty" if activity is None else f"the last line of its log: {activity.rstrip('.')}"
    limit = f"{seconds:g} s (--serve-timeout, startup_timeout)"
    message = f"vllm serve {model} was not ready within {limit}; {state}. Full log: {path}."
    return ServerFailed("server_slow", message, last_lines(log))


def stopped_error(model: str) -> ServerFailed:
    return ServerFailed("server_stopped", f"vllm serve {model} was stopped and can't answer requests. Start it again.")


def port_in_use_error(port: int) -> SettingsError:
    return SettingsError(f"Port {port} is in use by another program: use another port, or no port to get a free one.")


def no_free_port_error(tries: int) -> ServerFailed:
    return ServerFailed(
        "no_port", f"Other programs took {tries} free ports in turn before vllm serve could listen on them: try again."
    )


def format_progress(model: str, seconds: float, log: str) -> str:
    activity = find_activity(log)
    doing = "" if activity is None else f" ({activity})"
    return f"Waiting for vllm serve {mask_keys(model)} to be ready, {seconds:.0f} s{doing}"


def make_progress_printer(
    clock: Callable[[], float] = time.monotonic, write: Callable[[str], None] | None = None
) -> Callable[[str], None]:
    """Prints the first line, then one every ten seconds: by ``write``, or else to stderr."""
    next_time = 0.0

    def print_progress(line: str) -> None:
        nonlocal next_time
        if clock() >= next_time:
            next_time = clock() + PRINT_INTERVAL
            if write is None:
                print(line, file=sys.stderr, flush=True)
            else:
                write(line)

    return print_progress

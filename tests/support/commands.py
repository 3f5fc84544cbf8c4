"""Runs the ``persqa`` command in a process of its own."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tests.support import fork_server

PERSQA = (sys.executable, "-m", "persqa_client")

# The process to fork from outlives the test that starts it, so it must not have the variables of that test.
ENVIRON = dict(os.environ)


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PERSQA, *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def persqa(*arguments: str | Path, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a command."""
    return fork(None, *arguments, cwd=cwd, timeout=timeout)


def python(code: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a program, as of ``python -c``, for which the package is imported already."""
    return fork(code, *arguments, cwd=cwd or Path.cwd(), timeout=60)


def fork(code: str | None, *arguments: str | Path, cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    words = list(map(str, arguments))
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    connection = fork_server.call(connect(), code, words, str(cwd), os.environ, (out_end, err_end))
    os.close(out_end)
    os.close(err_end)
    with connection, connection.makefile() as lines, ThreadPoolExecutor(2) as readers:
        texts = [readers.submit(read_all, stream) for stream in (out, err)]
        pid = int(lines.readline())
        connection.settimeout(timeout)
        try:
            status = int(lines.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, status, *(text.result() for text in texts))


def read_all(descriptor: int) -> str:
    with open(descriptor) as stream:
        return stream.read()


@cache
def connect() -> socket.socket:
    """Starts the process to fork from, which ends with its connection."""
    control, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", fork_server.__name__, str(theirs.fileno())]
        root = Path(__file__).parents[2]
        # Its streams are pipes, as those of the commands are.
        process = subprocess.Popen(
            command,
            cwd=root,
            env=ENVIRON,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def close() -> None:
        control.close()
        process.communicate()

    atexit.register(close)
    return control


def lines_in(path: Path) -> int:
    """Number of lines; 0 if there is no such file."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0

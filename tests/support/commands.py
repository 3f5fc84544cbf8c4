"""Runs the ``persqa`` command in a process of its own, which is a fork of one that has imported the package."""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TextIO

from tests.support import fork_server
from tests.support.fork_call import call, write_program

PERSQA = (sys.executable, "-m", "persqa_client")

# The process to fork from outlives the test that starts it, so it must not have the variables of that test.
ENVIRON = dict(os.environ)


class Command:
    """A command or program that runs in a fork. Has what the tests need of ``subprocess.Popen``.

    Standard input is empty if it is not given; the other streams are pipes if they are not given.
    """

    def __init__(
        self,
        code: str | None,
        arguments: Sequence[str | Path],
        cwd: Path,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.words = list(map(str, arguments))
        self.returncode: int | None = None
        with ExitStack() as theirs:
            streams = [theirs.enter_context(open(os.devnull)).fileno() if stdin is None else stdin]
            readers: list[TextIO] = []
            for stream in (stdout, stderr):
                if stream is None:
                    reader, stream = os.pipe()
                    theirs.callback(os.close, stream)
                    readers.append(os.fdopen(reader))
                streams.append(stream)
            self.connection = call(connect(), code, self.words, str(cwd), os.environ, streams)
        self.readers = readers
        self.lines = self.connection.makefile()
        self.pid = int(self.lines.readline())

    @property
    def stdout(self) -> TextIO:
        """Only if it is a pipe."""
        return self.readers[0]

    @property
    def stderr(self) -> TextIO:
        """Only if it is a pipe."""
        return self.readers[-1]

    def poll(self) -> int | None:
        """The exit code; None if it runs."""
        if self.returncode is None and select.select([self.connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.connection.settimeout(timeout)
            self.returncode = int(self.lines.readline())
            self.lines.close()
            self.connection.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, ...]:
        """Waits for the end; gives what the pipes give. Kills it after ``timeout``."""
        with ThreadPoolExecutor(2) as threads:
            texts = [threads.submit(read_all, reader) for reader in self.readers]
            try:
                self.wait(timeout)
            except TimeoutError:
                self.kill()
                raise
            return tuple(text.result() for text in texts)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(*arguments: str | Path, cwd: Path) -> Command:
    return Command(None, arguments, cwd)


def persqa(
    *arguments: str | Path, cwd: Path, timeout: float = 60, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a command, whose standard input is a pipe with ``input``."""
    return finish(None, arguments, cwd, timeout, input)


def python(code: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a program, as of ``python -c``, for which the package is imported already."""
    return finish(code, arguments, cwd or Path.cwd(), 60, None)


def finish(
    code: str | None, arguments: Sequence[str | Path], cwd: Path, timeout: float, input: str | None
) -> subprocess.CompletedProcess[str]:
    with ThreadPoolExecutor(1) as thread:
        if input is None:
            command = Command(code, arguments, cwd)
        else:
            reader, writer = os.pipe()
            command = Command(code, arguments, cwd, stdin=reader)
            os.close(reader)
            thread.submit(write_all, writer, input)
        out, err = command.communicate(timeout)
    assert command.returncode is not None
    return subprocess.CompletedProcess(command.words, command.returncode, out, err)


def read_all(stream: TextIO) -> str:
    """Nothing if the test has closed it."""
    if stream.closed:
        return ""
    with stream:
        return stream.read()


def write_all(descriptor: int, text: str) -> None:
    with open(descriptor, "w") as stream:
        stream.write(text)


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


def make_program(path: Path) -> int:
    """A program that runs ``persqa`` commands in forks, for shell scripts, which must inherit the given descriptor."""
    write_program(path, connect())
    return connect().fileno()


def lines_in(path: Path) -> int:
    """Number of lines; 0 if there is no such file."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0

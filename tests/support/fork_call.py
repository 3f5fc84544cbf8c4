"""Calls the process that forks for commands (``fork_server.py``); as a program, it is ``persqa`` for shell scripts.

It imports little, so that its start takes a small part of that of an interpreter with the package.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def call(
    control: socket.socket,
    code: str | None,
    arguments: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    streams: Sequence[int],
) -> socket.socket:
    """Starts a command, or a program, with these three standard streams.

    The connection gives its process id, then its exit code, each in a line.
    """
    connection, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(control, [b"\0"], [theirs.fileno(), *streams])
    connection.sendall(json.dumps([code, arguments, cwd, dict(environ)]).encode())
    connection.shutdown(socket.SHUT_WR)
    return connection


def write_program(path: Path, control: socket.socket) -> None:
    """Makes this module the program at ``path``. Who starts it must have inherited the control connection."""
    words = [sys.executable, "-S", "-E", __file__, str(control.fileno())]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)


def main() -> None:
    """Runs a command; gives its exit code as a shell does, and passes on the signals that a script sends."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        connection = call(control, None, sys.argv[2:], os.getcwd(), os.environ, (0, 1, 2))
    with connection, connection.makefile() as lines:
        pid = int(lines.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: os.kill(pid, number))
        code = int(lines.readline())
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

"""A process that has imported the package, and forks for each ``persqa`` command and for programs that use it.

Most of the time of a short command is that of the imports and of the patterns of the checks.

Environment variables that Python or a library reads when it starts are those of the tests, not of the call.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from persqa_client.questions.bank import Bank
from tests.answers.helpers import GOOD, find_code

PRELOADED = ("main", "run", "execute", "doctor", "recheck", "serve", "sim")


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


def wait_for_call(control: socket.socket) -> str | None:
    """Returns in the process that becomes the command, with the code of a program. Exits when the tests have ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no process is left to be waited for
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not message:
            sys.exit()
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    caller, *streams = descriptors
    with socket.socket(fileno=caller) as connection:
        with connection.makefile("rb") as request:
            code, arguments, cwd, environ = json.load(request)
        if pid := os.fork():
            for stream in streams:
                os.close(stream)
            connection.sendall(f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[:] = [sys.argv[0] if code is None else "-c", *arguments]
    return code  # type: ignore[no-any-return]  # of JSON


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(f"persqa_client.cli.{name}")
    find_code(f"{GOOD} I can see no image.")  # looks for all phrases
    Bank.build("human")
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared
    with socket.socket(fileno=int(sys.argv[1])) as control:
        code = wait_for_call(control)
    if code is None:
        importlib.import_module("persqa_client.cli.start").main()
    else:
        # As ``python -c`` does: in an empty module ``__main__``, with modules of the working directory first.
        sys.path[0] = ""
        program = vars(sys.modules["__main__"])
        for name in [name for name in program if name not in ("__name__", "__builtins__")]:
            del program[name]
        exec(code, program)


if __name__ == "__main__":
    main()

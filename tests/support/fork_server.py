"""A process that has imported the package, and forks for each ``persqa`` command and for programs that use it.

Most of the time of a short command is that of the imports, of the patterns of the checks, of the commands' flags and of
the interpreter's end. Programs whose start or end is tested, or which read variables at their start, are no forks.

Environment variables that Python or a library reads when it starts are those of the tests, not of the call.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import socket
import sys
import threading
from contextlib import suppress

import typer

from persqa_client.cli.main import app
from persqa_client.questions.bank import Bank
from tests.answers.helpers import GOOD, find_code

PRELOADED = ("main", "run", "execute", "doctor", "recheck", "serve", "sim")


def wait_for_call(control: socket.socket) -> str | None:
    """Returns in the process that becomes the command, with the code of a program. Exits when the tests have ended."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            sys.exit()
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
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


def prepare() -> None:
    """Does once what each command would do."""
    for name in PRELOADED:
        importlib.import_module(f"persqa_client.cli.{name}")
    find_code(f"{GOOD} I can see no image.")  # looks for all phrases
    Bank.build("human")
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared


def run(code: str | None) -> None:
    if code is None:
        importlib.import_module("persqa_client.cli.start").main()
        return
    # As ``python -c`` does: in an empty module ``__main__``, with modules of the working directory first.
    sys.path[0] = ""
    program = vars(sys.modules["__main__"])
    for name in [name for name in program if name not in ("__name__", "__builtins__")]:
        del program[name]
    exec(code, program)


def end(status: int) -> None:
    """Ends as the interpreter does, but does not take the modules apart one by one."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # what is in cycles may report that it was not closed
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(status)  # the interpreter reports it
    os._exit(status & 0xFF)


def main() -> None:
    prepare()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        code = wait_for_call(control)
    try:
        run(code)
    except SystemExit as stop:
        if not isinstance(stop.code, int | None):
            raise
        end(stop.code or 0)
    else:
        end(0)


if __name__ == "__main__":
    # Not this module, whose names a program deletes.
    importlib.import_module("tests.support.fork_server").main()

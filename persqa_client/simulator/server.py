"""Runs a simulated endpoint: in the foreground for the command line, or in a thread for tests. Listens on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from persqa_client.errors import SettingsError
from persqa_client.simulator.app import ENDPOINT, make_app
from persqa_client.simulator.faults import Choice
from persqa_client.simulator.settings import DEFAULT_MODEL, SimSettings, read_faults, read_slots

# Answers that a person wants a simulated endpoint to give, by the question. Reads their file.

KEYS = frozenset({"question", "answer", "finish_reason"})
WANTED = 'write {"question": …, "answer": …} on each line, with a "finish_reason" if it is not stop'


def read_given(path: Path) -> dict[str, Choice]:
    """JSON lines of question, answer and, if it is not ``stop``, finish_reason. Raises SettingsError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--answers: {path} can't be read ({error}).") from error
    return dict(read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def read_line(path: Path, number: int, line: str) -> tuple[str, Choice]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--answers: {path}, line {number}, is no JSON object; {WANTED}.") from error
    if not isinstance(fields, dict) or not (fields.keys() <= KEYS and all(map(is_text, fields.values()))):
        raise SettingsError(f"--answers: {path}, line {number}, has another form; {WANTED}.")
    if "question" not in fields or "answer" not in fields:
        raise SettingsError(f"--answers: {path}, line {number}, lacks its question or its answer; {WANTED}.")
    return fields["question"].strip(), Choice(fields["answer"], fields.get("finish_reason", "stop"))


def is_text(value: object) -> bool:
    return isinstance(value, str)


__all__ = [
    "DEFAULT_MODEL",
    "SimSettings",
    "Simulator",
    "make_app",
    "read_faults",
    "read_given",
    "read_slots",
    "run_simulator",
    "serve",
]

GRACE = 0.05
"""Seconds that requests under way may take to end by themselves when the server closes."""

BACKLOG = 1024


class Listener:
    """An application that is being served; ``port`` is where."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self.runner = runner
        self.server = server
        self.port = int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """At once; clients with requests under way lose their connections."""
        # asyncio loses a connection whose server is closed between its acceptance and its first turn, and the socket
        # stays open (python/cpython#109564). So nothing is accepted any more, then comes a turn.
        for listening in self.server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0)
        self.server.close()
        await self.runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listener:
    """Raises SettingsError where the address can't be had."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=GRACE)
    await runner.setup()
    assert runner.server is not None
    try:
        server = await asyncio.get_running_loop().create_server(runner.server, host, port, backlog=BACKLOG)
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(f"Can't listen on {host} port {port}: {error.strerror or error}; try --port 0.") from error
    return Listener(runner, server)


def banner(settings: SimSettings, host: str, port: int) -> str:
    """What the command line prints once the server listens."""
    address = f"[{host}]" if ":" in host else host
    lines = [
        "This is a simulator: no model, its answers tell colours and sizes only.",
        f"Listening on http://{address}:{port}/v1 as {', '.join(settings.models)} ({settings.shape} shape)",
    ]
    if settings.faults:
        faults = ", ".join(f"{kind} {rate:.3g}" for kind, rate in settings.faults.items())
        lines.append(f"Faults, drawn from seed {settings.fault_seed}: {faults}")
    return "\n".join(lines)


async def serve(settings: SimSettings, host: str, port: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Serve until SIGINT or SIGTERM, then give the counts of /sim/stats. Raises SettingsError for a taken port."""
    app = make_app(settings)
    listener = await listen(app, host, port)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    say(banner(settings, host, listener.port))
    try:
        await ended.wait()
    finally:
        await listener.close()
    return app[ENDPOINT].counts.stats()


class Simulator:
    """A simulated endpoint that serves from a thread of its own, from construction until ``close``."""

    def __init__(self, settings: SimSettings, port: int = 0, host: str = "127.0.0.1") -> None:
        self.settings = settings
        self.host = host
        self.port = port
        self.app = make_app(settings)
        self.started: Future[None] = Future()
        self.thread = threading.Thread(target=self.main, name="persqa-simulator", daemon=True)
        self.thread.start()
        self.started.result()

    def __repr__(self) -> str:
        return f"<Running {self.base_url}>"

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://{self.host}:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """The counts so far, as /sim/stats gives them; also after closing."""
        return self.app[ENDPOINT].counts.stats()

    def close(self) -> None:
        """Stop listening and drop all connections; the port is free when this returns. Twice is once."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()

    def main(self) -> None:
        """The thread's whole life."""
        try:
            asyncio.run(self.live())
        except SettingsError as error:
            self.started.set_exception(error)

    async def live(self) -> None:
        """Serve until told to end."""
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        listener = await listen(self.app, self.host, self.port)
        self.port = listener.port
        self.started.set_result(None)
        try:
            await self.ended.wait()
        finally:
            await listener.close()


@contextmanager
def run_simulator(settings: SimSettings, port: int = 0) -> Iterator[Simulator]:
    """Serve on 127.0.0.1 in the background; port 0 takes a free one. Raises SettingsError where the port is taken.

    with running(SimSettings(latency=0, script=["503", "ok"])) as endpoint:
        client = AsyncOpenAI(base_url=endpoint.base_url, api_key="none")
    """
    server = Simulator(settings, port)
    try:
        yield server
    finally:
        server.close()

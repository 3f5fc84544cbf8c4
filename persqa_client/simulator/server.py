"""Runs a simulated endpoint in the foreground (command line) or in a thread (tests)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from persqa_client.errors import SettingsError
from persqa_client.simulator.app import STATE, make_app
from persqa_client.simulator.settings import DEFAULT_MODEL, SimSettings

__all__ = ["DEFAULT_MODEL", "SimSettings", "Simulator", "listen", "run_simulator", "serve_until_signal"]

# Seconds for requests in progress to finish at closing.
SHUTDOWN_GRACE = 0.05

BACKLOG = 1024


class Listener:
    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self.runner = runner
        self.server = server
        self.port = int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Drops requests in progress."""
        # Stops accepting first and runs the loop once: a connection that is accepted but not set up would leak its
        # socket (python/cpython#109564).
        for listening in self.server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0)
        self.server.close()
        await self.runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listener:
    """Port 0 takes a free one. Raises SettingsError if the address is in use."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_GRACE)
    await runner.setup()
    assert runner.server is not None
    try:
        server = await asyncio.get_running_loop().create_server(runner.server, host, port, backlog=BACKLOG)
    except OSError as error:
        await runner.cleanup()
        reason = error.strerror or error
        raise SettingsError(f"Can't listen on {host} port {port} ({reason}); --port 0 takes a free port.") from error
    return Listener(runner, server)


def format_banner(settings: SimSettings, host: str, port: int) -> str:
    """Output of ``persqa sim`` at the start. Scripts read the address in the second line."""
    address = f"[{host}]" if ":" in host else host
    lines = [
        "This is a simulator: no model, its answers tell colours and sizes only.",
        f"Listening on http://{address}:{port}/v1 as {', '.join(settings.models)} ({settings.shape} shape)",
    ]
    if settings.faults:
        faults = ", ".join(f"{kind} {rate:.3g}" for kind, rate in settings.faults.items())
        lines.append(f"Faults, drawn from seed {settings.fault_seed}: {faults}")
    return "\n".join(lines)


async def serve_until_signal(
    settings: SimSettings, host: str, port: int, echo: Callable[[str], None]
) -> dict[str, Any]:
    app = make_app(settings)
    listener = await listen(app, host, port)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    echo(format_banner(settings, host, listener.port))
    try:
        await stopped.wait()
    finally:
        await listener.close()
    return app[STATE].counts.stats()


class Simulator:
    """Serves in its own thread until ``close``. Raises SettingsError if the port is in use."""

    def __init__(self, settings: SimSettings, port: int = 0, host: str = "127.0.0.1") -> None:
        self.settings = settings
        self.host = host
        self.port = port
        self.app = make_app(settings)
        self.started: Future[None] = Future()
        self.thread = threading.Thread(target=self._run, name="persqa-simulator", daemon=True)
        self.thread.start()
        self.started.result()

    def __repr__(self) -> str:
        return f"<Simulator {self.base_url}>"

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        return self.app[STATE].counts.stats()

    def close(self) -> None:
        """Frees the port and drops all connections. Idempotent."""
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except SettingsError as error:
            self.started.set_exception(error)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        listener = await listen(self.app, self.host, self.port)
        self.port = listener.port
        self.started.set_result(None)
        try:
            await self.stopped.wait()
        finally:
            await listener.close()


@contextmanager
def run_simulator(settings: SimSettings, port: int = 0) -> Iterator[Simulator]:
    """Serves on 127.0.0.1 in the background; port 0 takes a free one. Raises SettingsError.

    with run_simulator(SimSettings(latency=0, script=["503", "ok"])) as simulator:
        client = AsyncOpenAI(base_url=simulator.base_url, api_key="none")
    """
    simulator = Simulator(settings, port)
    try:
        yield simulator
    finally:
        simulator.close()

"""A forward proxy and a server with TLS on loopback, for host names that no name server knows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trustme
from aiohttp import web

from tests.support.endpoints import Handler

HOST = "gpu.example.test"


@dataclass
class LocalProxy:
    """Forwards every request, whatever its host, to one port of this machine."""

    upstream: int
    status: int = 200
    """What the proxy answers to CONNECT."""
    url: str = ""
    targets: list[str] = field(default_factory=list)
    """Method and target of each request, as the proxy received them."""
    heads: list[str] = field(default_factory=list)

    tasks: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        async with closing_writer(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            self.targets.append(f"{method} {target}")
            if method != "CONNECT":
                await self._relay(reader, writer, make_origin_form(head, target))
                return
            writer.write(b"HTTP/1.1 %d Whatever\r\n\r\n" % self.status)
            if self.status == 200:
                await self._relay(reader, writer, b"")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        async with closing_writer(to_server):
            to_server.write(head)
            upwards = asyncio.create_task(copy_stream(reader, to_server))
            try:
                await copy_stream(from_server, writer)
            finally:
                upwards.cancel()
                await asyncio.wait([upwards])


@asynccontextmanager
async def closing_writer(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        try:
            yield
        finally:
            writer.close()
            await writer.wait_closed()


def make_origin_form(head: str, target: str) -> bytes:
    """The head as the server expects it: without the host in its first line, one request a connection."""
    first, rest = head.split("\r\n", 1)
    lines = [line for line in rest.split("\r\n") if not line.lower().startswith(("proxy-", "connection:"))]
    return "\r\n".join([first.replace(target, urlsplit(target).path, 1), "Connection: close", *lines]).encode("latin-1")


async def copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def running_proxy(upstream: str, *, status: int = 200) -> AsyncIterator[LocalProxy]:
    """``upstream`` is the address of a server on loopback."""
    port = urlsplit(upstream).port
    assert port is not None
    proxy = LocalProxy(port, status)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    async with server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            tasks = [task for task in proxy.tasks if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running_tls_server(
    handler: Handler, authority: trustme.CA, *, wants_certificate: bool = False
) -> AsyncIterator[str]:
    """A server whose certificate for ``HOST`` and for loopback ``authority`` has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost", "127.0.0.1").configure_cert(context)
    if wants_certificate:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

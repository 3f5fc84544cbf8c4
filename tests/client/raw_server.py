"""A server that sends raw bytes, so that a reply can be malformed in any way."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RawReply:
    """The bytes of a reply, and what becomes of the connection after them. ``rest``: pieces that are sent later."""

    data: bytes
    then: Literal["keep", "close", "reset"] = "keep"
    rest: tuple[bytes, ...] = ()


def make_reply(status: str, body: bytes, *headers: str) -> RawReply:
    """A reply with its length."""
    return RawReply(make_head(status, f"Content-Length: {len(body)}", *headers) + body)


def make_head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


@asynccontextmanager
async def serve_raw_reply(reply: RawReply) -> AsyncIterator[str]:
    """Gives the same reply to every request; yields the base URL."""
    tasks = set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(reply.data)
                await writer.drain()
                for piece in reply.rest:
                    await asyncio.sleep(0.02)  # or both may arrive at once
                    writer.write(piece)
                    await writer.drain()
                if reply.then == "reset":
                    writer.transport.abort()
                if reply.then != "keep":
                    break
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)

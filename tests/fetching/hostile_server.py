"""A web server on loopback that serves pictures, and misbehaves by the path that it is asked for."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from PIL import Image


def draw_png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


PNG = draw_png()


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class HostileServer:
    """``pause``: seconds of each picture. ``requests``: the heads of what was asked, in order."""

    port: int = 0
    pause: float = 0.0
    requests: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    now: int = 0
    most: int = 0

    def url(self, path: str, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}/{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                path = head.split(" ")[1].removeprefix("/")
                self.counts[path.partition("?")[0]] += 1
                self.now += 1
                self.most = max(self.most, self.now)
                try:
                    goes_on = await self.reply(path, writer)
                finally:
                    self.now -= 1
                if not goes_on:
                    break
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def reply(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays."""
        place, _, query = path.partition("?")
        kind, _, number = place.partition("/")
        for piece in self.choose_pieces(kind, number, query):
            if piece is None:
                await asyncio.sleep(0.02)
                continue
            writer.write(piece)
            await writer.drain()
        if kind == "silent":
            await asyncio.sleep(3600)
        if kind.endswith(".png"):
            await asyncio.sleep(self.pause)
            writer.write(answer("200 OK", PNG, "Set-Cookie: id=1; Path=/", "Content-Type: text/html"))
            await writer.drain()
        return kind not in ("short", "endless", "chunks", "drip", "garbage", "reset")

    def choose_pieces(self, kind: str, number: str, query: str) -> Iterator[bytes | None]:
        """None: a short pause."""
        match kind:
            case "private":
                yield answer("302 Found", b"", f"Location: http://127.0.0.1:{self.port}/a.png")
            case "metadata":
                yield answer("302 Found", b"", "Location: http://169.254.169.254/latest/meta-data/")
            case "moved":
                yield answer("301 Moved Permanently", b"", "Location: /a.png", "Set-Cookie: id=2")
            case "redirect":
                yield answer("307 Temporary Redirect", b"", f"Location: {query}")
            case "loop":
                yield answer("302 Found", b"", "Location: /loop")
            case "nowhere":
                yield answer("302 Found")
            case "file":
                yield answer("302 Found", b"", "Location: file:///etc/passwd")
            case "user":
                yield answer("302 Found", b"", f"Location: http://me:secret@localhost:{self.port}/a.png")
            case "endless":
                yield b"HTTP/1.1 200 OK\r\n\r\n"
                while True:
                    yield PNG + bytes(50_000)
            case "chunks":
                yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                while True:
                    yield b"2710\r\n" + bytes(10_000) + b"\r\n"
            case "long":
                yield answer("200 OK", PNG, length=10**12)
            case "short":
                yield answer("200 OK", PNG[:-20], length=len(PNG))
            case "cut":
                yield answer("200 OK", PNG[:-40])
            case "gzip":
                yield answer("200 OK", b"\x1f\x8b" + bytes(1000), "Content-Encoding: gzip")
            case "page":
                yield answer("200 OK", b"<!doctype html><p>Sign in", "Content-Type: image/png")
            case "empty":
                yield answer("200 OK")
            case "drip":
                yield answer("200 OK", b"", length=len(PNG))
                for byte in PNG:
                    yield bytes([byte])
                    yield None
            case "status":
                yield answer(f"{number} Some words", b"not yet")
            case "busy" if self.counts[f"busy/{number}"] < 3:
                yield answer("429 Too Many Requests", b"", "Retry-After: 0")
            case "later":
                yield answer("503 Service Unavailable", b"", "Retry-After: 3600")
            case "headers":
                yield b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n"
            case "lines":
                yield b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n"
            case "garbage":
                yield b"\x16\x03\x01 this is not HTTP\r\n\r\n"
            case "busy":
                yield answer("200 OK", PNG)


@asynccontextmanager
async def run_hostile_server(pause: float = 0.0) -> AsyncIterator[HostileServer]:
    server = HostileServer(pause=pause)
    tasks = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports are closed by the next turn of the loop

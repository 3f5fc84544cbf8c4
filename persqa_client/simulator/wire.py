"""Faults of the connection itself: reset, cut off, silent, or bytes that are no JSON. Breaks sockets on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NoReturn

from aiohttp import web

MISSING = 64
"""Bytes that a cut body promises and never sends."""


class Gone(web.Response):
    """Stands for an answer that no client gets: its connection is closed already."""


async def stall() -> NoReturn:
    """Wait for ever; the server cancels it when the client goes or when the server closes."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


async def broken(kind: str, request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer as a fault of the kind "wire" does. ``body`` is what a good answer would be."""
    if kind == "reset":
        return reset(request)
    if kind == "cut_body":
        return await cut(request, body)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


def reset(request: web.Request) -> Gone:
    """Abort the connection; without lingering, the kernel sends RST in place of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return Gone()


async def cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise more bytes than are sent, then close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body) + MISSING
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response

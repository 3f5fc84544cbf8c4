"""The way of all requests but the first: the SDK's own request around other bodies, straight through aiohttp.

The SDK builds each request anew and hands it through httpx2 to aiohttp; for a request that differs from the one before
in its body alone, that is half of what it costs in CPU. So the SDK says once what a request looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.request import getproxies

import aiohttp
import httpx2
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from yarl import URL

from persqa_client.client.bodies import Body
from persqa_client.config import is_loopback

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: below the 5 s after which uvicorn, vLLM's server, closes it unasked."""

OWN_HEADERS = frozenset({"host", "content-length", "accept-encoding", "connection", "transfer-encoding"})
"""Those that a transport sets by itself for each request."""


Begun = Callable[[], None]


class Answer(NamedTuple):
    """What came back, whatever its status. Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Posts bodies like a first request that the SDK has sent; raises aiohttp's errors and OSError.

    To be made within a running event loop; redirects are given back, not followed.
    """

    def __init__(self, first: httpx2.Request, connections: int) -> None:
        self._url = URL(str(first.url), encoded=True)
        self._session = aiohttp.ClientSession(
            headers=[(name, value) for name, value in first.headers.items() if name.lower() not in OWN_HEADERS],
            connector=aiohttp.TCPConnector(
                limit=connections,
                keepalive_timeout=KEEP_ALIVE,
                ssl=httpx2.create_ssl_context() if self._url.scheme == "https" else False,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def post(self, body: Body | bytes, begun: Begun | None = None) -> Answer:
        """``begun`` is called where an answer begins, before the rest of it is there."""
        data = body if isinstance(body, bytes) else Pieces(body)
        async with self._session.post(self._url, data=data, allow_redirects=False) as reply:
            if begun is not None and reply.status < 300:
                begun()
            return Answer(reply.status, reply.headers, await reply.read())

    async def aclose(self) -> None:
        await self._session.close()


class Pieces(Payload):
    """A body for aiohttp, which puts it together while it is sent."""

    def __init__(self, body: Body) -> None:
        super().__init__(body, content_type="application/json")
        self._size = len(body)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._value.pieces():
            await writer.write(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)


def goes_straight(base_url: str) -> bool:
    """Whether no proxy may stand between: proxies are httpx2's and its settings' matter."""
    return is_loopback(base_url) or not getproxies()

"""Connections that are kept for the next request: whether one was closed, or is out of step, while it was idle."""

from __future__ import annotations

import asyncio
import re
import select
from collections import deque
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)
# Each with its value, which may be a list; gateways add a second header or join the two.
LENGTHS = re.compile(rb"\r\ncontent-length:[ \t]*([\d, \t]{1,80})(?=\r\n)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
# The beginning of an interim reply, which another one follows. It has no body, but may state a length.
INTERIM = re.compile(rb"HTTP/\d\.\d 1(?!01)")
HEAD_END = re.compile(rb"\n\r?\n")
MAX_HEAD = 65_536  # bytes; a longer head is refused
# The id of a completion, which is unique. TGI's is empty.
REPLY_ID = re.compile(rb'"id"\s*:\s*"([^"]+)"')
# Replies that are kept to be compared with later ones.
KEPT_REPLIES = 8
# Seconds until the failure of a request on a closed connection arrives: about a round trip.
MAX_STALE_SECONDS = 1.0


class IdleProtocol(ResponseHandler):
    """A connection that records whether it is reused, and whether a byte has arrived since."""

    uses = 0
    has_received = False
    began = -inf  # start of the latest request, by the loop's clock

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._replies = deque[tuple[bytes, int]](maxlen=KEPT_REPLIES)  # ids and hashes
        self._latest_error: int | None = None
        self._head: bytes | None = b""  # the beginning of a reply, until its head is complete

    def data_received(self, data: bytes) -> None:
        self.has_received = True
        if self._head is None:
            super().data_received(data)
            return
        self._head += data
        while self._head and (end := find_head_end(self._head)):
            if INTERIM.match(self._head):
                # Another head follows.
                interim, self._head = self._head[:end], self._head[end:]
                super().data_received(interim)
            else:
                self._pass_head()

    def _pass_head(self) -> None:
        head, self._head = self._head, None
        if head:
            super().data_received(self._cut_surplus(choose_length(head)))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._pass_head()
        super().connection_lost(exc)

    def expect_reply(self) -> None:
        """Call before a request is sent."""
        self.uses += 1
        self.began = asyncio.get_running_loop().time()
        self.has_received = False
        if self._head is None:
            self._head = b""

    def _cut_surplus(self, data: bytes) -> bytes:
        """The beginning of a reply without bytes after its end, for which aiohttp would refuse the reply as well."""
        head = data.find(b"\r\n\r\n") + 2
        length = CONTENT_LENGTH.search(data, 0, head)
        end = len(data) if length is None else head + 2 + int(length[1])
        if len(data) <= end:
            return data
        self.force_close()
        return data[:end]

    def find_equal_id(self, reply: bytes) -> bool | None:
        """Whether an earlier reply on this connection with the same id is equal; None if there is none.

        Remembers the reply.
        """
        number = find_id(reply)
        if number is None:
            return None
        earlier = next((content for each, content in self._replies if each == number), None)
        if earlier is None:
            self._replies.append((number, hash(reply)))
        return None if earlier is None else earlier == hash(reply)

    def is_repeated_error(self, response: aiohttp.ClientResponse, body: bytes) -> bool:
        """Whether a reply is the latest error on this connection, with its headers: perhaps sent twice.

        The reply to the request may then be taken for that to the next one.
        """
        error = hash((response.status, response.raw_headers, body))
        is_repeated, self._latest_error = error == self._latest_error, error
        return is_repeated

    @property
    def is_spoilt(self) -> bool:
        """Whether a used connection was closed, or has bytes that no request asked for, such as a reply sent twice.

        The next request would take them for its own reply. aiohttp checks this only when a request ends.
        """
        if self.uses == 0 or self.transport is None:
            return False
        return self.should_close or _is_readable(self.transport)

    @property
    def was_stale(self) -> bool:
        """Whether the server probably closed the connection before it read the latest request.

        A connection that is lost later is lost while the server works on the request.
        """
        seconds = asyncio.get_running_loop().time() - self.began
        return self.uses > 1 and not self.has_received and seconds < MAX_STALE_SECONDS


def find_head_end(data: bytes) -> int:
    """The length of a head; 0 if it is not complete. What cannot be the head of a reply is complete at once."""
    found = HEAD_END.search(data)
    if found is not None:
        return found.end()
    return len(data) if len(data) > MAX_HEAD or not (data.startswith(b"HTTP/") or b"HTTP/".startswith(data)) else 0


def choose_length(data: bytes) -> bytes:
    """The beginning of a reply with one length, or with none if its body is in chunks: aiohttp refuses two lengths.

    Unchanged if they differ, because the end of the body is not known then.
    """
    head = data.find(b"\r\n\r\n") + 2
    lengths = LENGTHS.findall(data, 0, head)
    if not lengths:
        return data
    if CHUNKED.search(data, 0, head) is not None:
        return LENGTHS.sub(b"", data[:head]) + data[head:]
    values = {value.strip() for length in lengths for value in length.split(b",")}
    if len(values) > 1 or (len(lengths) == 1 and b"," not in lengths[0]):
        return data
    return LENGTHS.sub(b"", data[:head]) + b"Content-Length: %b\r\n" % values.pop() + data[head:]


def find_id(reply: bytes) -> bytes | None:
    found = REPLY_ID.search(reply)
    return None if found is None else found[1]


def _is_readable(transport: asyncio.BaseTransport) -> bool:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


# The connection of the latest request of this task.
CONNECTION: ContextVar[ResponseHandler | None] = ContextVar("persqa_connection", default=None)


class IdleConnector(aiohttp.TCPConnector):
    """Sets the connection's protocol through a private attribute. If a later aiohttp ignores it, nothing is resent."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: partial[Any] = partial(IdleProtocol, loop=self._loop)

    async def connect(self, *args: Any, **settings: Any) -> Any:
        while True:
            connection = await super().connect(*args, **settings)
            protocol = connection.protocol
            if not (isinstance(protocol, IdleProtocol) and protocol.is_spoilt):
                break
            connection.close()
        if isinstance(protocol, IdleProtocol):
            protocol.expect_reply()
        CONNECTION.set(protocol)
        return connection

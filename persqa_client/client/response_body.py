"""Bodies of responses: received up to a length, decoded, as pieces or as a whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import httpx2

from persqa_client.client.event_stream import is_event_stream

MAX_BODY = 32 * 2**20  # bytes
PIECE = 16 * 2**10  # bytes of a read; decoded, up to a thousand times as many
# The last event of a stream, with comments after it, and the seconds that the connection gets to end as well.
STREAM_END = re.compile(rb"[\r\n]data:[ \t]*\[DONE\][ \t]*+(?:[\r\n]++(?:[ \t]++|:[^\r\n]*+)?)*+\Z")
MAX_END_SECONDS = 0.25
# The finish reason of a streamed answer, and the seconds until the stream's end. Only the tokens may follow.
FINISH = re.compile(rb'"finish_?reason"\s*:\s*"(?!null")\w', re.IGNORECASE)
MAX_FINISH_SECONDS = 2.0
# Compressed bytes are hardly ever all printable.
TEXT = re.compile(rb"[\t\n\r -~]{16}")
TOO_LONG = f"the response has more than {MAX_BODY // 2**20} MiB"


def make_response(response: aiohttp.ClientResponse, *, is_decoded: bool = False, **body: Any) -> httpx2.Response:
    # The first of duplicate headers counts.
    first_headers = {name.lower(): value for name, value in reversed(response.raw_headers)}
    for name in (b"set-cookie", *([b"content-encoding"] if is_decoded else [])):
        first_headers.pop(name, None)
    extensions = {"reason_phrase": (response.reason or "").encode("latin-1", "replace")}
    return httpx2.Response(response.status, headers=list(first_headers.items()), extensions=extensions, **body)


async def make_received(response: aiohttp.ClientResponse) -> httpx2.Response:
    """The received response with its body, unless the body is a stream of events."""
    if is_event_stream(response.headers) and not is_encoded(response):
        return make_response(response, stream=ResponseStream(response))
    content = await receive_body(response)
    return make_response(response, is_decoded=True, content=content)


async def receive_body(response: aiohttp.ClientResponse) -> bytes:
    """The decoded body. Raises ClientPayloadError if it is longer than ``MAX_BODY``."""
    length = response.content_length
    try:
        if length is not None and length > MAX_BODY:
            raise aiohttp.ClientPayloadError(TOO_LONG)
        if length is not None and not is_encoded(response):
            return await response.read()
        first = await response.content.readany()
        if not is_encoded(response) or is_uncompressed(first):
            return b"".join([piece async for piece in limit_size(read_to_end(response, first))])
        # A compressed body can be a thousand times longer than its length says.
        decoded = make_response(response, stream=ResponseStream(response, first)).aiter_bytes()
        return b"".join([piece async for piece in limit_size(decoded)])
    except BaseException:
        response.close()
        raise


def is_encoded(response: aiohttp.ClientResponse) -> bool:
    return "Content-Encoding" in response.headers


def is_uncompressed(beginning: bytes) -> bool:
    """Whether a body is not compressed. Gateways that decode a body may pass on the encoding's header."""
    return TEXT.match(beginning) is not None


def is_whole_answer(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and not is_event_stream(response.headers)


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and is_event_stream(response.headers) and not is_encoded(response)


async def read_to_end(response: aiohttp.ClientResponse, first: bytes = b"") -> AsyncIterator[bytes]:
    """The pieces of a body. Some servers send the last event of a stream, or the one before, but not the body's end.

    ``first``: a piece that was already read.
    """
    end, deadline, is_stream_of_events = b"\n", None, is_event_stream(response.headers)
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = first or await response.content.readany()
        except (TimeoutError, aiohttp.ClientError):
            response.close()
            if deadline is None:
                raise
            return
        if not piece:
            return
        first = b""
        yield piece
        end += piece
        is_finished = is_stream_of_events and FINISH.search(end) is not None
        seconds = MAX_END_SECONDS if STREAM_END.search(end) else MAX_FINISH_SECONDS if is_finished else None
        if seconds is not None:
            latest = asyncio.get_running_loop().time() + seconds
            deadline = latest if deadline is None else min(deadline, latest)
        end = end[-40:]


async def limit_size(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > MAX_BODY:
            raise aiohttp.ClientPayloadError(TOO_LONG)
        yield piece


class ResponseStream(httpx2.AsyncByteStream):
    """The body as it was sent, in pieces that are small enough to be decoded one after the other."""

    def __init__(self, response: aiohttp.ClientResponse, first: bytes = b"") -> None:
        self._response, self._first = response, first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in limit_size(read_to_end(self._response, self._first)):
                for start in range(0, len(piece), PIECE):
                    yield piece[start : start + PIECE]
        except aiohttp.ClientPayloadError:
            self._response.close()
            raise

    async def aclose(self) -> None:
        self._response.release()
        await self._response.wait_for_close()


class AnswerStream(ResponseStream):
    """The body of an answer, as a whole when it ends. ``choose`` returns the body in place of one that it gets."""

    def __init__(self, response: aiohttp.ClientResponse, choose: Callable[[bytes], Awaitable[bytes]]) -> None:
        super().__init__(response)
        self._choose = choose

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await self._choose(b"".join([piece async for piece in super().__aiter__()]))

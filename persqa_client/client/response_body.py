"""Bodies of responses: received up to a length, decoded, as pieces or as a whole."""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2

from persqa_client.client.event_stream import is_event_stream
from persqa_client.client.response import is_known_reason

MAX_BODY = 32 * 2**20  # bytes
PIECE = 16 * 2**10  # bytes of a read; decoded, up to a thousand times as many
# Seconds that a connection gets to end as well, from the last event of a stream on.
MAX_END_SECONDS = 0.25
# The same from the last piece of a finished answer on, while the tokens may follow, and from their counts on.
MAX_TOKENS_SECONDS, MAX_FINISH_SECONDS = 3.0, 2.0
MAX_LINE = 64 * 2**10  # bytes; of a longer line of a stream, the end is searched
FINISH = re.compile(rb'"finish_?reason"\s*:\s*"([^"\\]{1,80})"', re.IGNORECASE)
TOKENS = re.compile(rb'"usage"\s*:\s*\{')
CONTENT = re.compile(rb'"(?:content|text)"\s*:\s*"(?!")')
LAST_LINE = re.compile(rb"(?:data:[ \t]*)*\[DONE\]\s*")
# Compressed bytes are hardly ever all printable.
ENOUGH_TEXT, MAX_TEXT = 16, 64
CONTROL = re.compile(r"[^\t\n\r -~\xa0-\U0010ffff]")
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
        first = await read_beginning(response)
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
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning[:MAX_TEXT])
    except UnicodeDecodeError:
        return False
    return CONTROL.search(text) is None


async def read_beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first pieces of a body; of an encoded one, enough to see whether it is text."""
    beginning = piece = await response.content.readany()
    while piece and is_encoded(response) and len(beginning) < PIECE and len(beginning.strip()) < ENOUGH_TEXT:
        beginning += (piece := await response.content.readany())
    return beginning


def is_whole_answer(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and not is_event_stream(response.headers)


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and is_event_stream(response.headers) and not is_encoded(response)


async def read_to_end(response: aiohttp.ClientResponse, first: bytes = b"") -> AsyncIterator[bytes]:
    """The pieces of a body. Some servers send the last event of a stream, or the one before, but not the body's end.

    ``first``: a piece that was already read.
    """
    end = StreamEnd(is_event_stream(response.headers))
    while True:
        try:
            async with asyncio.timeout_at(end.deadline):
                piece = first or await response.content.readany()
        except (TimeoutError, aiohttp.ClientError):
            response.close()
            if end.deadline is None:
                raise
            return
        if not piece:
            return
        first = b""
        yield piece
        end.add(piece, asyncio.get_running_loop().time())


@dataclass(slots=True)
class StreamEnd:
    """The time until which the end of a body is awaited. None until its last event, or its answer's finish reason."""

    is_stream: bool  # of events; in other bodies only the last event counts
    deadline: float | None = None
    _line: bytes = b""  # the beginning of the next line
    _is_last: bool = False
    _is_finished: bool = False
    _has_tokens: bool = False
    _continues: bool = False  # whether text followed a finish reason: some servers send one with each piece

    def add(self, piece: bytes, now: float) -> None:
        lines = [line for line in (self._line + piece).splitlines(keepends=True) if line.strip()]
        is_complete = piece.endswith((b"\r", b"\n"))
        self._line = b"" if is_complete or not lines else lines[-1][-MAX_LINE:]
        events = [line for line in lines if not line.startswith(b":")]
        had_last, is_finished = self._is_last, self._is_finished
        for line in events:
            is_finished = self._read_line(line)
            self._is_finished = is_finished and (is_complete or line is not lines[-1])
        if self._is_last:
            latest = now + MAX_END_SECONDS
            self.deadline = min(self.deadline, latest) if had_last and self.deadline is not None else latest
        elif self._continues or not is_finished:
            self.deadline = None
        elif events:
            self.deadline = now + (MAX_FINISH_SECONDS if self._has_tokens else MAX_TOKENS_SECONDS)

    def _read_line(self, line: bytes) -> bool:
        """Whether the answer is finished after this line."""
        self._is_last = LAST_LINE.fullmatch(line) is not None
        if not self.is_stream:
            return False
        self._continues = self._continues or (self._is_finished and CONTENT.search(line) is not None)
        self._has_tokens = self._has_tokens or TOKENS.search(line) is not None
        reasons = FINISH.findall(line)
        return self._is_finished or any(is_known_reason(reason.decode("utf-8", "replace")) for reason in reasons)


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

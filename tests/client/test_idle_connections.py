"""A connection that the server closes while it is idle costs no attempt."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import orjson
import pytest

from persqa_client.client.idle_connections import MAX_STALE_SECONDS, IdleProtocol
from persqa_client.client.request import Body
from persqa_client.client.transport import Client
from persqa_client.errors import AttemptError
from persqa_client.types import EncodedImage
from tests.client.attempts import BODY, client_of, failure
from tests.client.raw_server import RawReply, make_reply, serve_raw_reply
from tests.support.endpoints import completion_json

ANSWER = make_reply("200 OK", orjson.dumps(completion_json())).data

# What becomes of one request: it is answered; the connection is closed before it is read, after it is read, or in the
# middle of the head of its answer; after a while of work; or the server is unavailable.
Fate = Literal[
    "answer", "close", "reset", "read and close", "read and reset", "half an answer", "work and reset", "gone"
]


@dataclass
class Server:
    """``fates``: of the requests in the order of their arrival; those after the last one are answered."""

    fates: list[Fate]
    closes_idle: bool = False  # at the second request of each connection
    url: str = ""
    connections: int = 0
    requests: list[int] = field(default_factory=list)  # the connection of each
    bodies: list[bytes] = field(default_factory=list)
    listener: asyncio.Server | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        fate: Fate = "answer"
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(number)
                is_second = self.closes_idle and self.requests.count(number) > 1
                fate = "reset" if is_second else self.fates.pop(0) if self.fates else "answer"
                if fate == "gone":
                    assert self.listener is not None
                    self.listener.close()
                if fate not in ("close", "reset"):
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    self.bodies.append(await reader.readexactly(int(length[1]) if length else 0))
                if fate == "half an answer":
                    writer.write(ANSWER[:20])
                    await writer.drain()
                if fate == "work and reset":
                    await asyncio.sleep(MAX_STALE_SECONDS + 0.1)
                if fate != "answer":
                    break
                writer.write(ANSWER)
        if fate.endswith("reset"):
            writer.transport.abort()
        writer.close()


@asynccontextmanager
async def running(fates: Sequence[Fate], *, closes_idle: bool = False) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(list(fates), closes_idle)
    server.listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{server.listener.sockets[0].getsockname()[1]}/v1"
    async with server.listener, client_of(server.url) as client:
        yield server, client


@pytest.mark.parametrize("fate", ["close", "reset", "read and close", "read and reset"])
async def test_a_request_on_a_stale_connection_is_sent_again_on_a_new_one(fate: Fate) -> None:
    async with running(["answer", fate, "answer", "answer"]) as (server, client):
        for _ in range(3):
            assert (await client.send(BODY)).text
    assert server.requests[:3] == [1, 1, 2]
    assert server.bodies[-1] == BODY


async def test_other_idle_connections_are_not_used_for_it() -> None:
    async with running([], closes_idle=True) as (server, client):
        await asyncio.gather(*(client.send(BODY) for _ in range(4)))
        await client.send(BODY)
    assert server.bodies == [BODY] * 5


@pytest.mark.parametrize(
    ("fates", "requests"),
    [
        pytest.param(["close"], [1], id="a new connection"),
        pytest.param(["answer", "reset", "reset"], [1, 1, 2], id="twice"),
        pytest.param(["answer", "half an answer"], [1, 1], id="after the first bytes"),
        pytest.param(["answer", "work and reset"], [1, 1], id="while the server works on it"),
        pytest.param(["answer", "gone"], [1, 1], id="and then refused"),
    ],
)
async def test_other_failures_are_lost_connections(fates: list[Fate], requests: list[int]) -> None:
    async with running(fates) as (server, client):
        if fates[0] == "answer":
            await client.send(BODY)
        decision = await failure(client)
    assert decision.code == "connection_lost"
    assert server.requests == requests


async def test_an_image_is_sent_again_as_a_whole() -> None:
    body = Body((b'{"image":"', EncodedImage(bytes(range(256)) * 4000, "image/png", 8, 8), b'"}'))
    async with running(["answer", "close"]) as (server, client):
        await client.send(body)
        await client.send(body)
    assert server.bodies == [bytes(body)] * 2


async def test_a_get_is_sent_again_too() -> None:
    async with running(["answer", "reset"]) as (server, client):
        await client.send(BODY)
        status, _ = await client.get(f"{server.url}/models")
    assert status == 200


def number_reply(text: str) -> bytes:
    return make_reply("200 OK", orjson.dumps({"id": f"chatcmpl-{text}", **completion_json(text)})).data


@pytest.mark.parametrize("seconds", [0.0, 0.02])
@pytest.mark.parametrize("surplus", [ANSWER, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"0\r\n\r\n"])
async def test_bytes_that_no_request_asked_for_are_no_reply(surplus: bytes, seconds: float) -> None:
    """https://github.com/aio-libs/aiohttp/issues/13656, https://github.com/projectdiscovery/nuclei/pull/7671"""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                text = (await reader.readexactly(int(length[1]) if length else 0)).decode()
                if seconds:
                    writer.write(number_reply(text))
                    await asyncio.sleep(seconds)
                    writer.write(surplus)
                else:
                    writer.write(number_reply(text) + surplus)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as client:
        texts = []
        for number in range(3):
            texts.append((await client.send(b"%d" % number)).text)
            await asyncio.sleep(0.06)
    assert texts == ["0", "1", "2"]
    assert connections == 3


def number_stream(text: str) -> bytes:
    chunk = {"id": f"chatcmpl-{text}", "choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
    return make_reply("200 OK", b"data: %b\n\n" % orjson.dumps(chunk), "Content-Type: text/event-stream").data


@pytest.mark.parametrize("make", [number_reply, number_stream])
async def test_a_reply_that_is_sent_again_during_the_next_request_is_no_reply_to_it(
    make: Callable[[str], bytes],
) -> None:
    received = list[str]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        latest = b""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                received.append((await reader.readexactly(int(length[1]) if length else 0)).decode())
                writer.write(latest)
                await asyncio.sleep(0.05 if latest else 0)
                latest = make(received[-1])
                writer.write(latest)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as client:
        texts = [(await client.send(b"%d" % number)).text for number in range(4)]
        await asyncio.sleep(0.1)  # until the server has noticed the closed connections
    assert texts == ["0", "1", "2", "3"]
    assert received == ["0", "1", "1", "2", "3", "3"], "1 and 3 got the reply to the request before"


async def test_after_an_error_that_is_sent_again_no_reply_is_taken_for_that_to_the_next_request() -> None:
    error = make_reply("429 Busy", b"{}").data

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                text = (await reader.readexactly(1)).decode()
                if text in "01":
                    writer.write(error)
                if text != "0":
                    await asyncio.sleep(0.05)
                    writer.write(number_reply(text))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as client:
        for number in range(2):
            with pytest.raises(AttemptError):
                await client.send(b"%d" % number)
        assert (await client.send(b"2")).text == "2"


@pytest.mark.parametrize(
    ("fields", "texts", "requests"),
    [
        ({"id": "x"}, "AAAAA", 6),
        ({}, "AAAAA", 5),
        ({"id": ""}, "AAAAA", 5),  # https://github.com/huggingface/text-generation-inference/issues/1782
        ({"id": "1"}, "ABAABABB", 8),  # https://github.com/InternLM/lmdeploy/pull/4707
    ],
)
async def test_replies_with_one_id_are_not_taken_for_repeated_ones(
    fields: dict[str, str], texts: str, requests: int
) -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(1)
                reply = orjson.dumps(fields | completion_json(texts[sent % len(texts)]))
                sent += 1
                writer.write(make_reply("200 OK", reply).data)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as client:
        for _ in texts:
            await client.send(b"1")
    assert sent == requests


async def test_bytes_that_the_event_loop_has_not_seen_yet_are_found() -> None:
    own, other = socket.socketpair()
    own.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(lambda: IdleProtocol(loop=loop), sock=own)
    with contextlib.closing(transport), other:
        other.send(b"HTTP/1.1 408 Request Timeout")
        assert not protocol.is_spoilt, "a greeting, before the first request"
        protocol.uses = 1
        assert protocol.is_spoilt


async def test_a_closed_client_opens_no_connection() -> None:
    async with running([]) as (server, client):
        await client.aclose()
        with pytest.raises(RuntimeError, match="after the HTTP client was closed"):
            await client.send(BODY)
    assert server.connections == 0


BODY_OF_ANSWER = orjson.dumps(completion_json())
LENGTH = b"Content-Length: %d\r\n" % len(BODY_OF_ANSWER)
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY_OF_ANSWER), BODY_OF_ANSWER)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([OK[:3], OK[3:] + LENGTH, b"\r\n" + BODY_OF_ANSWER], id="one length"),
        pytest.param([OK, LENGTH, LENGTH + b"\r\n" + BODY_OF_ANSWER], id="two equal lengths"),
        pytest.param([OK + LENGTH, b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS], id="a length and chunks"),
        pytest.param([OK, LENGTH + b"\r\n" + BODY_OF_ANSWER + b"surplus"], id="surplus bytes"),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n" + OK[:9], OK[9:] + LENGTH * 2 + b"\r\n" + BODY_OF_ANSWER],
            id="two equal lengths after an interim reply",
        ),
        pytest.param([b"HTTP/1.1 200 OK\n" + LENGTH[:-2] + b"\n\n", BODY_OF_ANSWER], id="lines ended by LF"),
    ],
)
async def test_a_reply_may_arrive_in_pieces_of_its_head(pieces: list[bytes]) -> None:
    reply = RawReply(pieces[0], rest=tuple(pieces[1:]))
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        assert [(await client.send(BODY)).text for _ in range(2)] == ["<mam> wears a hat."] * 2

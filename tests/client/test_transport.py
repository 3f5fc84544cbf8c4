"""One attempt over real sockets: what each way of failing is called."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import aiohttp
import httpx2
import pytest
from aiohttp import web

from persqa_client.client.classify import AttemptContext, classify_transport_error
from persqa_client.client.transport import name_fault
from persqa_client.errors import AttemptError
from persqa_client.types import RetryAction
from tests.client.attempts import BODY, client_of, failure, recording
from tests.support.endpoints import completion_response, serve_handler


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[str]:
    """A server that reads a request's head and body and then says raw bytes, or nothing."""
    ended = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
            await speak(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        await ended.wait()


async def test_the_sdk_tries_nothing_again_by_itself() -> None:
    heads = list[dict[str, str]]()

    async def fail(request: web.Request) -> web.Response:
        heads.append({})
        return web.Response(status=500, headers={"x-should-retry": "true", "Retry-After": "0"})

    async with serve_handler(fail) as url, client_of(f"{url}/v1") as client:
        assert (await failure(client)).action is RetryAction.RETRY
    assert len(heads) == 1


async def test_a_refused_connection_is_named_by_whether_there_was_an_answer_before() -> None:
    async with serve_handler(recording([])) as url:
        before = client_of(f"http://127.0.0.1:{free_port()}/v1")
        after = client_of(f"{url}/v1")
        await after.send(BODY)
    async with before, after:
        first, later = await failure(before), await failure(after)
    assert (first.action, later.action) == (RetryAction.STOP, RetryAction.AWAIT_RECOVERY)
    assert "start the server or correct --base-url" in first.message


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the client goes."""
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("speak", [silence, trickle], ids=["no answer", "a byte now and then"])
async def test_the_wall_time_of_an_attempt_ends_it(speak: Speak) -> None:
    async with speaking(speak) as url, client_of(url, timeout=0.4) as client:
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.RETRY, "timeout")
    assert "0.4 s" in verdict.message


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes without a word."""


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [')


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP ready\r\n")


@pytest.mark.parametrize("speak", [hang_up, reset, cut, nonsense])
async def test_a_broken_connection_is_transient(speak: Speak) -> None:
    async with speaking(speak) as url, client_of(url) as client:
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.RETRY, "connection_lost")


async def test_https_to_a_server_without_it_stops_the_run() -> None:
    async with serve_handler(recording([])) as url, client_of(f"https{url.removeprefix('http')}/v1") as client:
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.STOP, "no_connection_tls")
    assert "http instead of https" in verdict.message


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with serve_handler(recording([])) as url, client_of(f"{url}/v1") as client:
        assert (await client.send(BODY)).text


async def test_a_dead_proxy_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with client_of("http://gpu.invalid/v1") as client:
        verdict = await failure(client)
    assert (verdict.action, verdict.code) == (RetryAction.STOP, "no_connection_proxy")


@pytest.mark.parametrize(
    ("status", "alive"), [(200, True), (404, True), (401, True), (500, False), (502, False), (503, False)]
)
async def test_a_server_is_alive_when_it_would_take_requests(status: int, alive: bool) -> None:
    paths = list[str]()

    async def health(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status)

    async with serve_handler(health) as url, client_of(f"{url}/v1") as client:
        assert await client.alive() is alive
    assert paths == ["/health"]


async def test_a_server_that_refuses_connections_is_not_alive() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}/v1") as client:
        assert not await client.alive()


async def test_a_get_that_takes_too_long_names_its_address() -> None:
    async def wait(request: web.Request) -> web.Response:
        await asyncio.sleep(10)
        return completion_response()

    async with serve_handler(wait) as url, client_of(f"{url}/v1") as client:
        with pytest.raises(AttemptError, match="/v1/models gave no answer within"):
            await client.get(f"{url}/v1/models", timeout=0.05)


def chain(*errors: BaseException) -> BaseException:
    """The first error, caused by the second, and so on."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("errors", "fault"),
    [
        ((httpx2.ConnectError("c"), ConnectionRefusedError(111, "refused")), "refused"),
        ((httpx2.ReadError("r"), ConnectionResetError(104, "reset")), "reset"),
        ((httpx2.ReadTimeout("t"), aiohttp.ServerDisconnectedError()), "reset"),
        ((httpx2.UnsupportedProtocol("ftp"),), "url"),
        ((httpx2.RemoteProtocolError("odd"),), "reset"),
    ],
)
def test_a_fault_is_named_by_the_most_telling_of_its_causes(errors: tuple[BaseException, ...], fault: str) -> None:
    assert name_fault(chain(*errors))[0] == fault


def test_a_fault_is_told_in_the_words_of_its_innermost_cause() -> None:
    assert name_fault(chain(ValueError("outer"), OSError("inner"), OSError()))[1] == "inner"


def test_a_process_without_free_files_is_told_so() -> None:
    fault, _ = name_fault(OSError(errno.EMFILE, "Too many open files"))
    verdict = classify_transport_error(fault, "", AttemptContext("http://x/v1", "m", has_answered=True))
    assert (verdict.action, verdict.code) == (RetryAction.STOP, "no_connection_files")
    assert "--concurrency" in verdict.message

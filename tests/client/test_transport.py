"""Single attempts over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import aiohttp
import httpx2
import pytest
from aiohttp import web

from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.transport import Client
from persqa_client.client.transport_errors import classify_transport_error, find_transport_fault
from persqa_client.config import Endpoint
from persqa_client.errors import AttemptError
from persqa_client.limits.open_files import SPARE_CONNECTIONS
from persqa_client.types import RetryAction
from tests.client.attempts import BODY, client_of, failure, recording
from tests.support.endpoints import completion_response, serve_handler


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serve_once(respond: Respond) -> AsyncIterator[str]:
    """A server that reads a request and then leaves the connection to ``respond``."""
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
            await respond(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        await ended.wait()


async def test_the_sdk_does_not_retry() -> None:
    heads = list[dict[str, str]]()

    async def fail(request: web.Request) -> web.Response:
        heads.append({})
        return web.Response(status=500, headers={"x-should-retry": "true", "Retry-After": "0"})

    async with serve_handler(fail) as url, client_of(f"{url}/v1") as client:
        assert (await failure(client)).action is RetryAction.RETRY
    assert len(heads) == 1


async def test_a_refused_connection_stops_the_run_only_before_the_first_answer() -> None:
    async with serve_handler(recording([])) as url:
        before = client_of(f"http://127.0.0.1:{free_port()}/v1")
        after = client_of(f"{url}/v1")
        await after.send(BODY)
    async with before, after:
        first, later = await failure(before), await failure(after)
    assert (first.action, later.action) == (RetryAction.STOP, RetryAction.AWAIT_RECOVERY)
    assert "start the server or correct --base-url" in first.message


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends nothing until the client closes the connection."""
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("respond", [silence, trickle], ids=["no answer", "a byte now and then"])
async def test_an_attempt_ends_with_its_wall_time(respond: Respond) -> None:
    async with serve_once(respond) as url, client_of(url, timeout=0.4) as client:
        decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.RETRY, "timeout")
    assert "0.4 s" in decision.message


async def test_a_server_that_stops_after_an_answer_is_unavailable() -> None:
    async def answer_and_close(request: web.Request) -> web.StreamResponse:
        response = completion_response()
        response.force_close()
        return response

    async with serve_handler(answer_and_close) as url:
        client = client_of(f"{url}/v1")
        await client.send(BODY)
    async with client:
        decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.AWAIT_RECOVERY, "refused")


async def test_the_start_of_a_stream_is_reported_before_its_end() -> None:
    started = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await started.wait()
        await response.write(b'data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\n')
        return response

    async with serve_handler(stream) as url, client_of(f"{url}/v1") as client:
        assert (await client.send(BODY, started.set)).text == "Yes."


@pytest.mark.parametrize("status", [307, 400, 500])
async def test_a_failed_response_does_not_count_as_started(status: int) -> None:
    started = list[bool]()

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Content-Type": "text/event-stream"})

    async with serve_handler(fail) as url, client_of(f"{url}/v1") as client:
        with pytest.raises(AttemptError):
            await client.send(BODY, lambda: started.append(True))
    assert started == []


async def test_a_stream_that_is_left_early_frees_its_connection() -> None:
    """Its connection is closed, since the rest of the stream would come by it."""
    closed, begun = asyncio.Event(), asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ")
        await reader.read()
        closed.set()

    async with serve_once(stream) as url, client_of(url) as client:
        attempt = asyncio.create_task(client.send(BODY, begun.set))
        await begun.wait()
        attempt.cancel()
        await asyncio.wait([attempt])
        await asyncio.wait_for(closed.wait(), 5.0)
    assert attempt.cancelled()


async def test_connections_are_limited() -> None:
    open_at_once, most, all_here = 0, 0, asyncio.Event()

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal open_at_once, most
        open_at_once += 1
        most = max(most, open_at_once)
        if most == 2 + SPARE_CONNECTIONS:
            all_here.set()
        await all_here.wait()
        open_at_once -= 1
        return completion_response()

    async with (
        serve_handler(count) as url,
        Client(Endpoint(base_url=f"{url}/v1", model="qwen"), connections=2) as client,
    ):
        await asyncio.gather(*(client.send(BODY) for _ in range(30)))
    assert most == 2 + SPARE_CONNECTIONS


async def test_https_to_a_server_without_it_stops_the_run() -> None:
    async with serve_handler(recording([])) as url, client_of(f"https{url.removeprefix('http')}/v1") as client:
        decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.STOP, "no_connection_tls")
    assert "http instead of https" in decision.message


@pytest.mark.parametrize(
    ("status", "alive"), [(200, True), (404, True), (401, True), (500, False), (502, False), (503, False)]
)
async def test_a_server_is_alive_unless_health_gives_a_5xx(status: int, alive: bool) -> None:
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


async def test_a_get_that_takes_too_long_names_its_url() -> None:
    async def wait(request: web.Request) -> web.Response:
        await asyncio.sleep(10)
        return completion_response()

    async with serve_handler(wait) as url, client_of(f"{url}/v1") as client:
        with pytest.raises(AttemptError, match=r"/v1/models .* 0\.05 s"):
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
def test_the_most_specific_cause_decides_the_fault(errors: tuple[BaseException, ...], fault: str) -> None:
    assert find_transport_fault(chain(*errors))[0] == fault


def test_the_message_is_that_of_the_innermost_cause() -> None:
    assert find_transport_fault(chain(ValueError("outer"), OSError("inner"), OSError()))[1] == "inner"


@pytest.mark.parametrize("has_answered", [False, True])
def test_a_request_waits_for_a_free_file_handle(has_answered: bool) -> None:
    fault, _ = find_transport_fault(OSError(errno.EMFILE, "Too many open files"))
    decision = classify_transport_error(fault, "", AttemptContext("http://x/v1", "m", has_answered=has_answered))
    assert (decision.action, decision.code) == (RetryAction.WAIT, "no_connection_files")
    assert "ulimit -n" in decision.message


async def test_requests_leave_no_line_each_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(request: web.Request) -> web.Response:
        return completion_response()

    with caplog.at_level(logging.INFO):
        async with serve_handler(handle) as url, client_of(f"{url}/v1") as client:
            for _ in range(3):
                await client.send(BODY)
            logging.getLogger("httpx2").info("another program's request")
    assert [record.message for record in caplog.records if record.name == "httpx2"] == ["another program's request"]

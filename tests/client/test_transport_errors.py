"""A response that is no HTTP, or that ends too early, is one sentence in plain words."""

from __future__ import annotations

import pytest

from tests.client.attempts import client_of, failure
from tests.client.raw_server import RawReply, make_head, serve_raw_reply

CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "Bad status line: Invalid status code: b'HTTP/1.1 abc OK'"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "Invalid header token: b'bad header'"),
        (make_head("200 OK", "Content-Length: -5"), "Invalid character in Content-Length"),
        (make_head("200 OK", CHUNKED) + b"zz\r\n", "Invalid character in chunk size: b'zz'"),
        (make_head("200 OK", f"X: {'y' * 100_000}"), "Got more than 65536 bytes"),
    ],
)
async def test_a_response_that_is_not_http_is_quoted_in_one_line(data: bytes, says: str) -> None:
    async with serve_raw_reply(RawReply(data, "close")) as url, client_of(url) as client:
        decision = await failure(client)
    assert decision.code == "connection_lost"
    assert decision.message.startswith(f"The response of {url} is not valid HTTP (")
    assert decision.message.endswith("): check the scheme and port of --base-url.")
    assert says in decision.message
    assert "\n" not in decision.message
    assert "  " not in decision.message
    assert "^" not in decision.message
    assert len(decision.message) < 400


@pytest.mark.parametrize("host", ["a..b", ".example.invalid", f"{'a' * 70}.invalid"])
async def test_a_host_name_that_cannot_be_encoded_cannot_be_resolved(host: str) -> None:
    async with client_of(f"http://{host}/v1") as client:
        decision = await failure(client)
    assert decision.code == "no_connection_dns"


async def test_long_headers_are_read() -> None:
    head = make_head("503 Busy", f"X: {'y' * 20_000}", "Content-Length: 0")
    async with serve_raw_reply(RawReply(head, "close")) as url, client_of(url) as client:
        assert (await failure(client)).status == 503


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        make_head("200 OK", "Content-Length: 50") + b"{",
        make_head("200 OK", CHUNKED) + b"5\r\nab",
    ],
)
async def test_a_response_that_ends_too_early_is_a_lost_connection(data: bytes) -> None:
    async with serve_raw_reply(RawReply(data, "close")) as url, client_of(url) as client:
        decision = await failure(client)
    assert (decision.code, decision.message) == (
        "connection_lost",
        "The connection was lost (the response ended too early).",
    )

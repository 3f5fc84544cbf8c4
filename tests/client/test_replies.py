"""Replies as they come over the wire, and what each is taken for, by the first request and by a later one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from typing import Literal

import orjson
import pytest
from aiohttp import web

from persqa_client.client.response_body import MAX_BODY
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.breaker import plain_request
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.types import Request, RetryAction
from tests.client.attempts import BODY, client_of, failure
from tests.client.raw_server import RawReply, make_head, make_reply, serve_raw_reply
from tests.support.endpoints import FAST_BACKOFF, completion_json, completion_response, serve_handler

ANSWER = orjson.dumps(completion_json())
ERROR = orjson.dumps({"error": {"message": "so it is", "code": "x"}})
LENGTH = f"Content-Length: {len(ANSWER)}"
JSON = "Content-Type: application/json"
STREAM = "Content-Type: text/event-stream"
GZIP = "Content-Encoding: gzip"
CHUNKED = "Transfer-Encoding: chunked"
EVENTS = (
    b'data: {"model": "qwen", "choices": [{"delta": {"content": "<mam> wears a hat."}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
LAST_EVENT = b"\n\ndata: [DONE]\n\n"
ENDLESS_EVENTS = EVENTS.removesuffix(LAST_EVENT.lstrip())
HTML = b"<html><body>Bad gateway</body></html>"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(make_reply("200 OK", ANSWER, JSON), id="plain"),
        pytest.param(make_reply("201 Created", ANSWER, JSON), id="201"),
        pytest.param(make_reply("200 OK", ANSWER), id="no content type"),
        pytest.param(make_reply("200 OK", ANSWER, "Content-Type: text/html"), id="declared as HTML"),
        pytest.param(make_reply("200 OK", ANSWER, f"{JSON}; charset=klingon"), id="unknown charset"),
        pytest.param(make_reply("200 OK", gzip.compress(ANSWER), JSON, GZIP), id="gzip"),
        pytest.param(make_reply("200 OK", zlib.compress(ANSWER), "Content-Encoding: deflate"), id="deflate"),
        pytest.param(make_reply("200 OK", ANSWER, "Content-Encoding: identity"), id="identity"),
        pytest.param(RawReply(make_head("200 OK", CHUNKED) + chunk(ANSWER) + chunk(b"")), id="chunked"),
        pytest.param(
            RawReply(make_head("200 OK", CHUNKED, GZIP) + chunk(gzip.compress(ANSWER)) + chunk(b"")), id="chunked gzip"
        ),
        pytest.param(RawReply(make_head("200 OK", JSON) + ANSWER, "close"), id="until the end"),
        pytest.param(RawReply(b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER, "close"), id="HTTP/1.0"),
        pytest.param(make_reply("200 OK", EVENTS, STREAM), id="event stream"),
        pytest.param(make_reply("200 OK", gzip.compress(EVENTS), STREAM, GZIP), id="event stream with gzip"),
        pytest.param(
            RawReply(make_head("200 OK", STREAM, CHUNKED) + chunk(EVENTS[:40]) + chunk(EVENTS[40:]) + chunk(b"")),
            id="event stream in chunks",
        ),
        pytest.param(RawReply(make_head("100 Continue") + make_reply("200 OK", ANSWER).data), id="after 100"),
        pytest.param(RawReply(make_head("103 Early Hints") + make_reply("200 OK", ANSWER).data), id="after 103"),
        pytest.param(
            RawReply(make_head("100 Continue", "Content-Length: 0") + make_reply("200 OK", ANSWER).data),
            id="after 100 with a length",
        ),
        pytest.param(make_reply("200 OK", ANSWER, "X-Name: M\xfcller", "X-None:"), id="odd headers"),
        pytest.param(make_reply("200 OK", ANSWER, "Set-Cookie: =;;"), id="odd cookie"),
        pytest.param(make_reply("200 OK", ANSWER[:-1] + b',"cost":NaN}', JSON), id="NaN"),
        # https://github.com/openclaw/openclaw/pull/97454
        pytest.param(make_reply("200 OK", EVENTS, JSON), id="event stream declared as JSON"),
        pytest.param(
            make_reply("200 OK", b": ping\n\n" + ENDLESS_EVENTS, "Content-Type: text/plain"), id="a comment as a text"
        ),
        pytest.param(make_reply("200 OK", b"\xef\xbb\xbf" + ENDLESS_EVENTS, JSON), id="events after a byte order mark"),
        pytest.param(make_reply("201 Created", ENDLESS_EVENTS, STREAM), id="event stream with a 201"),
        pytest.param(make_reply("200 OK", EVENTS.replace(b"data: ", b""), JSON), id="JSON lines"),
        pytest.param(make_reply("200 OK", EVENTS[6:-15], JSON), id="a single piece of a stream"),
        pytest.param(make_reply("200 OK", EVENTS[6:-15] + b'{"usage": {}}'), id="JSON lines without an end"),
        pytest.param(make_reply("200 OK", ANSWER + b"\0", JSON), id="a zero byte at the end"),
        # https://github.com/decolua/9router/issues/3492
        pytest.param(make_reply("200 OK", ANSWER + LAST_EVENT, STREAM), id="JSON with a last event"),
        pytest.param(make_reply("200 OK", ANSWER + LAST_EVENT, JSON), id="JSON with a last event, declared as JSON"),
        # https://github.com/earendil-works/pi/issues/7954
        pytest.param(RawReply(make_head("200 OK", STREAM, CHUNKED) + chunk(EVENTS)), id="event stream without an end"),
        pytest.param(RawReply(make_head("200 OK", CHUNKED) + chunk(EVENTS[:-3]) + chunk(b"]\n\n")), id="as a text"),
        # https://github.com/letta-ai/letta-code/pull/4238: comments keep a connection alive.
        pytest.param(
            RawReply(make_head("200 OK", STREAM, CHUNKED) + chunk(EVENTS + b": keepalive\n\n: keep")),
            id="event stream without an end, with comments",
        ),
        # https://github.com/open-webui/open-webui/issues/23920: the gateway has decoded the body.
        pytest.param(make_reply("200 OK", ANSWER, JSON, GZIP), id="encoded in name only"),
        pytest.param(make_reply("200 OK", ANSWER, JSON, "Content-Encoding: br"), id="encoded in name only (br)"),
        pytest.param(
            RawReply(make_head("200 OK", STREAM, GZIP, CHUNKED) + chunk(EVENTS[:20]) + chunk(EVENTS[20:]) + chunk(b"")),
            id="event stream encoded in name only",
        ),
        *[
            pytest.param(
                RawReply(make_head("200 OK", JSON, coding, CHUNKED) + b"".join(map(chunk, pieces)) + chunk(b"")),
                id=f"encoded in name only ({coding}), {name}",
            )
            for coding in (GZIP, "Content-Encoding: deflate", "Content-Encoding: br")
            for name, pieces in {
                "in small pieces": [ANSWER[:1], ANSWER[1:9], ANSWER[9:]],
                "after a line break": [b"\n", ANSWER],
                "in Chinese": [b'{"\xe6\xb6\x88\xe6\x81\xaf": "", ' + ANSWER[1:]],
                "cut in a character": [b'{"\xe6\xb6', b'\x88\xe6\x81\xaf": "", ' + ANSWER[1:]],
            }.items()
        ],
        *[
            pytest.param(
                RawReply(make_head("200 OK", coding, CHUNKED) + b"".join(map(chunk, pieces)) + chunk(b"")),
                id=f"{coding} in bytes",
            )
            for coding, body in ((GZIP, gzip.compress(ANSWER)), ("Content-Encoding: deflate", zlib.compress(ANSWER, 3)))
            for pieces in [[bytes([byte]) for byte in body]]
        ],
        # https://github.com/timoklimmer/powerproxy-aoai/issues/53
        pytest.param(
            RawReply(make_head("200 OK", "Content-Length: 9", CHUNKED) + chunk(ANSWER) + chunk(b"")), id="two lengths"
        ),
        pytest.param(
            RawReply(make_head("200 OK", LENGTH, LENGTH.lower(), CHUNKED) + chunk(ANSWER) + chunk(b"")),
            id="three lengths",
        ),
        pytest.param(make_reply("200 OK", ANSWER, LENGTH), id="equal lengths"),
        pytest.param(make_reply("200 OK", ANSWER, JSON, LENGTH.lower(), f"{LENGTH} "), id="three equal lengths"),
        pytest.param(RawReply(make_head("200 OK", f"{LENGTH}, {len(ANSWER)}", JSON) + ANSWER), id="a list of lengths"),
        pytest.param(make_reply("200 OK", EVENTS, STREAM, f"Content-Length: {len(EVENTS)}"), id="and a stream"),
    ],
)
async def test_an_answer_is_read_however_it_is_sent(reply: RawReply) -> None:
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        texts = [(await client.send(BODY)).text for _ in range(2)]
    assert texts == ["<mam> wears a hat."] * 2


@pytest.mark.parametrize("then", ["keep", "reset"])
async def test_an_answer_is_complete_with_its_finish_reason(then: Literal["keep", "reset"]) -> None:
    """https://github.com/waybarrios/vllm-mlx/issues/101: no last event follows, and no end of the body."""
    reply = RawReply(make_head("200 OK", STREAM, CHUNKED) + chunk(ENDLESS_EVENTS), then)
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        assert (await client.send(BODY)).text == "<mam> wears a hat."


async def test_bytes_after_one_of_two_equal_lengths_are_no_part_of_the_next_reply() -> None:
    async with (
        serve_raw_reply(RawReply(make_reply("200 OK", ANSWER, LENGTH).data + b"garbage")) as url,
        client_of(url) as client,
    ):
        assert [(await client.send(BODY)).text for _ in range(2)] == ["<mam> wears a hat."] * 2


LOST = (RetryAction.RETRY, "connection_lost", None)
NOT_JSON = (RetryAction.RETRY, "invalid_json", None)


@pytest.mark.parametrize(
    ("reply", "action", "code", "retry_after"),
    [
        pytest.param(RawReply(b"", "close"), *LOST, id="nothing"),
        pytest.param(RawReply(b"", "reset"), *LOST, id="reset"),
        pytest.param(RawReply(b"HTTP/1.1 200 OK\r\nContent", "close"), *LOST, id="half a head"),
        pytest.param(RawReply(b"220 mail.example ESMTP ready\r\n", "close"), *LOST, id="another protocol"),
        pytest.param(RawReply(make_head("200 OK", "Content-Length: 500") + b"{", "close"), *LOST, id="cut off"),
        pytest.param(RawReply(make_head("200 OK", "Content-Length: 500") + b"{", "reset"), *LOST, id="cut by a reset"),
        pytest.param(RawReply(make_head("200 OK", CHUNKED) + chunk(b"{"), "close"), *LOST, id="chunks cut off"),
        pytest.param(RawReply(make_head("200 OK", CHUNKED) + b"zz\r\nxx", "close"), *LOST, id="no chunk"),
        pytest.param(RawReply(make_head("200 OK", "Content-Length: x") + b"{}", "close"), *LOST, id="no length"),
        pytest.param(RawReply(make_head("500 No", "Content-Length: 500") + b"{", "close"), *LOST, id="error cut"),
        *[
            pytest.param(RawReply(make_head("200 OK", *lengths) + ANSWER, "close"), *LOST, id=f"lengths {lengths}")
            for lengths in ([LENGTH, "Content-Length: 9"], ["Content-Length: 999", LENGTH], [f"{LENGTH}, 9"])
        ],
        pytest.param(
            make_reply("429 Busy", b"{}", "Content-Length: 2", "Retry-After: 3"),
            *(RetryAction.WAIT, "http_429", 3.0),
            id="equal lengths",
        ),
        pytest.param(make_reply("200 OK", b"\x1f\x8bno gzip", GZIP), *LOST, id="not gzip"),
        pytest.param(make_reply("200 OK", b"no gzip", GZIP), *NOT_JSON, id="a text, not gzip"),
        *[
            pytest.param(
                make_reply("429 Busy", body, GZIP, "Retry-After: 3"), RetryAction.WAIT, "http_429", 3.0, id=name
            )
            for name, body in {
                "a short text": b"busy",
                "a Chinese text": "系统繁忙，请稍后重试".encode(),
                "no text": b"",
            }.items()
        ],
        pytest.param(
            make_reply("500 No", b" " * 2**20 + b"busy", GZIP), RetryAction.RETRY, "http_500", None, id="spaces"
        ),
        pytest.param(RawReply(make_head("200 OK", "Content-Length: 99999999") + b"{"), *LOST, id="very long"),
        pytest.param(RawReply(make_head("200 OK", CHUNKED) + chunk(b" " * 2**20) * 33), *LOST, id="endless"),
        pytest.param(RawReply(make_head("200 OK", STREAM, CHUNKED) + chunk(b":" * 2**20) * 33), *LOST, id="stream"),
        pytest.param(make_reply("200 OK", EVENTS[:40], STREAM), *NOT_JSON, id="half an event"),
        pytest.param(
            make_reply("200 OK", b'data: {"error": {"message": "busy", "code": 503}}\n\n', STREAM),
            *(RetryAction.WAIT, "http_503", None),
            id="error in a stream",
        ),
        pytest.param(
            make_reply(
                "200 OK", b'data: {"error": {"message": "busy", "code": 503}}\n\n', "Content-Type: Text/Event-Stream"
            ),
            *(RetryAction.WAIT, "http_503", None),
            id="error in a stream with a type in capitals",
        ),
        pytest.param(make_reply("200 OK", HTML), RetryAction.RETRY, "not_an_api", None, id="a page"),
        pytest.param(make_reply("200 OK", b"hello"), *NOT_JSON, id="not JSON"),
        pytest.param(make_reply("200 OK", b""), *NOT_JSON, id="empty"),
        pytest.param(make_reply("200 OK", ERROR), RetryAction.RETRY, "error_in_200", None, id="error in a 200"),
        pytest.param(RawReply(make_head("204 No")), *NOT_JSON, id="204"),
        pytest.param(RawReply(make_head("304 No")), RetryAction.STOP, "redirected", None, id="304"),
        pytest.param(make_reply("302 Found", b""), RetryAction.STOP, "redirected", None, id="redirect to nowhere"),
        pytest.param(
            make_reply("302 Found", b"", "Location: http://[::bad/"), RetryAction.STOP, "redirected", None, id="bad URL"
        ),
        pytest.param(make_reply("400 Bad", ERROR), RetryAction.FAIL, "rejected", None, id="400"),
        pytest.param(make_reply("400 Bad", ERROR, STREAM), RetryAction.FAIL, "rejected", None, id="400 as a stream"),
        pytest.param(
            make_reply("400 Bad", gzip.compress(ERROR), GZIP), RetryAction.FAIL, "rejected", None, id="400 with gzip"
        ),
        pytest.param(make_reply("401 No", ERROR), RetryAction.STOP, "wrong_key", None, id="401"),
        pytest.param(make_reply("404 No", ERROR), RetryAction.STOP, "not_available", None, id="404"),
        pytest.param(make_reply("404 No", HTML), RetryAction.STOP, "wrong_url", None, id="404 of a gateway"),
        pytest.param(make_reply("413 Big", ERROR), RetryAction.FAIL, "too_large", None, id="413"),
        pytest.param(make_reply("429 Busy", ERROR), RetryAction.WAIT, "http_429", None, id="429"),
        pytest.param(
            make_reply("429 Busy", ERROR, "Retry-After: 7"), RetryAction.WAIT, "http_429", 7, id="Retry-After"
        ),
        pytest.param(make_reply("429 Busy", ERROR, GZIP), RetryAction.WAIT, "http_429", None, id="gzip in name only"),
        pytest.param(
            make_reply("503 Busy", ERROR, "Retry-After: 7", "retry-after: 9"),
            *(RetryAction.WAIT, "http_503", 7),
            id="two times Retry-After",
        ),
        pytest.param(
            make_reply("429 Busy", ERROR, "retry-after-ms: 1500"), RetryAction.WAIT, "http_429", 1.5, id="milliseconds"
        ),
        pytest.param(make_reply("500 Oops", b"x" * 1_000_000), RetryAction.RETRY, "http_500", None, id="large error"),
        pytest.param(make_reply("500 Oops", bytes(range(256))), RetryAction.RETRY, "http_500", None, id="binary error"),
        pytest.param(make_reply("500 Schl\xfcssel", ERROR), RetryAction.RETRY, "http_500", None, id="odd reason"),
        pytest.param(make_reply("502 Bad", HTML), RetryAction.RETRY, "http_502", None, id="HTML of a gateway"),
        pytest.param(RawReply(make_head("101 Switching")), RetryAction.RETRY, "http_101", None, id="another protocol"),
        pytest.param(make_reply("999 What", ERROR), RetryAction.RETRY, "http_999", None, id="unknown status"),
    ],
)
async def test_a_failed_attempt_is_classified(
    reply: RawReply, action: RetryAction, code: str, retry_after: float | None
) -> None:
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        decisions = [await failure(client) for _ in range(2)]
    for decision in decisions:
        assert (decision.action, decision.code, decision.retry_after) == (action, code, retry_after)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
@pytest.mark.parametrize("kind", [JSON, STREAM])
async def test_a_body_that_is_decoded_without_end_is_not_read_to_its_end(status: str, kind: str) -> None:
    body = gzip.compress(b"0" * (2 * MAX_BODY))
    async with serve_raw_reply(make_reply(status, body, kind, GZIP)) as url, client_of(url) as client:
        decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.RETRY, "connection_lost")


async def test_an_encoding_that_cannot_be_decoded_is_named() -> None:
    reply = make_reply("200 OK", b"\x1b\x0f\x00\xf8", "Content-Encoding: x-own")
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        decision = await failure(client)
    assert "cannot be decoded (Content-Encoding: x-own)" in decision.message
    assert (decision.code, decision.raw) == ("invalid_json", "")


async def test_a_body_that_is_not_encoded_is_quoted() -> None:
    reply = make_reply("200 OK", b"so it is", "Content-Encoding: identity")
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        decision = await failure(client)
    assert (decision.code, decision.raw) == ("invalid_json", "so it is")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_the_target_of_a_redirect_is_named(status: int) -> None:
    reply = make_reply(f"{status} Moved", b"", "Location: http://elsewhere.test/v1?token=1")
    async with serve_raw_reply(reply) as url, client_of(url) as client:
        decision = await failure(client)
    assert (decision.action, decision.code, decision.status) == (RetryAction.STOP, "redirected", status)
    assert "http://elsewhere.test/v1;" in decision.message


async def test_headers_of_an_answer_are_observed() -> None:
    observed = list[Mapping[str, str]]()
    reply = make_reply("200 OK", ANSWER, "X-RateLimit-Remaining-Requests: 3", "X-RateLimit-Remaining-Requests: 5")
    async with (
        serve_raw_reply(reply) as url,
        Client(Endpoint(base_url=url, model="qwen"), observe_headers=observed.append) as client,
    ):
        await client.send(BODY)
    assert [headers.get("x-ratelimit-remaining-requests") for headers in observed] == ["3"]


async def test_a_reply_that_cannot_be_read_is_retried() -> None:
    def observe(headers: Mapping[str, str]) -> None:
        raise ValueError(f"odd {headers}")

    async with (
        serve_raw_reply(make_reply("200 OK", ANSWER, "X-Secret: hidden")) as url,
        Client(Endpoint(base_url=url, model="qwen"), observe_headers=observe) as client,
    ):
        decision = await failure(client)
    assert (decision.action, decision.code, decision.status) == (RetryAction.RETRY, "invalid_reply", 200)
    assert "ValueError in test_replies.py" in decision.message
    assert "hidden" not in decision.message


async def test_a_row_that_is_asked_to_come_back_fails_in_the_end() -> None:
    sent = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal sent
        if plain_request().prompt in await request.text():
            return completion_response()
        sent += 1
        return web.json_response({"error": {"message": "图片解析失败，请稍后重试", "code": "1210"}}, status=400)

    async with serve_handler(handle) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="qwen")
        limits = Limits(max_attempts=3)
        async with Session(endpoint, limits=limits, backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF) as session:
            with pytest.raises(RowError, match="图片解析失败"):
                await session.complete(Request("s", (), "q", seed=1))
    assert 3 <= sent <= 6  # the breaker may give attempts back

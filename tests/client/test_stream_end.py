"""When the end of a streamed answer is awaited no longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from persqa_client.client.response_body import MAX_END_SECONDS, MAX_FINISH_SECONDS, MAX_TOKENS_SECONDS, StreamEnd
from persqa_client.types import Completion, Usage
from tests.client.attempts import BODY, client_of, failure
from tests.client.raw_server import make_head
from tests.support.cases import each_case

EARLY_REASONS = ["FINISH_REASON_UNSPECIFIED", "FinishReason.FINISH_REASON_UNSPECIFIED", "null", "", "stop"]
LAST_EVENT = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def make_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def make_event(text: str, reason: str | None, **fields: object) -> bytes:
    choice = {"delta": {"content": text}, "finish_reason": reason}
    return b"data: %b\n\n" % orjson.dumps({"choices": [choice], **fields})


TOKENS = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}\n\n'


@asynccontextmanager
async def serve_slowly(*parts: bytes | float, end: bytes = make_chunk(b"")) -> AsyncIterator[str]:
    """Answers with a stream of these parts; waits the seconds among them."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(make_head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(make_chunk(part))
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            writer.write(end)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


FINISHED = make_event("<mam> sits.", "stop")
PIECE, OTHER_PIECE = make_event("<mam>", None), make_event(" sits.", None)
TOKENS_DEADLINE, FINISH_DEADLINE = 10 + MAX_TOKENS_SECONDS, 10 + MAX_FINISH_SECONDS


@each_case(
    ("pieces", "deadline"),
    [
        pytest.param([FINISHED], TOKENS_DEADLINE, id="finished"),
        pytest.param([FINISHED[:-2]], TOKENS_DEADLINE, id="finished, without an empty line"),
        pytest.param([FINISHED[:60], FINISHED[60:]], TOKENS_DEADLINE, id="cut"),
        pytest.param([FINISHED[index : index + 1] for index in range(len(FINISHED))], TOKENS_DEADLINE, id="in bytes"),
        pytest.param([PIECE + FINISHED], TOKENS_DEADLINE, id="two events at once"),
        pytest.param([b"x" * 200_000, b"\n" + FINISHED], TOKENS_DEADLINE, id="after a long line"),
        pytest.param([FINISHED, TOKENS], FINISH_DEADLINE, id="with its tokens"),
        pytest.param([make_event("", "stop", usage={"prompt_tokens": 1})], FINISH_DEADLINE, id="tokens in the event"),
        pytest.param([make_event("", "FinishReason.MAX_TOKENS")], TOKENS_DEADLINE, id="another spelling"),
        pytest.param([make_event("", "tool_calls")], TOKENS_DEADLINE, id="a tool"),
        pytest.param([make_event("", None), TOKENS], None, id="no reason"),
        pytest.param([make_event("", "null")[:-12]], None, id="a part of null"),
        pytest.param([FINISHED[: FINISHED.index(b'"stop') + 3]], None, id="a part of a reason"),
        *[pytest.param([make_event("<mam>", word)], None, id=f"early {word}") for word in EARLY_REASONS[:-1]],
        pytest.param([make_event("<mam>", "stop"), PIECE], None, id="text after the reason"),
        pytest.param([make_event("<mam>", "stop") + PIECE], None, id="text after the reason, at once"),
        pytest.param([make_event("<mam>", "stop"), OTHER_PIECE[:45]], None, id="a part of the text after the reason"),
        pytest.param([LAST_EVENT], 10 + MAX_END_SECONDS, id="the last event"),
        pytest.param([make_event("<mam>", "stop"), PIECE, LAST_EVENT], 10 + MAX_END_SECONDS, id="the last event after"),
        pytest.param([LAST_EVENT[:9], LAST_EVENT[9:]], 10 + MAX_END_SECONDS, id="the last event, cut"),
        pytest.param([b"data: " + LAST_EVENT], 10 + MAX_END_SECONDS, id="the last event with two prefixes"),
        pytest.param([PING], None, id="only a sign of life"),
    ],
)
def test_the_end_is_awaited_for_a_time_from_the_last_piece_on(pieces: list[bytes], deadline: float | None) -> None:
    end = StreamEnd(is_stream=True)
    for piece in pieces:
        end.add(piece, 10.0)
    assert end.deadline == deadline


@each_case(
    ("later", "deadline"),
    [
        pytest.param(PING, TOKENS_DEADLINE, id="a sign of life"),
        pytest.param(b"\n", TOKENS_DEADLINE, id="an empty line"),
        pytest.param(make_event("", "stop"), 11 + MAX_TOKENS_SECONDS, id="an event without text"),
        pytest.param(TOKENS, 11 + MAX_FINISH_SECONDS, id="the tokens"),
        pytest.param(LAST_EVENT, 11 + MAX_END_SECONDS, id="the last event"),
    ],
)
def test_only_an_event_prolongs_the_time(later: bytes, deadline: float) -> None:
    end = StreamEnd(is_stream=True)
    end.add(FINISHED, 10.0)
    end.add(later, 11.0)
    assert end.deadline == deadline


def test_nothing_prolongs_the_time_after_the_last_event() -> None:
    end = StreamEnd(is_stream=True)
    for number, piece in enumerate((LAST_EVENT[:-2], LAST_EVENT[-2:], PING, LAST_EVENT)):
        end.add(piece, 10.0 + number)
    assert end.deadline == 10 + MAX_END_SECONDS


async def read_answer(*parts: bytes | float) -> Completion:
    async with serve_slowly(*parts) as url, client_of(url, timeout=60.0) as client:
        return await client.send(BODY)


async def test_an_answer_with_a_finish_reason_in_each_piece_is_read_to_its_end() -> None:
    """It takes longer than the time that the end is awaited."""
    pause = 0.4 * MAX_TOKENS_SECONDS

    async def read(word: str) -> str:
        begin, middle, end = make_event("A ", word), make_event("B ", word), make_event("C.", "stop")
        return (await read_answer(begin, pause, middle, pause, PING, pause, end)).text

    assert await asyncio.gather(*map(read, EARLY_REASONS)) == ["A B C."] * len(EARLY_REASONS)


@pytest.mark.parametrize("reason", EARLY_REASONS)
async def test_an_answer_lost_after_a_finish_reason_in_each_piece_is_no_answer(reason: str) -> None:
    pieces = [make_event(f"<mam> has hat {number}. ", reason) for number in range(3)]
    async with serve_slowly(*pieces, end=b"") as url, client_of(url) as client:
        assert (await failure(client)).code == "connection_lost"


async def test_tokens_that_come_late_are_counted() -> None:
    waits: list[list[bytes | float]] = [[2.1], [PING, 1.0, PING, 1.1]]
    answers = await asyncio.gather(*(read_answer(FINISHED, *wait, TOKENS) for wait in waits))
    assert [answer.usage for answer in answers] == [Usage(5, 3)] * 2


async def test_signs_of_life_do_not_keep_a_finished_answer_waiting() -> None:
    pings: list[bytes | float] = [PING, 0.2]
    assert (await read_answer(FINISHED, *pings * 1000)).text == "<mam> sits."

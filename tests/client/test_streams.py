"""Answers that came piece by piece, by values."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.classify import read_error_status
from persqa_client.client.response import assemble_stream, read_completion
from persqa_client.types import Completion, Usage


def piece(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "qwen", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def stream(*pieces: dict[str, Any] | bytes, end: bool = True) -> bytes:
    events = [one if isinstance(one, bytes) else orjson.dumps(one) for one in pieces]
    return b"".join(b"data: %b\n\n" % event for event in [*events, *([b"[DONE]"] if end else [])])


ROLE = piece({"role": "assistant", "content": ""})
WORDS = (piece({"content": "<mam> wears"}), piece({"content": " a hat."}))
STOP = piece({}, "stop")
TAKEN = {"model": "qwen", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
WHOLE = Completion("<mam> wears a hat.", "stop", Usage(5, 3), "qwen")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN), id="as vLLM sends it"),
        pytest.param(stream(ROLE, WORDS[0], piece({"content": " a hat."}, "stop"), TAKEN), id="with the last token"),
        pytest.param(stream(ROLE, *WORDS, piece({}, "stop", usage=TAKEN["usage"])), id="usage in the last piece"),
        pytest.param(
            stream(piece({"content": None}, usage=None), *WORDS, STOP, {"model": "qwen", "usage": TAKEN["usage"]}),
            id="nothing told at first, no choices at last",
        ),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN, end=False), id="without a mark of its end"),
        pytest.param(b": ping\r\n\r\n" + stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n", b"\r\n"), id="other lines"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN).replace(b"data: ", b"data:"), id="without the space"),
    ],
)
def test_the_pieces_make_the_completion_that_would_have_come_whole(body: bytes) -> None:
    assert read_completion(assemble_stream(body)) == WHOLE


def test_an_empty_text_is_a_text_but_that_of_thoughts_alone_is_none() -> None:
    """As a whole answer has it."""
    assert read_completion(assemble_stream(stream(ROLE, STOP))).text == ""
    for thoughts in (piece({"reasoning_content": "Hm."}), piece({"reasoning": "Hm."})):
        message = orjson.loads(assemble_stream(stream(ROLE, thoughts, STOP)))["choices"][0]["message"]
        assert message == {"content": None, "refusal": None}
        assert read_completion(assemble_stream(stream(ROLE, thoughts, *WORDS, STOP))).text == WHOLE.text


def test_a_refusal_comes_in_pieces_too() -> None:
    body = stream(piece({"refusal": "I can't"}), piece({"refusal": " say."}), STOP)
    assert read_completion(assemble_stream(body)).refusal == "I can't say."


def test_text_of_any_language_and_line_ends_within_it_survive() -> None:
    text = "<mam> 穿着\u2028一顶\x85帽子\n。"
    assert read_completion(assemble_stream(stream(piece({"content": text}), STOP))).text == text


@pytest.mark.parametrize("body", [b"", stream(ROLE, *WORDS, end=False), stream(end=False)])
def test_what_broke_off_is_nothing(body: bytes) -> None:
    assert assemble_stream(body) == b""


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [None]},
        {"choices": {"0": 1}},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": 7}}]},
        b"[]",
        b"",
    ],
)
def test_pieces_of_no_use_say_nothing(odd: dict[str, Any] | bytes) -> None:
    assert read_completion(assemble_stream(stream(ROLE, odd, *WORDS, STOP, TAKEN))) == WHOLE


def test_what_can_not_be_read_stays_as_it_was() -> None:
    body = stream(ROLE, b'{"choices": [{"del')
    assert assemble_stream(body) == body


@pytest.mark.parametrize(
    ("code", "status"),
    [(503, 503), (429, 429), (500, 500), (400, None), (404, None), (None, None), ("overloaded", None), (200, None)],
)
def test_an_error_in_the_midst_has_the_status_that_it_tells_of_the_server(code: object, status: int | None) -> None:
    error = {"error": {"message": "The engine is busy.", "code": code}}
    body = assemble_stream(stream(ROLE, error))
    assert (orjson.loads(body), read_error_status(body)) == (error, status)


def test_an_answer_has_no_status_of_an_error() -> None:
    assert read_error_status(assemble_stream(stream(ROLE, *WORDS, STOP))) is None
    assert read_error_status(orjson.dumps({"error": "Unauthorized"})) is None

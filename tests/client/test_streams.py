"""Streamed answers, assembled."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.classify import read_error_status
from persqa_client.client.response import assemble_stream, read_completion
from persqa_client.types import Completion, Usage


def chunk(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "qwen", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def stream(*chunks: dict[str, Any] | bytes, end: bool = True) -> bytes:
    events = [one if isinstance(one, bytes) else orjson.dumps(one) for one in chunks]
    return b"".join(b"data: %b\n\n" % event for event in [*events, *([b"[DONE]"] if end else [])])


ROLE = chunk({"role": "assistant", "content": ""})
WORDS = (chunk({"content": "<mam> wears"}), chunk({"content": " a hat."}))
STOP = chunk({}, "stop")
TAKEN = {"model": "qwen", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
WHOLE = Completion("<mam> wears a hat.", "stop", Usage(5, 3), "qwen")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN), id="as vLLM sends it"),
        pytest.param(stream(ROLE, WORDS[0], chunk({"content": " a hat."}, "stop"), TAKEN), id="with the last token"),
        pytest.param(stream(ROLE, *WORDS, chunk({}, "stop", usage=TAKEN["usage"])), id="usage in the last piece"),
        pytest.param(
            stream(chunk({"content": None}, usage=None), *WORDS, STOP, {"model": "qwen", "usage": TAKEN["usage"]}),
            id="null content at first, no choices at last",
        ),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN, end=False), id="without a mark of its end"),
        pytest.param(b": ping\r\n\r\n" + stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n", b"\r\n"), id="other lines"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN).replace(b"data: ", b"data:"), id="without the space"),
    ],
)
def test_a_stream_makes_the_same_completion_as_a_whole_answer(body: bytes) -> None:
    assert read_completion(assemble_stream(body)) == WHOLE


def test_reasoning_alone_has_no_text_but_an_empty_text_is_one() -> None:
    assert read_completion(assemble_stream(stream(ROLE, STOP))).text == ""
    for reasoning in (chunk({"reasoning_content": "Hm."}), chunk({"reasoning": "Hm."})):
        message = orjson.loads(assemble_stream(stream(ROLE, reasoning, STOP)))["choices"][0]["message"]
        assert message == {"content": None, "refusal": None}
        assert read_completion(assemble_stream(stream(ROLE, reasoning, *WORDS, STOP))).text == WHOLE.text


def test_refusals_are_assembled() -> None:
    body = stream(chunk({"refusal": "I can't"}), chunk({"refusal": " say."}), STOP)
    assert read_completion(assemble_stream(body)).refusal == "I can't say."


def test_texts_of_any_language_and_with_line_breaks_are_kept() -> None:
    text = "<mam> 穿着\u2028一顶\x85帽子\n。"
    assert read_completion(assemble_stream(stream(chunk({"content": text}), STOP))).text == text


@pytest.mark.parametrize("body", [b"", stream(ROLE, *WORDS, end=False), stream(end=False)])
def test_an_incomplete_stream_is_empty(body: bytes) -> None:
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
def test_malformed_chunks_are_ignored(odd: dict[str, Any] | bytes) -> None:
    assert read_completion(assemble_stream(stream(ROLE, odd, *WORDS, STOP, TAKEN))) == WHOLE


def test_a_body_that_cannot_be_decoded_is_unchanged() -> None:
    body = stream(ROLE, b'{"choices": [{"del')
    assert assemble_stream(body) == body


@pytest.mark.parametrize(
    ("code", "status"),
    [(503, 503), (429, 429), (500, 500), (400, None), (404, None), (None, None), ("overloaded", None), (200, None)],
)
def test_an_error_in_a_stream_has_the_status_of_a_busy_or_failing_server(code: object, status: int | None) -> None:
    error = {"error": {"message": "The engine is busy.", "code": code}}
    body = assemble_stream(stream(ROLE, error))
    assert (orjson.loads(body), read_error_status(body)) == (error, status)


def test_an_answer_has_no_error_status() -> None:
    assert read_error_status(assemble_stream(stream(ROLE, *WORDS, STOP))) is None
    assert read_error_status(orjson.dumps({"error": "Unauthorized"})) is None

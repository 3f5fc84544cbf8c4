"""Streamed answers, assembled."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.response import assemble_stream, read_stream
from persqa_client.types import Completion, ErrorDecision, RetryAction, Usage
from tests.client.attempts import FRESH
from tests.support.cases import each_case


def chunk(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "qwen", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def stream(*chunks: dict[str, Any] | bytes, end: bool = True) -> bytes:
    events = [one if isinstance(one, bytes) else orjson.dumps(one) for one in chunks]
    return b"".join(b"data: %b\n\n" % event for event in [*events, *([b"[DONE]"] if end else [])])


def read_answer(body: bytes) -> Completion:
    completion = read_stream(body, FRESH)
    assert isinstance(completion, Completion)
    return completion


def read_failure(body: bytes) -> ErrorDecision:
    decision = read_stream(body, FRESH)
    assert isinstance(decision, ErrorDecision)
    return decision


ROLE = chunk({"role": "assistant", "content": ""})
WORDS = (chunk({"content": "<mam> wears"}), chunk({"content": " a hat."}))
STOP = chunk({}, "stop")
TAKEN = {"model": "qwen", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
LINES = stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n\n", b"\n")
WHOLE = Completion("<mam> wears a hat.", "stop", Usage(5, 3), "qwen")


@each_case(
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
        pytest.param(b"\xef\xbb\xbf" + stream(ROLE, *WORDS, STOP, TAKEN), id="after a byte order mark"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n", b"\r"), id="lines ended by CR"),
        pytest.param(LINES, id="no empty lines"),
        pytest.param(LINES.replace(b"data: {", b"{"), id="JSON lines"),
        pytest.param(LINES.replace(b"data: {", b"\x1e{"), id="JSON lines, each after a separator"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN) + b"\0", id="a zero byte at the end"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n\n", b"\0\n\n"), id="a zero byte in each event"),
        pytest.param(stream(ROLE, *WORDS, STOP, TAKEN).replace(b"\n\n", b"\n\n\0"), id="a zero byte after each event"),
        *[
            pytest.param(
                text + LINES.replace(b"data: {", text + b"data: {", 2),
                id=f"no empty lines, and {text.decode().strip()}",
            )
            for text in (b"data: ping\n", b"data: : OPENROUTER PROCESSING\n", b"data:\n", b"data: null\n")
        ],
        pytest.param(
            stream(*WORDS, STOP, TAKEN, end=False).replace(b"\n\n", b"\n") + b'data: {"usage": {"pro',
            id="no empty lines, lost after its end",
        ),
        pytest.param(
            stream(*(orjson.dumps(one).replace(b",", b",\ndata: ") for one in (ROLE, *WORDS, STOP, TAKEN))),
            id="data of several lines",
        ),
        pytest.param(
            stream(ROLE, *WORDS, STOP, TAKEN).replace(b"data: {", b"event: chunk\nid: 7\nretry: 5\ndata: {"),
            id="other fields",
        ),
        pytest.param(
            stream(*WORDS, STOP, TAKEN).replace(b'"delta"', b'"message"'), id="messages in place of their pieces"
        ),
        pytest.param(
            stream(WORDS[0], chunk({"content": "<mam> wears a hat."}, "stop"), TAKEN).replace(b"delta", b"message"),
            id="messages that grow",
        ),
        pytest.param(
            stream(chunk({"content": [{"type": "text", "text": "<mam> wears a hat."}]}), STOP, TAKEN),
            id="a text in parts",
        ),
        pytest.param(
            stream(*(one | {"error": {"code": 0, "message": ""}} for one in (ROLE, *WORDS, STOP)), TAKEN),
            id="an error that is none",
        ),
        pytest.param(
            stream(*WORDS, chunk({}, "stop", usage=TAKEN["usage"]), end=False) + b'data: {"usage": {"pro',
            id="lost after its end",
        ),
        pytest.param(
            orjson.dumps(
                {"choices": [{"message": {"content": WHOLE.text}, "finish_reason": "stop"}]}
                | {"model": "qwen", "usage": TAKEN["usage"]}
            ),
            id="no stream at all",
        ),
    ],
)
def test_a_stream_makes_the_same_completion_as_a_whole_answer(body: bytes) -> None:
    assert read_answer(body) == WHOLE


def test_reasoning_alone_has_no_text_but_an_empty_text_is_one() -> None:
    assert read_answer(stream(ROLE, STOP)).text == ""
    for reasoning in (chunk({"reasoning_content": "Hm."}), chunk({"reasoning": "Hm."})):
        assert read_failure(stream(ROLE, reasoning, STOP, TAKEN)).code == "only_reasoning"
        assert read_answer(stream(ROLE, reasoning, *WORDS, STOP)).text == WHOLE.text


def test_refusals_are_assembled() -> None:
    body = stream(chunk({"refusal": "I can't"}), chunk({"refusal": " say."}), STOP)
    assert read_answer(body).refusal == "I can't say."


def test_texts_of_any_language_and_with_line_breaks_are_kept() -> None:
    text = "<mam> 穿着\u2028一顶\x85帽子\n。"
    assert read_answer(stream(chunk({"content": text}), STOP)).text == text


@pytest.mark.parametrize("body", [b"", stream(ROLE, *WORDS, end=False), stream(end=False)])
def test_an_incomplete_stream_is_a_lost_connection(body: bytes) -> None:
    assert assemble_stream(body) is None
    assert read_failure(body).code == "connection_lost"


@each_case(
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
    assert read_answer(stream(ROLE, odd, *WORDS, STOP, TAKEN)) == WHOLE


def test_a_body_that_cannot_be_decoded_is_unchanged() -> None:
    body = stream(ROLE, b'{"choices": [{"del')
    assert assemble_stream(body) == body


@each_case("text", [b"ping", b"[done]", b"Error: upstream failed", b": comment"])
def test_a_text_among_the_events_is_ignored_if_the_answer_has_its_end(text: bytes) -> None:
    assert read_answer(stream(ROLE, text, *WORDS, STOP, TAKEN)) == WHOLE
    assert read_answer(stream(ROLE, *WORDS, STOP, TAKEN, text)) == WHOLE


@each_case(
    "text", [b"Internal failure: upstream reset", b"error: upstream connection lost, retrying", "服务 异常".encode()]
)
def test_a_message_within_the_text_of_an_answer_is_an_error(text: bytes) -> None:
    for body in (
        stream(WORDS[0], text, STOP),
        stream(*WORDS, text, STOP, TAKEN),
        stream(WORDS[0], text, WORDS[1], STOP),
    ):
        assert read_failure(body).code == "invalid_json"


@each_case("text", [b"ping", b"keep-alive", b": OPENROUTER PROCESSING"])
def test_a_sign_of_life_within_the_text_of_an_answer_is_ignored(text: bytes) -> None:
    assert read_answer(stream(WORDS[0], text, WORDS[1], STOP, TAKEN)) == WHOLE


@each_case("reason", ["null", "FINISH_REASON_UNSPECIFIED"])
def test_an_unknown_reason_in_each_piece_is_no_end(reason: str) -> None:
    pieces = [chunk({"content": f"<mam> has hat {number}."}, reason) for number in range(3)]
    assert read_failure(stream(*pieces, end=False)).code == "connection_lost"
    assert read_answer(stream(*pieces)).finish_reason == "stop"
    assert read_answer(stream(*pieces, STOP, end=False)).finish_reason == "stop"


def test_a_text_in_place_of_the_end_of_an_answer_is_an_error() -> None:
    decision = read_failure(stream(ROLE, *WORDS, b"Error: upstream failed"))
    assert decision.code == "invalid_json"


def test_no_part_of_an_answer_is_ignored() -> None:
    lost_prefix = stream(ROLE, *WORDS, STOP, TAKEN).replace(b"data: {", b"{")
    assert read_answer(lost_prefix) == WHOLE
    for part in (b'{"choices": [{"del', b'ices": [{"delta": {"content": " red"}}]}'):
        damaged = stream(ROLE, WORDS[0], part, *WORDS[1:], STOP)
        assert read_failure(damaged).code == "invalid_json"
        assert read_failure(damaged.replace(b"\n\n", b"\n")).code == "invalid_json"


@each_case(
    ("code", "action", "decided"),
    [
        (503, RetryAction.WAIT, "http_503"),
        (429, RetryAction.WAIT, "http_429"),
        ("429", RetryAction.WAIT, "http_429"),
        (500, RetryAction.RETRY, "http_500"),
        (400, RetryAction.RETRY, "error_in_200"),  # older vLLM versions report all streamed errors so
        (401, RetryAction.STOP, "wrong_key"),
        (None, RetryAction.RETRY, "error_in_200"),
        ("overloaded", RetryAction.WAIT, "error_in_200"),
        (200, RetryAction.RETRY, "error_in_200"),
    ],
)
def test_an_error_in_a_stream_is_classified_as_what_it_names(code: object, action: RetryAction, decided: str) -> None:
    error = {"error": {"message": "The engine is gone.", "code": code}}
    body = stream(ROLE, error)
    assert assemble_stream(body) == error
    decision = read_failure(body)
    assert (decision.action, decision.code) == (action, decided)
    assert "The engine is gone" in decision.message


@each_case("end", [True, False])
@each_case(
    ("event", "action", "code", "said"),
    [
        (
            b'event: error\ndata: {"code":"Throttling","message":"Too fast","request_id":"1"}\n\n',
            RetryAction.WAIT,
            "error_in_200",
            "Too fast",
        ),
        (
            b'data: {"object":"error","message":"It broke.","type":"InternalServerError","code":500}\n\n',
            RetryAction.RETRY,
            "http_500",
            "It broke",
        ),
        (b'data: {"detail":"It broke"}\n\n', RetryAction.RETRY, "error_in_200", "It broke"),
        (b"event: error\ndata: It broke\n\n", RetryAction.RETRY, "error_in_200", "It broke"),
        (b'data: {"code":"InvalidApiKey","message":"Invalid API-key"}\n\n', RetryAction.STOP, "wrong_key", "Invalid"),
    ],
)
def test_an_error_in_a_stream_needs_no_member_of_its_own(
    event: bytes, action: RetryAction, code: str, said: str, end: bool
) -> None:
    decision = read_failure(stream(ROLE, end=False) + event + (b"data: [DONE]\n\n" if end else b""))
    assert (decision.action, decision.code) == (action, code)
    assert said in decision.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"message": "x", "code": "insufficient_quota"}}', "no_quota"),
        (b"<html><body>Log in</body></html>", "not_an_api"),
        (b"data: Error: upstream timed out\n\n", "invalid_json"),
        (b'<html><script>\n{"a": 1}\n</script><body>Log in</body></html>', "not_an_api"),
        (b'<!DOCTYPE html>\n{"a": 1}', "not_an_api"),
    ],
)
def test_a_body_that_is_no_stream_is_read_as_what_it_is(body: bytes, code: str) -> None:
    assert read_failure(body).code == code


@each_case(
    "body",
    [
        b'[{"error": {"message": "no healthy upstream", "code": 500}}]',
        b'\xef\xbb\xbf\n[{"error": {"message": "no healthy upstream"}}]\n',
        b'{"error":\n{"message": "no healthy upstream"}}',
        b"no healthy upstream",
        b"Sorry:\nno healthy upstream\n",
    ],
)
def test_the_words_of_a_body_that_is_no_stream_are_quoted(body: bytes) -> None:
    assert "no healthy upstream" in read_failure(body).message


def test_deep_values_in_a_stream_are_read() -> None:
    deep = b'{"a": ' * 300 + b"1" + b"}" * 300
    assert read_failure(b'data: {"error": %b}\n\n' % deep).code == "error_in_200"
    last = orjson.dumps(chunk({"content": "<mam> sits."}, "stop"))[:-1] + b', "x": %b}' % deep
    assert read_answer(stream(last)).text == "<mam> sits."


def test_an_error_in_the_last_choice_of_a_stream_is_found() -> None:
    last = chunk({"content": ""}, "error") | {
        "choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 502}}]
    }
    assert read_failure(stream(ROLE, *WORDS, last)).code == "http_502"

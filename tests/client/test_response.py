"""Reading the body of a response with status 200."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.response import read_completion, restore_answer
from persqa_client.types import Completion, RetryAction, Usage
from tests.client.attempts import FRESH, read_answer, read_refusal
from tests.support.cases import each_case


def body(message: object, finish_reason: object = "stop", **fields: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


def test_all_fields_of_a_completion_are_read() -> None:
    data = body({"content": "<mam> smiles"}, model="qwen", usage={"prompt_tokens": 7, "completion_tokens": 3})
    assert read_answer(data) == Completion("<mam> smiles", "stop", Usage(7, 3), "qwen", None)


@each_case(
    ("data", "code"),
    [
        pytest.param(b"", "invalid_json", id="empty"),
        pytest.param(b'{"choices": [{"mess', "invalid_json", id="cut JSON"),
        pytest.param(b"<html><body>It works!</body></html>", "not_an_api", id="a page"),
        pytest.param(b"\xff\xfe", "invalid_json", id="no text"),
        pytest.param(b"[]", "invalid_json", id="a list"),
        pytest.param(b"{}", "no_choices", id="an empty object"),
        pytest.param(b'{"choices": []}', "no_choices", id="no choices"),
        pytest.param(b'{"choices": null}', "no_choices", id="null choices"),
        pytest.param(b'{"choices": [null]}', "no_choices", id="a null choice"),
        pytest.param(body({"content": None}), "no_content", id="content is null"),
        pytest.param(body({"content": None, "refusal": ""}), "no_content", id="content is null, refusal empty"),
        pytest.param(body(None), "no_content", id="no message"),
        pytest.param(b'{"error": {"message": "upstream died"}}', "error_in_200", id="an error"),
        pytest.param(body({"content": "half"}, error={"message": "x"}), "error_in_200", id="an error beside a text"),
    ],
)
def test_a_200_without_a_completion_is_retried(data: bytes, code: str) -> None:
    decision = read_refusal(data)
    assert (decision.action, decision.code) == (RetryAction.RETRY, code)
    assert decision.message.endswith(".")


def test_the_error_in_a_200_is_quoted() -> None:
    assert "upstream died" in read_refusal(b'{"error": {"message": "upstream died"}}').message


@each_case(
    "error",
    [
        {"code": 0, "message": ""},
        {"code": 0, "message": "x"},
        {"code": "0", "message": "success"},
        {"message": "Success"},
        {"code": 7, "message": ""},
        {"code": None},
        False,
        "",
    ],
)
def test_an_error_beside_an_answer_needs_a_message_and_a_code(error: object) -> None:
    assert read_answer(body({"content": "x"}, error=error)).text == "x"
    choice = {"message": {"content": "x"}, "finish_reason": "stop", "error": error}
    assert read_answer(orjson.dumps({"choices": [choice]})).text == "x"


def test_json_may_begin_with_a_byte_order_mark() -> None:
    assert read_answer(b"\xef\xbb\xbf" + body({"content": "x"})).text == "x"


def test_a_deep_error_is_read() -> None:
    deep = b'{"a": ' * 300 + b"1" + b"}" * 300
    assert read_refusal(b'{"choices": [{"error": %b}]}' % deep).code == "error_in_200"


@pytest.mark.parametrize(
    ("number", "message", "action", "code"),
    [
        (1008, "insufficient balance", RetryAction.STOP, "no_credit"),
        (1004, "login fail: Please carry the API secret key", RetryAction.STOP, "wrong_key"),
        (1002, "rate limit exceeded(RPM)", RetryAction.WAIT, "error_in_200"),
        (1000, "unknown error", RetryAction.RETRY, "error_in_200"),
    ],
)
def test_the_code_of_minimax_is_an_error(number: int, message: str, action: RetryAction, code: str) -> None:
    decision = read_refusal(
        orjson.dumps({"choices": None, "base_resp": {"status_code": number, "status_msg": message}})
    )
    assert (decision.action, decision.code) == (action, code)
    assert message in decision.message


def test_the_code_of_a_success_is_no_error() -> None:
    assert read_answer(body({"content": "x"}, base_resp={"status_code": 0, "status_msg": ""})).text == "x"


def test_a_null_error_is_no_error() -> None:
    assert read_answer(body({"content": "x"}, error=None)).text == "x"


@pytest.mark.parametrize("finish_reason", ["content_filter", "length"])
def test_an_answer_that_was_cut_or_filtered_is_a_completion(finish_reason: str) -> None:
    assert read_answer(body({"content": None}, finish_reason)) == Completion("", finish_reason)


def test_a_refusal_is_a_completion() -> None:
    completion = read_answer(body({"content": None, "refusal": "I can't."}))
    assert (completion.text, completion.refusal) == ("", "I can't.")


def test_an_empty_text_is_a_completion() -> None:
    assert read_answer(body({"content": ""})).text == ""


def test_a_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "<mam> "}, {"type": "image"}, None, {"text": "smiles"}, {"text": 3}]
    assert read_answer(body({"content": parts})).text == "<mam> smiles"


def test_reasoning_among_the_parts_is_no_answer() -> None:
    thoughts = [{"type": "reasoning", "text": "Hm. "}, {"text": "Hm. ", "thought": True}, {"type": [], "text": ""}]
    assert read_answer(body({"content": [*thoughts, {"type": "text", "text": "<mam> smiles"}]})).text == "<mam> smiles"
    assert read_answer(body({"content": {"type": "text", "text": "<mam> smiles"}})).text == "<mam> smiles"


@each_case(
    ("sent", "text", "reason"),
    [
        ("stop", "<mam> wears", "stop"),
        ("STOP", "<mam> wears", "stop"),
        ("FinishReason.STOP", "<mam> wears", "stop"),
        ("end_turn", "<mam> wears", "stop"),
        ("Completed", "<mam> wears", "stop"),
        ("eos_token", "<mam> wears", "stop"),
        ("MAX_TOKENS", "<mam> wears a hat.", "length"),
        ("FinishReason.SAFETY", "", "content_filter"),
        (None, "<mam> wears a hat.", "stop"),
        ("", "<mam> 戴着帽子。", "stop"),
        (None, '{"answer": "<mam> wears a hat."}', "stop"),
        ("whatever", "<mam> wears a hat.", "stop"),
        (None, "<mam> wears", None),
        ("", "<mam> wears", None),
        ("whatever", "<mam> wears", "whatever"),
        ("tool_calls", "<mam> wears a hat.", "tool_calls"),
    ],
)
def test_finish_reasons_are_put_into_the_words_of_openai(sent: str | None, text: str, reason: str | None) -> None:
    completion = read_answer(body({"content": text}, sent))
    assert completion.finish_reason == reason
    assert (completion.sent_finish_reason or completion.finish_reason) == (sent or reason)


@pytest.mark.parametrize(
    "reason", ["error", "abort", "network_error", "FinishReason.ERROR", "insufficient_system_resource"]
)
def test_an_answer_that_the_server_broke_off_is_retried_and_its_tokens_counted(reason: str) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    decision = read_refusal(body({"content": "<mam> wears a hat."}, reason, usage=usage))
    assert (decision.action, decision.code, decision.usage) == (RetryAction.RETRY, "aborted", Usage(7, 3))
    assert reason in decision.message


@each_case("content", [None, ""])
@each_case(
    "thoughts",
    [{"reasoning_content": "Hm."}, {"reasoning": "Hm."}, {"reasoning_details": [{"type": "text", "text": "Hm."}]}],
)
def test_reasoning_without_a_text_is_retried_and_its_tokens_counted(
    content: str | None, thoughts: dict[str, Any]
) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 300}
    decision = read_refusal(body({"content": content, **thoughts}, usage=usage))
    assert (decision.action, decision.code, decision.usage) == (RetryAction.RETRY, "only_reasoning", Usage(7, 300))


@each_case(
    ("message", "usage", "tokens"),
    [
        pytest.param({"content": "<mam> sits."}, {"completion_tokens": 9}, 0, id="none"),
        pytest.param(
            {"content": ""},
            {"completion_tokens": 512, "completion_tokens_details": {"reasoning_tokens": 512}},
            512,
            id="counted",
        ),
        pytest.param({"content": ""}, {"completion_tokens": 512}, 512, id="no text, and nothing else said"),
        pytest.param({"content": None, "reasoning": "Hm."}, {}, 1, id="shown, not counted"),
        pytest.param(
            {"content": "<mam> sits.", "reasoning": "Hm. " * 50}, {"completion_tokens": 100}, 94, id="a share"
        ),
        pytest.param(
            {"content": "<mam> s"},
            {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 500},
            478,
            id="in the total alone",
        ),
    ],
)
def test_tokens_that_are_not_in_the_text_are_counted(message: object, usage: object, tokens: int) -> None:
    assert read_answer(body(message, "length", usage=usage)).reasoning_tokens == tokens


@each_case(
    ("error", "action", "code"),
    [
        ({"message": "x", "code": 503}, RetryAction.WAIT, "error_in_200"),
        ({"message": "x", "type": "rate_limit_error"}, RetryAction.WAIT, "error_in_200"),
        ({"message": "Please try again later."}, RetryAction.RETRY, "error_in_200"),
        ({"message": "Please try again in 5 s."}, RetryAction.WAIT, "error_in_200"),
        ({"message": "x", "code": 500}, RetryAction.RETRY, "error_in_200"),
        ({"message": "x", "code": "insufficient_quota"}, RetryAction.STOP, "no_quota"),
        ({"message": "x", "code": 401}, RetryAction.STOP, "wrong_key"),
        ({"message": "The image is torn", "code": 400}, RetryAction.FAIL, "rejected"),
    ],
)
def test_an_error_in_a_200_is_what_it_names(error: object, action: RetryAction, code: str) -> None:
    for data in (
        orjson.dumps({"error": error}),
        body({"content": "<mam>"}, "error", error=error),
        orjson.dumps({"choices": [{"message": {"content": "<mam>"}, "finish_reason": "error", "error": error}]}),
    ):
        decision = read_refusal(data)
        assert (decision.action, decision.code) == (action, code)


@pytest.mark.parametrize(
    "data",
    [
        b'{"detail": "gone"}',
        b'{"object": "error", "message": "gone"}',
        b'{"code": 500, "msg": "gone"}',
        b'{"code": "Gone", "message": "gone"}',
        b'{"success": false, "code": 40003, "msg": "gone"}',
    ],
)
def test_an_error_in_a_200_needs_no_member_of_its_own(data: bytes) -> None:
    decision = read_refusal(data)
    assert decision.code == "error_in_200"
    assert "gone" in decision.message


@pytest.mark.parametrize("usage", [None, [], {}, {"prompt_tokens": "7"}])
def test_missing_token_counts_are_zero(usage: object) -> None:
    assert read_answer(body({"content": "x"}, usage=usage)).usage == Usage()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(content=JSON, refusal=JSON, finish_reason=JSON, usage=JSON, model=JSON)
def test_any_json_is_a_completion_or_a_decision(
    content: object, refusal: object, finish_reason: object, usage: object, model: object
) -> None:
    message = {"content": content, "refusal": refusal}
    choice = {"message": message, "finish_reason": finish_reason}
    data = json.dumps({"choices": [choice], "usage": usage, "model": model}).encode()
    completion = read_completion(data, FRESH)
    if isinstance(completion, Completion):
        assert isinstance(completion.text, str)
        assert completion.finish_reason is None or isinstance(completion.finish_reason, str)


@each_case(
    ("completion", "wrapped", "prefix", "text"),
    [
        pytest.param(Completion("<mam> sits.", "stop"), False, None, "<mam> sits.", id="as it is"),
        pytest.param(Completion('{"answer": "<mam> sits."}', "stop"), True, None, "<mam> sits.", id="out of JSON"),
        pytest.param(Completion('{"answer": "a"}', "stop"), False, None, '{"answer": "a"}', id="JSON not asked for"),
        pytest.param(Completion('{"answer": "<mam> s', "length"), True, None, '{"answer": "<mam> s', id="cut off"),
        pytest.param(Completion(" sits.", "stop"), False, "<mam>", "<mam> sits.", id="its prefill put before it"),
        pytest.param(Completion("", "stop", refusal="No."), False, "<mam>", "", id="a refusal has no prefill"),
    ],
)
def test_the_whole_answer_is_restored(completion: Completion, wrapped: bool, prefix: str | None, text: str) -> None:
    assert restore_answer(completion, wrapped=wrapped, prefix=prefix).text == text

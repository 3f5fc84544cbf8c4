"""Reading the body of a response with status 200."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.response import read_completion, restore_answer
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, RetryAction, Usage


def body(message: object, finish_reason: object = "stop", **fields: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


def test_all_fields_of_a_completion_are_read() -> None:
    data = body({"content": "<mam> smiles"}, model="qwen", usage={"prompt_tokens": 7, "completion_tokens": 3})
    assert read_completion(data) == Completion("<mam> smiles", "stop", Usage(7, 3), "qwen", None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "invalid_json", id="empty"),
        pytest.param(b'{"choices": [{"mess', "invalid_json", id="cut JSON"),
        pytest.param(b"<html><body>It works!</body></html>", "invalid_json", id="a page"),
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
    with pytest.raises(AttemptError) as caught:
        read_completion(data)
    assert (caught.value.decision.action, caught.value.decision.code) == (RetryAction.RETRY, code)
    assert str(caught.value).endswith(".")


def test_the_error_in_a_200_is_quoted() -> None:
    with pytest.raises(AttemptError, match="upstream died"):
        read_completion(b'{"error": {"message": "upstream died"}}')


def test_a_null_error_is_no_error() -> None:
    assert read_completion(body({"content": "x"}, error=None)).text == "x"


@pytest.mark.parametrize("finish_reason", ["content_filter", "length"])
def test_an_answer_that_was_cut_or_filtered_is_a_completion(finish_reason: str) -> None:
    assert read_completion(body({"content": None}, finish_reason)) == Completion("", finish_reason)


def test_a_refusal_is_a_completion() -> None:
    completion = read_completion(body({"content": None, "refusal": "I can't."}))
    assert (completion.text, completion.refusal) == ("", "I can't.")


def test_an_empty_text_is_a_completion() -> None:
    assert read_completion(body({"content": ""})).text == ""


def test_a_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "<mam> "}, {"type": "image"}, None, {"text": "smiles"}, {"text": 3}]
    assert read_completion(body({"content": parts})).text == "<mam> smiles"


@pytest.mark.parametrize("usage", [None, [], {}, {"prompt_tokens": "7"}])
def test_missing_token_counts_are_zero(usage: object) -> None:
    assert read_completion(body({"content": "x"}, usage=usage)).usage == Usage()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(content=JSON, refusal=JSON, finish_reason=JSON, usage=JSON, model=JSON)
def test_any_json_is_a_completion_or_an_attempt_error(
    content: object, refusal: object, finish_reason: object, usage: object, model: object
) -> None:
    message = {"content": content, "refusal": refusal}
    choice = {"message": message, "finish_reason": finish_reason}
    data = json.dumps({"choices": [choice], "usage": usage, "model": model}).encode()
    with suppress(AttemptError):
        completion = read_completion(data)
        assert isinstance(completion.text, str)
        assert completion.finish_reason is None or isinstance(completion.finish_reason, str)


@pytest.mark.parametrize(
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

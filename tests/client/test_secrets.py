"""Keys and images do not appear in messages and logs, whatever a server echoes."""

from __future__ import annotations

import base64
import json
import random

import orjson
import pytest
import respx

from persqa_client.client.classify import classify_response
from persqa_client.client.error_body import MAX_MESSAGE_CHARS, read_error_body, redact_secrets
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.redaction import Redactor
from persqa_client.client.response import read_completion
from persqa_client.config import Sampling
from persqa_client.errors import AttemptError, RunStopped
from persqa_client.types import ErrorDecision
from tests.support.cases import each_case
from tests.support.endpoints import CHAT_URL, REQUEST, error_response, make_session

KEY = "my-Own.Key+42"
PICTURE = base64.b64encode(random.Random(1).randbytes(3000)).decode()
SMALL = base64.b64encode(b"\x89PNG small one").decode()
CONTEXT = AttemptContext("http://gpu:8000/v1", "qwen", redactor=Redactor([KEY]))


def echo(picture: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}


def judge(status: int, body: object) -> ErrorDecision:
    return classify_response(status, {}, orjson.dumps(body), CONTEXT, now=0.0)


def substrings(text: str, size: int = 12) -> set[str]:
    return {text[start : start + size] for start in range(len(text) - size)} or {text}


@each_case("picture", [PICTURE, SMALL], ids=["large", "small"])
@each_case(
    "wrap",
    [
        pytest.param(
            lambda part: {"error": {"message": f"Bad request: {json.dumps(part)}"}}, id="quoted in a sentence"
        ),
        pytest.param(lambda part: {"detail": [{"type": "value_error", "input": part}]}, id="a validation error"),
        pytest.param(lambda part: {"error": {"message": f"1 error: input_value={part!r}"}}, id="a Python repr"),
        pytest.param(lambda part: {"request": part}, id="the body itself"),
        pytest.param(lambda part: {"error": {"message": "x", "metadata": {"raw": part}}}, id="behind a gateway"),
        pytest.param(
            lambda part: {
                "error": {"message": "x", "metadata": {"raw": json.dumps({"error": {"message": str(part)}})}}
            },
            id="behind a gateway, as JSON in a string",
        ),
        pytest.param(
            lambda part: {"error": {"message": json.dumps(part).replace("/", "\\/")}}, id="JSON with escaped slashes"
        ),
    ],
)
@each_case("status", [400, 413, 422, 429, 500, 503])
def test_no_image_is_in_a_decision(status: int, wrap: object, picture: str) -> None:
    assert callable(wrap)
    decision = judge(status, wrap(echo(picture)))
    said = f"{decision.message} {decision.raw}"
    assert not any(piece in said for piece in substrings(picture))
    assert not any(piece in said for piece in substrings(picture.replace("/", "\\/")))


@each_case("status", [400, 401, 402, 403, 404, 422, 429, 500, 503])
def test_the_key_is_in_no_decision(status: int) -> None:
    decision = judge(status, {"error": {"message": f"Incorrect key provided: {KEY}. The model says no to '{KEY}'"}})
    assert KEY not in f"{decision.message} {decision.raw} {decision!r} {CONTEXT!r}"
    assert "Incorrect key" in str(decision.raw)


@each_case(
    "text",
    [
        "sk-proj-abcdefgh12345678",
        "hf_abcdefgh12345678",
        "Authorization: Bearer a.b.c",
        "sk-abcd****wxyz",
        "AIzaSyA1234567890abcdef",
        "nvapi-abcdefgh12345678",
        "eyJhbGciOi.eyJzdWIiOi.SflKxwRJSM",
    ],
)
def test_anything_that_looks_like_a_key_is_redacted(text: str) -> None:
    secret = text.split()[-1]
    assert secret not in redact_secrets(f"You sent {text} to us")
    assert redact_secrets(f"You sent {text} to us").endswith("to us")


def test_the_key_is_redacted_behind_a_gateway() -> None:
    raw = json.dumps({"error": {"message": f"Bad key {KEY}"}})
    decision = judge(400, {"error": {"message": "Provider returned error", "metadata": {"raw": raw}}})
    assert decision.raw == "Provider returned error: Bad key …"


def test_a_short_key_is_redacted_only_as_a_whole_word() -> None:
    assert redact_secrets("a bad apple", Redactor(["a"])) == "… bad apple"


def test_an_error_in_a_200_shows_neither_key_nor_image() -> None:
    body = orjson.dumps({"error": {"message": f"key {KEY} sent {json.dumps(echo(PICTURE))}"}})
    decision = read_completion(body, CONTEXT)
    assert isinstance(decision, ErrorDecision)
    said = f"{AttemptError(decision)} {decision!r}"
    assert KEY not in said
    assert not any(piece in said for piece in substrings(PICTURE))


def test_a_servers_message_becomes_one_short_line() -> None:
    words = read_error_body(orjson.dumps({"error": {"message": "first\n\n  second " + "word " * 500}})).said
    assert words.startswith("first second word")
    assert len(words) <= MAX_MESSAGE_CHARS


@each_case(
    ("body", "words"),
    [
        ({"error": {"message": "m"}}, "m"),
        ({"error": "plain"}, "plain"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"message": "gateway"}, "gateway"),
        ({"error": {"code": "overloaded"}}, "overloaded"),
        ([{"error": {"message": "in a list"}}], "in a list"),
    ],
)
def test_a_servers_message_is_found_in_every_usual_place(body: object, words: str) -> None:
    assert read_error_body(orjson.dumps(body)).said == words


async def test_a_secret_of_a_request_field_is_in_no_message(respx_mock: respx.MockRouter) -> None:
    secret = "open:sesame-street"
    respx_mock.post(CHAT_URL).mock(return_value=error_response(400, f"unknown tenant {secret}"))
    respx_mock.get(url__startswith="http://gpu.example/").respond(200)
    async with make_session(sampling=Sampling(extra_body={"tenant": {"password": secret}})) as session:
        with pytest.raises(RunStopped) as caught:
            await session.complete(REQUEST)
    assert "unknown tenant …" in str(caught.value)
    assert secret not in str(caught.value)

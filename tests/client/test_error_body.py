"""What an error body says, wherever it says it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.dialect import find_refused_field
from persqa_client.client.error_body import MAX_BODY_CHARS, ErrorBody, normalise_code, read_error_body
from tests.support.cases import each_case

NOW = 1_800_000_000.0
PAGE = (
    "<!DOCTYPE html>\n<html><head><title>No such model</title></head><body>Please try again in 5 minutes.</body></html>"
)


def read(body: object) -> ErrorBody:
    return read_error_body(body.encode() if isinstance(body, str) else orjson.dumps(body))


INNER = {"error": {"message": "The picture is torn.", "type": "TornPictureError", "code": None}}
TEXT = orjson.dumps(INNER).decode()


@each_case(
    "body",
    [
        pytest.param(INNER, id="plain"),
        pytest.param([INNER], id="in a list"),
        pytest.param({"error": INNER}, id="within an error"),
        pytest.param({"error": {"message": TEXT, "code": 400}}, id="as the message"),
        pytest.param({"error": {"message": f"From upstream: {TEXT}. Sorry"}}, id="in a sentence"),
        pytest.param({"error": {"message": "Failed", "metadata": {"raw": TEXT}}}, id="raw text"),
        pytest.param({"error": {"message": "Failed", "metadata": {"raw": INNER}}}, id="raw object"),
        pytest.param({"error": {"message": "Failed", "innererror": INNER["error"]}}, id="inner error"),
        pytest.param({"error": {"message": "Failed", "details": [{"x": 1}, INNER["error"]]}}, id="in details"),
    ],
)
def test_the_innermost_reason_is_found(body: object) -> None:
    error = read(body)
    assert "The picture is torn." in error.words
    assert "The picture is torn" in error.said
    assert "torn_picture_error" in error.codes


def test_a_generic_message_stands_before_the_reason_and_nothing_is_said_twice() -> None:
    raw = orjson.dumps({"error": {"message": "8000 pixels at most"}}).decode()
    body = {
        "error": {"message": "Provider returned error", "metadata": {"raw": raw}},
        "message": "Provider returned error",
    }
    assert read(body).said == "Provider returned error: 8000 pixels at most"


def test_a_validation_error_names_the_field() -> None:
    assert read({"detail": [{"loc": ["body", "seed"], "msg": "Not permitted", "input": "x" * 9}]}).said == (
        "body.seed: Not permitted"
    )


def test_the_request_in_an_error_is_not_read() -> None:
    error = read({"error": {"message": "m", "input": {"code": "insufficient_quota", "message": "credit balance"}}})
    assert error.codes == frozenset()
    assert error.words == "m"


@each_case(
    "body",
    [
        "",
        " ",
        PAGE,
        "Not Found",
        "404 page not found",
        {"detail": "Not Found"},
        {"error": {"message": "Forbidden"}},
        {},
    ],
)
def test_a_body_without_a_reason_is_bare(body: object) -> None:
    assert read(body).is_bare


@pytest.mark.parametrize(
    "body", ["upstream is gone", {"detail": "模型不存在"}, {"error": {"message": "Not found: qwen"}}]
)
def test_a_body_with_a_reason_is_not_bare(body: object) -> None:
    assert not read(body).is_bare


@each_case(
    ("body", "seconds"),
    [
        pytest.param({"error": {"message": "Please try again in 7m12s."}}, 432.0, id="minutes and seconds"),
        pytest.param({"error": {"message": "Please retry after 26 seconds."}}, 26.0, id="Azure"),
        pytest.param({"error": {"message": "Please retry in 30.638054576s."}}, 30.638054576, id="Gemini"),
        pytest.param({"error": {"message": "try again in 6ms"}}, 0.006, id="milliseconds"),
        *[
            pytest.param({"error": {"message": f"Please retry in 500 {unit}."}}, 0.5, id=unit)
            for unit in ("milliseconds", "millisecond", "msec", "msecs", "millis", "MS")
        ],
        pytest.param({"error": {"retry_delay": "1m500ms"}}, 60.5, id="minutes and milliseconds"),
        pytest.param({"error": {"message": "Please wait for 2 minutes"}}, 120.0, id="minutes"),
        pytest.param({"error": {"details": [{"retryDelay": "40s"}]}}, 40.0, id="a field with a unit"),
        pytest.param({"error": "loading", "estimated_time": 20.5}, 20.5, id="a field with a number"),
        pytest.param(
            {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000060000"}}},
            60.0,
            id="reset",
        ),
        pytest.param(
            {"metadata": {"headers": {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1800000060000"}}},
            None,
            id="left",
        ),
        pytest.param({"error": {"message": "Please try again later."}}, None, id="no time"),
        pytest.param({"error": {"message": "Try again in a moment."}}, None, id="no number"),
        pytest.param({"retry_after": True}, None, id="no number in the field"),
    ],
)
def test_the_time_to_come_back_is_read(body: object, seconds: float | None) -> None:
    assert read(body).find_retry_after(NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "code",
    ["rate_limit_exceeded", "RateLimitExceeded", "rateLimitExceeded", "RATE_LIMIT-exceeded", "rate.limit.exceeded "],
)
def test_the_spellings_of_a_code_are_one(code: str) -> None:
    assert normalise_code(code) == "rate_limit_exceeded"


@pytest.mark.parametrize(("code", "status"), [(503, 503), ("429", 429), (200, None), (40001, None), (True, None)])
def test_the_status_that_an_error_names_is_found(code: object, status: int | None) -> None:
    assert read({"error": {"message": "m", "code": code}}).named_status == status


def test_deep_and_wide_bodies_are_read_in_part() -> None:
    deep: dict[str, Any] = {"message": "the deepest"}
    for _ in range(200):
        deep = {"error": deep}
    assert "the deepest" not in read(deep).words
    assert len(read({"errors": [{"message": str(number)} for number in range(5000)]}).texts) < 100


PICTURE = "data:image/jpeg;base64," + "iVBORw0KGgo/" * 125_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"error": {"message": f"Bad request: {{'url': '{PICTURE}'}} The picture is torn."}}, id="message"),
        pytest.param(f"Bad request: {PICTURE} The picture is torn.", id="text"),
        pytest.param({"errors": [{"message": f"{n} {PICTURE} The picture is torn."} for n in range(3)]}, id="list"),
    ],
)
def test_a_request_that_is_repeated_is_cut_out_of_the_texts(body: object) -> None:
    error = read(body)
    assert sum(map(len, error.texts)) < 1000
    assert "The picture is torn" in error.words
    assert "The picture is torn" in error.said


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    error = read({"error": {"message": f"First this. {'And so on. ' * 100_000}Then that."}})
    assert len(error.texts[0]) <= MAX_BODY_CHARS + 3
    assert error.texts[0].startswith("First this.")
    assert error.texts[0].endswith("Then that.")


def test_many_long_texts_are_read_in_part() -> None:
    error = read({"errors": [{"message": f"{n} {'and so on, ' * 1500}"} for n in range(90)]})
    assert sum(map(len, error.texts)) < 2 * MAX_BODY_CHARS


def nest(levels: int) -> str:
    return '{"a": ' * levels + "1" + "}" * levels


@each_case(
    "body",
    [
        pytest.param({"error": {"message": f'bad {{"n": {"9" * 5000}}}'}}, id="a long number in a message"),
        pytest.param({"error": {"message": "bad", "code": "9" * 5000}}, id="a long number as code"),
        pytest.param({"error": {"message": "bad", "code": "²"}}, id="a digit that is no number"),
        pytest.param(f'{{"error": {{"message": "bad", "code": {nest(1000)}}}}}', id="a deep code"),
        pytest.param(
            f'{{"error": {{"message": "bad", "param": {nest(1000)}, "loc": {nest(1000)}}}}}', id="a deep parameter"
        ),
        pytest.param(f'{{"loc": [{nest(1000)}], "msg": "bad"}}', id="a deep place"),
    ],
)
def test_odd_values_are_no_reason_to_fail(body: object) -> None:
    error = read(body)
    assert "bad" in error.said
    assert error.named_status is None
    assert find_refused_field(error, {"seed"}) is None


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    error = read('\ufeff{"error": {"message": "bad", "code": "x"}}')
    assert (error.is_json, error.codes, error.said) == (True, frozenset({"x"}), "bad")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "raw", "code", "status", "retry_after", "loc", "msg", "headers"]
            ),
            inner | inner.map(lambda value: orjson.dumps(value).decode()),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read(body: object) -> None:
    error = read(body)
    seconds = error.find_retry_after(NOW)
    assert seconds is None or seconds >= 0
    assert isinstance(error.said, str)

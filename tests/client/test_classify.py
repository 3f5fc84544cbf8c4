"""The table "Trying again" for replies and faults: what came back, and what it means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, formatdate
from typing import Any, get_args

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from persqa_client.client.classify import (
    UNREACHABLE_CODES,
    AttemptContext,
    TransportFault,
    classify_response,
    classify_transport_error,
    parse_retry_after,
)
from persqa_client.types import ErrorDecision, RetryAction

NOW = 1_800_000_000.0
FRESH = AttemptContext("http://gpu:8000/v1", "qwen", timeout=7.0)
PROVEN = replace(FRESH, has_answered=True)
PAGE = (
    "<html>\n<head><title>Oops</title><style>p {color: red}</style></head><body><h1>Bad &amp; broken</h1></body></html>"
)


def reply(status: int, body: object = None, context: AttemptContext = FRESH, **headers: str) -> ErrorDecision:
    data = body.encode() if isinstance(body, str) else orjson.dumps(body if body is not None else {})
    return classify_response(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, data, context, now=NOW
    )


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}


@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@pytest.mark.parametrize("status", [429, 503, 408, 409, 425])
def test_pressure_is_waited_out(status: int, context: AttemptContext) -> None:
    verdict = reply(status, error("come back later"), context)
    assert (verdict.action, verdict.code, verdict.retry_after) == (RetryAction.WAIT, f"http_{status}", None)
    assert "come back later" in verdict.message


@pytest.mark.parametrize("status", [429, 503, 408, 409, 425])
def test_pressure_carries_the_time_that_the_server_names(status: int) -> None:
    assert reply(status, retry_after="3").retry_after == 3.0


@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@pytest.mark.parametrize("status", [500, 501, 502, 504, *range(520, 530)])
def test_a_server_that_fails_is_tried_again(status: int, context: AttemptContext) -> None:
    assert reply(status, error("boom"), context).action is RetryAction.RETRY


@pytest.mark.parametrize("status", [502, 504, 520])
def test_a_proxys_page_is_told_without_its_markup(status: int) -> None:
    verdict = reply(status, PAGE)
    assert verdict.action is RetryAction.RETRY
    assert verdict.raw == "Oops Bad & broken"


def test_a_page_before_a_busy_server_is_pressure() -> None:
    assert reply(503, PAGE).action is RetryAction.WAIT


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        pytest.param(400, error("Failed to load image"), "rejected", id="400"),
        pytest.param(413, "", "too_large", id="413"),
        pytest.param(422, {"detail": "can't be processed"}, "rejected", id="422"),
        pytest.param(400, error("This model's maximum context length is 8192 tokens."), "context_overflow", id="long"),
        pytest.param(400, error("too long", code="context_length_exceeded"), "context_overflow", id="long by code"),
        pytest.param(400, error("At most 4 image(s) may be provided in one prompt."), "too_many_images", id="images"),
        pytest.param(400, error("Too many.", param="image"), "too_many_images", id="images by parameter"),
        pytest.param(
            500,
            error("Cannot load local files without `--allowed-local-media-path`."),
            "rejected",
            id="500 with a permanent message",
        ),
    ],
)
@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_a_refused_row_fails_at_once(status: int, body: object, code: str, context: AttemptContext) -> None:
    verdict = reply(status, body, context)
    assert (verdict.action, verdict.code) == (RetryAction.FAIL, code)


@pytest.mark.parametrize(
    ("status", "body", "code", "advice"),
    [
        pytest.param(401, {"error": "Unauthorized"}, "wrong_key", "--api-key-env", id="401"),
        pytest.param(402, error("No balance."), "no_credit", "No balance", id="402"),
        pytest.param(404, error("The model `qwen` does not exist."), "unknown_model", "--model", id="unknown model"),
        pytest.param(404, {"detail": "Not Found"}, "wrong_url", "--base-url", id="wrong address"),
        pytest.param(405, {"detail": "Method Not Allowed"}, "wrong_url", "--base-url", id="405"),
        pytest.param(429, error("Pay.", code="insufficient_quota"), "no_quota", "quota", id="quota by code"),
        pytest.param(429, error("Pay.", type="insufficient_quota"), "no_quota", "quota", id="quota by type"),
        pytest.param(307, "", "redirected", "--base-url", id="redirect"),
    ],
)
@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_what_every_row_would_meet_stops_the_run(
    status: int, body: object, code: str, advice: str, context: AttemptContext
) -> None:
    verdict = reply(status, body, context)
    assert (verdict.action, verdict.code) == (RetryAction.STOP, code)
    assert advice in verdict.message


def test_forbidden_stops_the_run_before_the_first_answer_and_fails_a_row_after_it() -> None:
    assert reply(403, error("no"), FRESH).action is RetryAction.STOP
    assert reply(403, error("no"), FRESH).code == "forbidden"
    assert reply(403, error("no"), PROVEN).action is RetryAction.FAIL


def test_a_refused_key_is_told_from_a_missing_one() -> None:
    assert "none was sent" in reply(401).message
    assert "wrong or expired" in reply(401, context=replace(FRESH, key="k")).message


def test_an_address_without_v1_is_told_the_one_with_it() -> None:
    bare = replace(FRESH, base_url="http://gpu:8000")
    assert "did you mean --base-url http://gpu:8000/v1?" in reply(404, {"detail": "Not Found"}, bare).message
    assert "did you mean" not in reply(404, {"detail": "Not Found"}, FRESH).message


@pytest.mark.parametrize("status", [404, 405])
def test_the_address_of_the_chat_is_told_the_one_without_it(status: int) -> None:
    whole = replace(FRESH, base_url="http://gpu:8000/v1/chat/completions")
    assert "did you mean --base-url http://gpu:8000/v1?" in reply(status, {"detail": "Not Found"}, whole).message


def test_a_redirect_names_its_target_without_what_is_behind_the_question_mark() -> None:
    message = reply(302, location="https://login.example/start?token=abc").message
    assert "https://login.example/start" in message
    assert "token" not in message


@pytest.mark.parametrize("words", ["EngineCore encountered an issue.", "EngineDeadError: see above"])
def test_a_dead_engine_is_a_server_that_is_away(words: str) -> None:
    assert reply(500, error(words)).action is RetryAction.AWAIT_RECOVERY


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        pytest.param(400, error("no", code="unsupported_parameter", param="max_tokens"), "max_tokens", id="OpenAI"),
        pytest.param(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, "seed", id="FastAPI"),
        pytest.param(400, [error("Unknown name: seed")], "seed", id="an error within a list"),
    ],
)
def test_a_parameter_that_the_server_names_is_a_dialect(status: int, body: object, field: str) -> None:
    verdict = reply(status, body)
    assert (verdict.action, verdict.parameter) == (RetryAction.ADAPT, field)


@pytest.mark.parametrize("status", [413, 500, 404])
def test_only_400_and_422_speak_of_dialects(status: int) -> None:
    assert reply(status, error("Unsupported parameter: 'seed'", param="seed")).action is not RetryAction.ADAPT


@pytest.mark.parametrize(
    ("fault", "fresh", "later"),
    [
        ("timeout", RetryAction.RETRY, RetryAction.RETRY),
        ("reset", RetryAction.RETRY, RetryAction.RETRY),
        ("refused", RetryAction.STOP, RetryAction.AWAIT_RECOVERY),
        ("dns", RetryAction.STOP, RetryAction.AWAIT_RECOVERY),
        ("tls", RetryAction.STOP, RetryAction.RETRY),
        ("proxy", RetryAction.STOP, RetryAction.RETRY),
        ("url", RetryAction.STOP, RetryAction.STOP),
    ],
)
def test_a_fault_is_judged_by_whether_the_server_ever_answered(
    fault: TransportFault, fresh: RetryAction, later: RetryAction
) -> None:
    assert classify_transport_error(fault, "detail", FRESH).action is fresh
    assert classify_transport_error(fault, "detail", PROVEN).action is later


def test_each_fault_has_one_sentence() -> None:
    for fault in get_args(TransportFault):
        message = classify_transport_error(fault, "detail", FRESH).message
        assert message.endswith(".")
        assert len(message) > 20


def test_a_time_out_names_its_setting() -> None:
    assert classify_transport_error("timeout", "", FRESH).message == "No answer within 7 s (--timeout)."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "2"}, 2.0, id="seconds"),
        pytest.param({"retry-after": "0.25"}, 0.25, id="a fraction"),
        pytest.param({"retry-after": "0"}, 0.0, id="at once"),
        pytest.param({"retry-after": "-5"}, 0.0, id="negative"),
        pytest.param({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, id="milliseconds first"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "9"}, 9.0, id="milliseconds that are none"),
        pytest.param({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0, id="a date"),
        pytest.param({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0, id="a date gone by"),
        pytest.param({"retry-after": "soon"}, None, id="a word"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "inf"}, None, id="for ever"),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW) == seconds


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=ZONES))
def test_a_date_of_any_zone_gives_the_seconds_until_then(when: datetime) -> None:
    seconds = parse_retry_after({"retry-after": format_datetime(when)}, NOW)
    assert seconds == max(0.0, when.replace(microsecond=0).timestamp() - NOW)


@pytest.mark.parametrize(
    ("verdict", "distant"),
    [
        *(pytest.param(reply(status), True, id=str(status)) for status in (502, 504, *range(520, 530))),
        pytest.param(classify_transport_error("reset", "", PROVEN), True, id="reset"),
        pytest.param(reply(500), False, id="500"),
        pytest.param(reply(501), False, id="501"),
        pytest.param(classify_transport_error("timeout", "", PROVEN), False, id="time-out"),
    ],
)
def test_what_a_proxy_says_for_a_server_that_is_away(verdict: ErrorDecision, distant: bool) -> None:
    assert (verdict.action, verdict.code in UNREACHABLE_CODES) == (RetryAction.RETRY, distant)


@given(st.text(max_size=60))
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
def test_no_retry_after_can_break_a_run(value: str) -> None:
    seconds = parse_retry_after({"retry-after": value, "retry-after-ms": value}, NOW)
    assert seconds is None or 0 <= seconds < 1e12


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "type", "param", "loc"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.integers(300, 599), JSON)
def test_every_error_body_gets_a_verdict(status: int, body: object) -> None:
    """Whatever a server sends, the run gets a sentence and goes on by the table."""
    verdict = reply(status, json.dumps(body))
    assert verdict.message.endswith(".")
    assert verdict.code


@given(st.integers(300, 599), st.binary(max_size=200))
def test_bytes_that_are_no_json_get_a_verdict(status: int, body: bytes) -> None:
    assert classify_response(status, {}, body, FRESH, now=NOW).message.endswith(".")

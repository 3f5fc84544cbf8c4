"""The decisions on responses and transport faults."""

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
def test_a_busy_server_is_waited_for(status: int, context: AttemptContext) -> None:
    decision = reply(status, error("come back later"), context)
    assert (decision.action, decision.code, decision.retry_after) == (RetryAction.WAIT, f"http_{status}", None)
    assert "come back later" in decision.message


@pytest.mark.parametrize("status", [429, 503, 408, 409, 425])
def test_the_wait_is_that_of_retry_after(status: int) -> None:
    assert reply(status, retry_after="3").retry_after == 3.0


@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@pytest.mark.parametrize("status", [500, 501, 502, 504, *range(520, 530)])
def test_server_errors_are_retried(status: int, context: AttemptContext) -> None:
    assert reply(status, error("boom"), context).action is RetryAction.RETRY


@pytest.mark.parametrize("status", [502, 504, 520])
def test_the_markup_of_an_error_page_is_removed(status: int) -> None:
    decision = reply(status, PAGE)
    assert decision.action is RetryAction.RETRY
    assert decision.raw == "Oops Bad & broken"


def test_a_503_page_of_a_proxy_is_waited_for() -> None:
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
def test_a_rejected_row_fails_at_once(status: int, body: object, code: str, context: AttemptContext) -> None:
    decision = reply(status, body, context)
    assert (decision.action, decision.code) == (RetryAction.FAIL, code)


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
def test_errors_of_every_row_stop_the_run(
    status: int, body: object, code: str, advice: str, context: AttemptContext
) -> None:
    decision = reply(status, body, context)
    assert (decision.action, decision.code) == (RetryAction.STOP, code)
    assert advice in decision.message


def test_403_stops_the_run_before_the_first_answer_and_fails_a_row_afterwards() -> None:
    assert reply(403, error("no"), FRESH).action is RetryAction.STOP
    assert reply(403, error("no"), FRESH).code == "forbidden"
    assert reply(403, error("no"), PROVEN).action is RetryAction.FAIL


def test_a_wrong_key_and_a_missing_key_have_different_messages() -> None:
    assert "none was sent" in reply(401).message
    assert "wrong or expired" in reply(401, context=replace(FRESH, key="k")).message


def test_an_address_without_v1_is_corrected() -> None:
    bare = replace(FRESH, base_url="http://gpu:8000")
    assert "did you mean --base-url http://gpu:8000/v1?" in reply(404, {"detail": "Not Found"}, bare).message
    assert "did you mean" not in reply(404, {"detail": "Not Found"}, FRESH).message


@pytest.mark.parametrize("status", [404, 405])
def test_the_address_of_the_chat_endpoint_is_corrected(status: int) -> None:
    whole = replace(FRESH, base_url="http://gpu:8000/v1/chat/completions")
    assert "did you mean --base-url http://gpu:8000/v1?" in reply(status, {"detail": "Not Found"}, whole).message


def test_a_redirect_names_its_target_without_the_query() -> None:
    message = reply(302, location="https://login.example/start?token=abc").message
    assert "https://login.example/start" in message
    assert "token" not in message


@pytest.mark.parametrize("message", ["EngineCore encountered an issue.", "EngineDeadError: see above"])
def test_a_dead_engine_is_an_outage(message: str) -> None:
    assert reply(500, error(message)).action is RetryAction.AWAIT_RECOVERY


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        pytest.param(400, error("no", code="unsupported_parameter", param="max_tokens"), "max_tokens", id="OpenAI"),
        pytest.param(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, "seed", id="FastAPI"),
        pytest.param(400, [error("Unknown name: seed")], "seed", id="an error within a list"),
    ],
)
def test_a_refused_parameter_changes_the_dialect(status: int, body: object, field: str) -> None:
    decision = reply(status, body)
    assert (decision.action, decision.parameter) == (RetryAction.ADAPT, field)


@pytest.mark.parametrize("status", [413, 500, 404])
def test_only_400_and_422_change_the_dialect(status: int) -> None:
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
def test_the_decision_on_a_fault_depends_on_earlier_answers(
    fault: TransportFault, fresh: RetryAction, later: RetryAction
) -> None:
    assert classify_transport_error(fault, "detail", FRESH).action is fresh
    assert classify_transport_error(fault, "detail", PROVEN).action is later


def test_each_fault_has_a_message() -> None:
    for fault in get_args(TransportFault):
        message = classify_transport_error(fault, "detail", FRESH).message
        assert message.endswith(".")
        assert len(message) > 20


def test_a_timeout_names_its_setting() -> None:
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
        pytest.param({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0, id="a past date"),
        pytest.param({"retry-after": "soon"}, None, id="a word"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "inf"}, None, id="infinite"),
    ],
)
def test_retry_after_is_parsed_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW) == seconds


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=ZONES))
def test_dates_of_any_time_zone_are_parsed(when: datetime) -> None:
    seconds = parse_retry_after({"retry-after": format_datetime(when)}, NOW)
    assert seconds == max(0.0, when.replace(microsecond=0).timestamp() - NOW)


@pytest.mark.parametrize(
    ("decision", "unreachable"),
    [
        *(pytest.param(reply(status), True, id=str(status)) for status in (502, 504, *range(520, 530))),
        pytest.param(classify_transport_error("reset", "", PROVEN), True, id="reset"),
        pytest.param(reply(500), False, id="500"),
        pytest.param(reply(501), False, id="501"),
        pytest.param(classify_transport_error("timeout", "", PROVEN), False, id="time-out"),
    ],
)
def test_codes_that_a_proxy_reports_for_an_unavailable_server(decision: ErrorDecision, unreachable: bool) -> None:
    assert (decision.action, decision.code in UNREACHABLE_CODES) == (RetryAction.RETRY, unreachable)


@given(st.text(max_size=60))
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
def test_no_retry_after_raises_an_error(value: str) -> None:
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
def test_every_error_body_gets_a_decision(status: int, body: object) -> None:
    decision = reply(status, json.dumps(body))
    assert decision.message.endswith(".")
    assert decision.code


@given(st.integers(300, 599), st.binary(max_size=200))
def test_a_body_that_is_not_json_gets_a_decision(status: int, body: bytes) -> None:
    assert classify_response(status, {}, body, FRESH, now=NOW).message.endswith(".")

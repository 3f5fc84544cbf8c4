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

from persqa_client.client.authentication import KEY
from persqa_client.client.classify import UNREACHABLE_CODES, classify_response
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.retry import parse_retry_after
from persqa_client.client.transport_errors import TransportFault, classify_transport_error
from persqa_client.types import ErrorDecision, RetryAction
from tests.client.attempts import FRESH
from tests.support.cases import each_case

NOW = 1_800_000_000.0
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


@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@each_case("status", [429, 503, 529, 498, 408, 409, 425])
def test_a_busy_server_is_waited_for(status: int, context: AttemptContext) -> None:
    decision = reply(status, error("come back later"), context)
    assert (decision.action, decision.code, decision.retry_after) == (RetryAction.WAIT, f"http_{status}", None)
    assert "come back later" in decision.message


@each_case("status", [429, 503, 529, 498, 408, 409, 425])
def test_the_wait_is_that_of_retry_after(status: int) -> None:
    assert reply(status, retry_after="3").retry_after == 3.0


@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@each_case("status", [500, 501, 502, 504, *range(520, 529), 530])
def test_server_errors_are_retried(status: int, context: AttemptContext) -> None:
    assert reply(status, error("boom"), context).action is RetryAction.RETRY


@each_case(
    ("status", "body"),
    [
        pytest.param(400, "", id="mostlygeek/llama-swap#635"),
        pytest.param(400, error("Failed to parse request body"), id="r1n7aro/Locus#58"),
        pytest.param(400, {"detail": "There was an error parsing the body"}, id="FastAPI"),
        pytest.param(400, {"error": "The model has crashed without additional information."}, id="LM Studio: a crash"),
        pytest.param(400, {"error": "Model unloaded."}, id="QwenLM/qwen-code#3802"),
        pytest.param(400, error("No models loaded. Please load a model."), id="LM Studio: nothing loaded"),
        *(pytest.param(status, error("Internal server error"), id=f"as {status}") for status in (403, 404, 422)),
        pytest.param(400, error("dial tcp 10.0.0.3:8000: connect: connection refused"), id="maximhq/bifrost#3929"),
    ],
)
def test_a_servers_own_trouble_with_the_number_of_a_bad_request_is_retried(status: int, body: object) -> None:
    assert reply(status, body, PROVEN).action is RetryAction.RETRY


def test_a_server_that_implements_no_posts_is_no_api() -> None:
    """``python -m http.server``"""
    assert reply(501, PAGE).code == "wrong_url"
    assert reply(501, PAGE, PROVEN).action is RetryAction.RETRY


def test_a_date_to_come_back_is_compared_with_the_servers_clock() -> None:
    ahead = NOW + 3600
    until, sent = formatdate(ahead + 4, usegmt=True), formatdate(ahead, usegmt=True)
    assert reply(429, error("Busy."), retry_after=until, date=sent).retry_after == pytest.approx(4.0)


@pytest.mark.parametrize("status", [502, 504, 520])
def test_the_markup_of_an_error_page_is_removed(status: int) -> None:
    decision = reply(status, PAGE)
    assert decision.action is RetryAction.RETRY
    assert decision.raw == "Oops Bad & broken"


def test_a_503_page_of_a_proxy_is_waited_for() -> None:
    assert reply(503, PAGE).action is RetryAction.WAIT


@each_case(
    ("status", "body", "code"),
    [
        pytest.param(400, error("Failed to load image"), "rejected", id="400"),
        pytest.param(413, "", "too_large", id="413"),
        pytest.param(422, {"detail": "can't be processed"}, "rejected", id="422"),
        pytest.param(400, error("This model's maximum context length is 8192 tokens."), "context_overflow", id="long"),
        pytest.param(400, error("too long", code="context_length_exceeded"), "context_overflow", id="long by code"),
        pytest.param(400, error("At most 4 image(s) may be provided in one prompt."), "too_many_images", id="images"),
        pytest.param(400, error("Too many images.", param="image"), "too_many_images", id="images without a number"),
        pytest.param(400, error("This model supports up to 5 images."), "too_many_images", id="images, a number"),
        pytest.param(400, error("Invalid image format.", param="image"), "rejected", id="an image by parameter"),
        pytest.param(
            400,
            error("The prompt (length 5000) is longer than the maximum model length of 4096."),
            "context_overflow",
            id="vLLM, long",
        ),
        pytest.param(
            400,
            error("The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
            "context_overflow",
            id="SGLang, long",
        ),
        pytest.param(
            400, error("Your request exceeded model token limit: 8192."), "context_overflow", id="Moonshot, long"
        ),
        pytest.param(
            500,
            error("Cannot load local files without `--allowed-local-media-path`."),
            "rejected",
            id="500 with a permanent message",
        ),
    ],
)
@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_a_rejected_row_fails_at_once(status: int, body: object, code: str, context: AttemptContext) -> None:
    decision = reply(status, body, context)
    assert (decision.action, decision.code) == (RetryAction.FAIL, code)


@each_case(
    ("status", "body", "code", "advice"),
    [
        pytest.param(401, {"error": "Unauthorized"}, "wrong_key", "--api-key-env", id="401"),
        pytest.param(402, error("No balance."), "no_credit", "No balance", id="402"),
        pytest.param(404, error("The model `qwen` does not exist."), "unknown_model", "--model", id="unknown model"),
        pytest.param(404, error("No route fits your data policy."), "not_available", "data policy", id="no route"),
        pytest.param(429, error("Pay.", code="insufficient_quota"), "no_quota", "quota", id="quota by code"),
        pytest.param(429, error("Pay.", type="insufficient_quota"), "no_quota", "quota", id="quota by type"),
        pytest.param(307, "", "redirected", "--base-url", id="redirect"),
    ],
)
@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_errors_of_every_row_stop_the_run(
    status: int, body: object, code: str, advice: str, context: AttemptContext
) -> None:
    decision = reply(status, body, context)
    assert (decision.action, decision.code) == (RetryAction.STOP, code)
    assert advice in decision.message


@each_case(("status", "fresh"), [(403, "forbidden"), (404, "wrong_url"), (405, "wrong_url"), (410, "wrong_url")])
@each_case("body", ["", PAGE, "Forbidden", "upstream is gone", {"detail": "Not Found"}, error("Resource not found")])
def test_an_endpoint_that_has_answered_is_not_refused_without_a_reason(status: int, fresh: str, body: object) -> None:
    decision = reply(status, body, FRESH)
    assert (decision.action, decision.code) == (RetryAction.STOP, fresh)
    decision = reply(status, body, PROVEN)
    assert (decision.action, decision.code) == (RetryAction.RETRY, f"http_{status}")


def test_a_refusal_with_a_reason_is_about_the_row_once_the_endpoint_has_answered() -> None:
    assert reply(403, error("The picture breaks our rules."), FRESH).code == "forbidden"
    assert reply(403, error("The picture breaks our rules."), PROVEN).action is RetryAction.FAIL
    assert reply(400, PAGE, PROVEN).action is RetryAction.RETRY  # of a gateway, not of the API


@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@each_case("status", [400, 403, 412, 500])
@each_case(
    ("fields", "words", "code"),
    [
        ({"type": "insufficient_quota"}, "x", "no_quota"),
        ({"code": "AllocationQuota.FreeTierOnly"}, "x", "no_quota"),
        ({"code": "Arrearage"}, "x", "no_credit"),
        ({"code": "organization_restricted"}, "x", "no_credit"),
        ({}, "Your credit balance is too low.", "no_credit"),
        ({}, "Key limit exceeded (monthly limit).", "no_credit"),
        ({}, "Account 17 is suspended.", "no_credit"),
        ({"details": [{"reason": "API_KEY_INVALID"}]}, "x", "wrong_key"),
        ({"code": "DeploymentNotFound"}, "Please wait a moment and try again.", "unknown_model"),
        ({"code": "model_not_found"}, "x", "unknown_model"),
    ],
)
def test_the_key_the_account_and_the_model_are_refused_in_any_status(
    fields: dict[str, Any], words: str, code: str, status: int, context: AttemptContext
) -> None:
    decision = reply(status, error(words, **fields), context)
    assert (decision.action, decision.code, decision.grace) == (RetryAction.STOP, code, 0.0)


@pytest.mark.parametrize("words", ["You exceeded the token limit per minute.", "Longer than the queue limit"])
def test_a_limit_of_tokens_is_not_the_context(words: str) -> None:
    assert reply(429, error(words)).action is RetryAction.WAIT
    assert reply(400, error(words)).code == "rejected"


@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_a_limit_of_no_images_is_one_of_the_model(context: AttemptContext) -> None:
    """In a 400, the probe of the run's beginning finds it out: that a request without images is answered."""
    none = error("At most 0 image(s) may be provided in one prompt.", param="image")
    decision = reply(404, none, context)
    assert (decision.action, decision.code) == (RetryAction.STOP, "no_pictures")
    decision = reply(400, none, context)
    assert (decision.action, decision.code) == (RetryAction.FAIL, "too_many_images")


@each_case("context", [FRESH, PROVEN], ids=["fresh", "proven"])
@each_case(
    "body",
    [
        error("x", code="image_size_restricted"),
        error("x", code="InvalidParameter.CreditCardImage"),
        error("x", type="restricted_content"),
        error("x", type="payment_card_number"),
        error("x", details=[{"type": "CREDIT_LIMIT_EXCEEDED", "action": "BLOCKED"}]),
        {"message": "x", "assessments": [{"pii": [{"type": "insufficient_balance"}]}]},
        {"message": "x", "assessments": [{"findings": [{"code": "INVALID_API_KEY"}]}]},
        error("Question 'What does the sign \"Invalid API key\" mean' was rejected by policy"),
        error("Rejected: “insufficient balance”"),
        error("1 validation error: Input should be a string, input_value='The model is not available in shop, it is'"),
        error("Cannot answer `is the credit balance too low`"),
    ],
)
def test_codes_and_words_of_the_row_are_not_taken_for_the_endpoints(body: Any, context: AttemptContext) -> None:
    assert reply(400, body, context).action is RetryAction.FAIL


@each_case(
    ("status", "body", "code"),
    [
        (400, error('"Invalid API key"'), "wrong_key"),
        (500, error("Upstream: {'error': {'message': 'Incorrect API key provided: x'}}"), "wrong_key"),
        (400, error('model "qwen" not found, try pulling it first'), "unknown_model"),
        (400, error("模型不存在，请检查模型代码。", code="1211"), "unknown_model"),
        (400, error("x", metadata={"raw": {"error": {"code": "insufficient_quota"}}}), "no_quota"),
        (400, error("x", innererror={"code": "AccountOverdueError"}), "no_credit"),
        (400, error("x", code="PrepaidBillOverdue"), "no_credit"),
        (400, error("x", code="billing_hard_limit_reached"), "no_credit"),
        (403, error("x", code="pre_consume_token_quota_failed"), "no_quota"),
        (400, error("Budget has been exceeded!", type="budget_exceeded"), "no_credit"),
        (429, error("Budget has been exceeded!", type="budget_exceeded"), "no_credit"),
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, "no_credit"),
        (403, {"code": "No permission", "error": "Your teams doesn't have any credits yet."}, "no_credit"),
        (400, error("You have reached your specified API usage limits."), "no_credit"),
        (403, {"message": "The security token included in the request is expired"}, "wrong_key"),
        (403, error("x", details=[{"reason": "IAM_PERMISSION_DENIED"}]), "forbidden"),
        (429, error("The service has been paused.", code="SetLimitExceeded", type="TooManyRequests"), "no_credit"),
    ],
)
def test_a_refused_account_is_found(status: int, body: object, code: str) -> None:
    decision = reply(status, body, PROVEN)
    assert (decision.action, decision.code, decision.grace) == (RetryAction.STOP, code, 90.0 if status == 429 else 0.0)


def test_an_input_that_was_flagged_is_the_rows_own_before_the_first_answer_too() -> None:
    flagged = error("Your input was flagged.", metadata={"reasons": ["violence"], "flagged_input": "…"})
    assert reply(403, flagged, FRESH).action is RetryAction.FAIL
    assert reply(403, error("x", code="content_policy_violation"), FRESH).action is RetryAction.FAIL


@pytest.mark.parametrize("status", [429, 503])
def test_a_quota_that_is_used_up_must_last_where_it_may_be_a_limit_per_minute(status: int) -> None:
    used_up = error("You exceeded your current quota.", code="insufficient_quota")
    decision = reply(status, used_up)
    assert (decision.action, decision.code, decision.grace) == (RetryAction.STOP, "no_quota", 90.0)
    assert reply(status, used_up, retry_after="9").action is RetryAction.WAIT
    assert reply(status, error("Try again in 5s.", code="insufficient_quota")).retry_after == 5.0


@each_case(
    ("status", "words"),
    [
        (400, "The service is temporarily unavailable."),
        (400, "Server busy, please retry later."),
        (400, "Failed to process image. Please try again later."),
        (400, "图片解析失败，请稍后重试"),
        (404, "Model is loading, try again shortly."),
        (422, "请稍后再试"),
        (500, "Overloaded."),
    ],
)
def test_words_that_ask_to_come_back_cost_the_row_an_attempt(status: int, words: str) -> None:
    """The row may be the reason, so it must not wait without a limit."""
    decision = reply(status, error(words), PROVEN)
    assert (decision.action, decision.code) == (RetryAction.RETRY, f"http_{status}")
    assert words.rstrip(".") in decision.message


@each_case(
    ("status", "fields", "words", "headers"),
    [
        (400, {"code": "overloaded_error"}, "x", {}),
        (400, {"code": "Throttling.RateQuota"}, "x", {}),
        (500, {"type": "ServiceUnavailableException"}, "x", {}),
        (403, {}, "Please try again in 20 s.", {}),
        (500, {}, "Overloaded. Retry after 3 seconds.", {}),
        (400, {"retry_after": 3}, "x", {}),
        (400, {}, "x", {"retry_after": "3"}),
    ],
)
def test_an_overload_code_or_a_stated_time_is_waited_for(
    status: int, fields: dict[str, Any], words: str, headers: dict[str, str]
) -> None:
    assert reply(status, error(words, **fields), PROVEN, **headers).action is RetryAction.WAIT


@each_case(
    ("status", "body", "action"),
    [
        (500, error('upstream said {"error": {"message": "x", "code": "429"}}'), RetryAction.WAIT),
        (400, error("x", code=400, metadata={"raw": '{"error": {"message": "y", "code": 503}}'}), RetryAction.WAIT),
        (502, error("x", code=503), RetryAction.RETRY),
        (400, error("x", errors=[{"code": 429, "message": "y"}, {"code": 422, "message": "z"}]), RetryAction.FAIL),
        (400, {**error("x"), "attempts": [{"status": 503}]}, RetryAction.FAIL),
    ],
)
def test_an_overload_that_is_the_only_cause_of_an_error_is_waited_for(
    status: int, body: dict[str, Any], action: RetryAction
) -> None:
    assert reply(status, body, PROVEN).action is action


@each_case(
    "words",
    [
        "Invalid image. Please try again with a smaller one.",
        "Please modify your prompt and retry.",
        "Unable to process input image. Please retry or report it.",
        "The image format is not supported.",
        "cannot identify image file '/tmp/temporary_1.webp'",
        "Could not read the temporary file: bad image",
        "InternalError.Algo.InvalidParameter: height must be larger than 10",
        "No balance between width and height: the picture is too narrow.",
    ],
)
def test_words_about_the_row_are_about_the_row(words: str) -> None:
    assert reply(400, error(words), PROVEN).action is RetryAction.FAIL


@pytest.mark.parametrize("code", ["image_unavailable", "ImageCapacity", "max_requests_unavailable"])
def test_codes_of_overload_are_whole_terms(code: str) -> None:
    assert reply(400, error("x", code=code), PROVEN).action is RetryAction.FAIL


@pytest.mark.parametrize("context", [FRESH, PROVEN], ids=["fresh", "proven"])
def test_a_service_that_must_be_enabled_is_not_waited_for(context: AttemptContext) -> None:
    words = "The API has not been used before or it is disabled. If you enabled it, wait a few minutes and retry."
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]
    assert reply(403, error(words, status="PERMISSION_DENIED", details=details), context).action is RetryAction.STOP


@pytest.mark.parametrize("status", [502, 504, 524, 530])
def test_the_pages_of_proxies_ask_everybody_to_come_back(status: int) -> None:
    assert reply(status, "<html><body>Please try again in a few minutes.</body></html>").action is RetryAction.RETRY


@pytest.mark.parametrize("status", [421, 424, 444, 460, 499])
def test_failures_with_the_number_of_a_client_error_are_retried(status: int) -> None:
    decision = reply(status, error("The operation was cancelled."))
    assert (decision.action, decision.code) == (RetryAction.RETRY, f"http_{status}")


@each_case("path", ["/v1", "/v2", "/v1beta/openai", "/api/v3", "/api/paas/v4", "/v1/acc/gateway"])
def test_an_address_with_a_version_is_not_corrected(path: str) -> None:
    context = replace(FRESH, base_url=f"http://gpu:8000{path}")
    assert "did you mean" not in reply(404, {"detail": "Not Found"}, context).message


def test_the_query_of_an_address_stays_at_its_end() -> None:
    context = replace(FRESH, base_url="http://gpu:8000/openai?api-version=1")
    message = reply(404, {"detail": "Not Found"}, context).message
    assert "did you mean --base-url http://gpu:8000/openai/v1?api-version=1?" in message


def test_a_wrong_key_and_a_missing_key_have_different_messages() -> None:
    assert "none was sent" in reply(401).message
    assert "wrong or expired" in reply(401, context=replace(FRESH, authentication=KEY)).message


def test_a_404_that_names_the_model_is_about_the_model() -> None:
    assert reply(404, error("model: qwen")).code == "unknown_model"
    assert reply(404, error("There is nothing like qwen3 here.")).code == "not_available"


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


@each_case(
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


def test_a_proxy_is_named_by_its_variable() -> None:
    for scheme in ("http", "https"):
        context = AttemptContext(f"{scheme}://x/v1", "m")
        message = classify_transport_error("proxy", "detail", context).message
        assert f"correct {scheme.upper()}_PROXY or NO_PROXY" in message


def test_a_timeout_names_its_setting() -> None:
    assert classify_transport_error("timeout", "", FRESH).message == "No answer within 7 s (--timeout)."


@each_case(
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


@each_case(
    ("decision", "unreachable"),
    [
        *(pytest.param(reply(status), True, id=str(status)) for status in (502, 504, *range(520, 529), 530)),
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

"""Refused fields: how they are found, and how requests are written afterwards."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.dialect import (
    CONSTRAINT_FORMS,
    OPTIONAL_FIELDS,
    PREFILL_FORMS,
    Dialect,
    constraint_fields,
    find_refused_field,
)
from persqa_client.client.error_body import ErrorBody, read_error_body
from persqa_client.client.request import build_output_fields
from persqa_client.types import Json, Request
from tests.support.cases import each_case

WITH_PATTERN = Request("s", (), "q", 1, pattern="a+")
SENT = OPTIONAL_FIELDS | {"top_k", "user"}


def body_of(error: object) -> ErrorBody:
    return read_error_body(orjson.dumps(error))


def error(message: str, **fields: Any) -> Json:
    return {"error": {"message": message, "param": None, "code": None, **fields}}


@each_case(
    ("body", "field"),
    [
        pytest.param(
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            "max_tokens",
            id="OpenAI, max_tokens",
        ),
        pytest.param(
            error("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
            "max_tokens",
            id="the field named first, not the one advised",
        ),
        pytest.param(
            error(
                "Unsupported value: 'temperature' does not support 0.7 with this model.",
                param="temperature",
                code="unsupported_value",
            ),
            "temperature",
            id="OpenAI, temperature",
        ),
        pytest.param(
            error("Unrecognized request argument supplied: guided_regex", code="unknown_parameter"),
            "guided_regex",
            id="OpenAI, a field of vLLM's",
        ),
        pytest.param(error("Unrecognized request argument supplied: top_k"), "top_k", id="OpenAI, extra_body"),
        pytest.param(
            error("Unknown parameter: 'messages[2].partial'.", code="unknown_parameter"),
            "partial",
            id="OpenAI, a field inside a message",
        ),
        pytest.param(
            error("'response_format' is not supported with this model", param="response_format"),
            "response_format",
            id="OpenAI, a form of answers",
        ),
        pytest.param(
            error('Invalid JSON payload received. Unknown name "seed": Cannot find field.'), "seed", id="Google"
        ),
        pytest.param(
            {"error": [{"message": "Unknown name structured_outputs"}]}, "structured_outputs", id="an error in a list"
        ),
        pytest.param(
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs", "input": 1}]},
            "seed",
            id="FastAPI",
        ),
        pytest.param(
            {
                "detail": [
                    {"type": "missing", "loc": ["body", "top_p"]},
                    {"type": "extra_forbidden", "loc": ["body", "top_k"]},
                ]
            },
            "top_k",
            id="FastAPI, the second complaint",
        ),
        pytest.param(
            {"object": "error", "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra is not permitted"}]}},
            "seed",
            id="Mistral",
        ),
        pytest.param(error("temperature is not supported."), "temperature", id="the name before the words"),
        pytest.param(error("This model does not support the seed parameter."), "seed", id="the name after the words"),
        pytest.param(error("Not supported: top_p, top_k"), "top_p", id="a list of names"),
        pytest.param(error("seed: Extra inputs are not permitted"), "seed", id="pydantic's words"),
        pytest.param(
            error("completions() got an unexpected keyword argument `top_k`"), "top_k", id="a name in backticks"
        ),
        pytest.param(error("this field is not allowed", param="top_p"), "top_p", id="by its parameter alone"),
        pytest.param({"error": "seed is not supported"}, "seed", id="a plain sentence"),
        pytest.param(
            error("target type: response_format: response_format.type `json_schema` is unavailable now at line 1"),
            "response_format",
            id="a part of a field, and its value",
        ),
        pytest.param(error("temperature and top_p are mutually exclusive"), "top_p", id="the second of two"),
        pytest.param(error("Argument not supported on this model: topP"), "top_p", id="a name in camel case"),
        pytest.param(
            {"message": "Malformed input request: #: extraneous key [top_p] is not permitted, please try again."},
            "top_p",
            id="Bedrock, a name in brackets",
        ),
        pytest.param(
            error("max_tokens is not supported. Use max_completion_tokens, at most 4096"),
            "max_tokens",
            id="a limit in another sentence",
        ),
        pytest.param(
            error("'seed' is not supported above version 2", code="unsupported_parameter"), "seed", id="a code"
        ),
    ],
)
def test_the_refused_field_is_found(body: Json, field: str) -> None:
    assert find_refused_field(body_of(body), SENT) == field


@each_case(
    "body",
    [
        pytest.param(
            error(
                "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is "
                "8192 tokens and your request has 8000 input tokens (512 > 8192 - 8000).",
                param="max_tokens",
                code=400,
            ),
            id="vLLM, max_tokens too large",
        ),
        pytest.param(
            error("max_tokens=512 cannot be greater than max_model_len=100. Please request fewer output tokens."),
            id="vLLM, max_tokens beyond the model",
        ),
        pytest.param(error("temperature must be non-negative, got -1.", param="temperature"), id="out of bounds"),
        pytest.param(error("max_tokens is not supported above 4096"), id="a value above a limit"),
        pytest.param(error("'max_tokens' of 512 is not supported: the maximum is 256"), id="a value and its limit"),
        pytest.param(
            error("A value of 512 is not supported, the maximum is 256", param="max_tokens"), id="a limit by parameter"
        ),
        pytest.param(
            error("'max_tokens' must be <= 256", code="unsupported_value", param="max_tokens"), id="a value by code"
        ),
        pytest.param({"detail": [{"type": "extra_forbidden", "loc": ["body", {"x": 1}], "msg": "x"}]}, id="odd place"),
        pytest.param({"detail": [{"type": ["extra_forbidden"], "loc": [["body"]]}]}, id="odd type"),
        pytest.param(error("unsupported", param=["seed"]), id="odd parameter"),
        pytest.param(error("Unsupported image format"), id="unsupported, but none of ours"),
        pytest.param(error("Unsupported image format for user content"), id="an image, and a common word"),
        pytest.param(error("Unsupported image format for 'user' content"), id="an image, and a common word in quotes"),
        pytest.param(
            error("The image content is not allowed by our safety policy (seed 5)"), id="a picture that is refused"
        ),
        pytest.param(
            error("This model does not support image inputs. Your settings: temperature 0.7."), id="no images at all"
        ),
        pytest.param(error("This language is not supported (seed 5, temperature 0.7)"), id="names in passing"),
        pytest.param(error("Unknown parameter: 'messages'", param="messages"), id="a field that must be"),
        pytest.param({"detail": [{"type": "missing", "loc": ["body", "seed"]}]}, id="FastAPI, missing"),
        pytest.param({"detail": [{"type": "extra_forbidden", "loc": ["body", "store"]}]}, id="FastAPI, not ours"),
        pytest.param({"detail": [{"type": "extra_forbidden", "loc": None}, 3]}, id="FastAPI, no place"),
        pytest.param({"error": []}, id="no error"),
        pytest.param({}, id="nothing"),
    ],
)
def test_other_errors_name_no_field(body: Json) -> None:
    assert find_refused_field(body_of(body), SENT) is None


def test_only_optional_fields_are_found() -> None:
    assert find_refused_field(body_of(error("Unrecognized request argument supplied: top_k")), OPTIONAL_FIELDS) is None


def test_max_tokens_is_renamed_and_then_dropped() -> None:
    renamed = Dialect().adapt_to_refusal("max_tokens")
    assert renamed is not None
    assert renamed == Dialect(renamed=frozenset({"max_tokens"}))
    dropped = renamed.adapt_to_refusal("max_completion_tokens")
    assert dropped is not None
    assert "max_tokens" in dropped.dropped
    assert dropped.adapt_to_refusal("max_completion_tokens") is None
    assert dropped.adapt_to_refusal("max_tokens") is None


@each_case("field", ["temperature", "top_p", "seed", "top_k", "structured_outputs", "guided_regex"])
def test_a_field_without_another_name_is_dropped_once(field: str) -> None:
    dropped = Dialect().adapt_to_refusal(field)
    assert dropped is not None
    assert dropped == Dialect(dropped=frozenset({field}))
    assert dropped.adapt_to_refusal(field) is None


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        (None, {}),
        ("structured_outputs", {"structured_outputs": {"regex": "a+"}}),
        ("guided_regex", {"guided_regex": "a+"}),
        ("json_schema", constraint_fields("json_schema", "a+")),
    ],
)
def test_a_pattern_goes_into_the_field_of_the_form(constraint: str | None, fields: Json) -> None:
    assert build_output_fields(WITH_PATTERN, Dialect(constraint=constraint)) == fields


@pytest.mark.parametrize("form", CONSTRAINT_FORMS)
def test_a_refused_constraint_is_left_out(form: str) -> None:
    dialect = Dialect(constraint=form).adapt_to_refusal(CONSTRAINT_FORMS[form])
    assert dialect is not None
    assert dialect.active_constraint is None
    assert build_output_fields(WITH_PATTERN, dialect) == {}


@pytest.mark.parametrize(("form", "field"), [(form, field) for form in PREFILL_FORMS for field in PREFILL_FORMS[form]])
def test_a_prefill_form_ends_when_one_of_its_fields_is_refused(form: str, field: str) -> None:
    dialect = Dialect(prefill=form)
    assert dialect.active_prefill == form
    refused = dialect.adapt_to_refusal(field)
    assert refused is not None
    assert refused.active_prefill is None


def test_refusals_of_a_probe_are_taken_over_except_for_the_probed_field() -> None:
    probe = Dialect(
        constraint="guided_regex", renamed=frozenset({"max_tokens"}), dropped=frozenset({"seed", "guided_regex"})
    )
    learnt = Dialect(prefill="partial", dropped=frozenset({"top_p"})).with_refusals(probe, ignoring=["guided_regex"])
    assert learnt == Dialect(prefill="partial", renamed=frozenset({"max_tokens"}), dropped=frozenset({"top_p", "seed"}))


def test_changes_are_described_in_a_line_each() -> None:
    dialect = Dialect(renamed=frozenset({"max_tokens"}), dropped=frozenset({"seed", "top_k"}))
    assert dialect.describe_changes() == [
        "max_tokens is sent as max_completion_tokens",
        "seed is left out: the server refuses it",
        "top_k is left out: the server refuses it",
    ]
    assert Dialect().describe_changes() == []

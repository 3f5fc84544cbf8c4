"""Settings are validated when they are made, from Python and from the command line alike."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from persqa_client.config import Endpoint, Limits, Recipe, Sampling, build_settings
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.errors import SettingsError
from persqa_client.run.settings import RunSettings
from persqa_client.validation import Settings
from tests.support.cases import each_case

URL = "http://127.0.0.1:8000/v1"
OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("given", "kept"),
    [(f" {URL}\n", URL), (f"{URL}/", URL), ("https://[::1]:8000/v1", "https://[::1]:8000/v1")],
    ids=["white space", "slash", "IPv6"],
)
def test_a_base_url_is_normalised(given: str, kept: str) -> None:
    assert build_settings(Endpoint, base_url=given, model="m").base_url == kept


@each_case(
    ("url", "says"),
    [
        pytest.param(
            "localhost:8000",
            r".* \(did you mean http://localhost:8000/v1\?\)\.$",
            id="no scheme",
        ),
        pytest.param(
            "gpu-1:80/v1",
            r".* \(did you mean http://gpu-1:80/v1\?\)",
            id="no scheme but a path",
        ),
        pytest.param("http://[::1/v1", "must look like http://HOST:PORT/v1", id="half an IPv6 address"),
        pytest.param("http://host:99999/v1", "must look like http://HOST:PORT/v1", id="port too high"),
        pytest.param(f"{URL}/chat/completions", f"must be the root of the API, {URL},", id="chat route"),
        pytest.param(f"{URL}/completions/", f"must be the root of the API, {URL},", id="older route"),
        pytest.param(
            f"{URL}/chat/completions?api-version=1", rf"must be the root of the API, {URL}\?api-version=1,", id="query"
        ),
        pytest.param(f"{URL}#part", "must not have a fragment", id="fragment"),
        pytest.param("http://010.0.0.1/v1", "is not a valid address .Invalid IPv4 address: '010.0.0.1'", id="octal"),
        pytest.param("http://256.1.1.1/v1", "is not a valid address", id="a number above 255"),
        pytest.param("http://１２７.0.0.1/v1", "is not a valid address", id="wide digits"),
        pytest.param("http://me:secret@host/v1", "must not hold a user name", id="password"),
    ],
)
def test_an_invalid_base_url_is_rejected_also_when_its_key_is_looked_up(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"^--base-url: {says}"):
        build_settings(Endpoint, base_url=url, model="m")
    with pytest.raises(SettingsError, match=f"^--base-url: {says}"):
        find_api_key(url, None, {})


def test_a_default_key_goes_to_its_own_host_only() -> None:
    environ = {"OPENAI_API_KEY": " sk-1\n", "MINE": "sk-2"}
    found = [find_api_key(url, name, environ) for url, name in ((OPENAI, None), (URL, None), (URL, "MINE"))]
    assert [key and key.get_secret_value() for key in found] == ["sk-1", None, "sk-2"]


@each_case("key", ["sk-\u00e9", "sk 1", "sk-1\nsk-2", "sk\x00"], ids=["letter", "space", "line", "NUL"])
@each_case("name", ["MINE", None])
def test_a_key_that_no_header_can_hold_is_rejected_and_not_shown(key: str, name: str | None) -> None:
    with pytest.raises(SettingsError, match=r"MINE|OPENAI_API_KEY") as caught:
        find_api_key(OPENAI, name, {"MINE": key, "OPENAI_API_KEY": key})
    assert "sk" not in str(caught.value)


@each_case(
    ("kind", "values", "says"),
    [
        pytest.param(Limits, {"rps": float("inf")}, "--rps: must be a finite number", id="infinite"),
        pytest.param(Limits, {"timeout": float("nan")}, "--timeout: must be", id="nan"),
        pytest.param(Sampling, {"temperature": float("nan")}, "--temperature: must be", id="nan temperature"),
        pytest.param(Sampling, {"max_tokens": 10_000_001}, "--max-tokens: must be", id="tokens"),
        pytest.param(Sampling, {"seed": 2**63}, "--seed: must be", id="seed too high"),
        pytest.param(Sampling, {"seed": -(2**63) - 1}, "--seed: must be", id="seed too low"),
    ],
)
def test_numbers_have_bounds(kind: type[Settings], values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=f"^{says}"):
        build_settings(kind, **values)


@each_case(
    ("make", "says"),
    [
        pytest.param(lambda: Endpoint.model_validate({}), "base_url is missing.", id="nothing"),
        pytest.param(lambda: Endpoint(base_url=URL, model=""), "model: must not be empty.", id="empty"),
        pytest.param(
            lambda: build_settings(Endpoint, base_url=URL, model="m", key=1), "--key is not a setting.", id="unknown"
        ),
        pytest.param(lambda: build_settings(Limits, rpm="many"), "--rpm: must be a number.", id="a word"),
        pytest.param(lambda: Limits(max_attempts=0), "max_attempts: must be greater than or equal to 1.", id="zero"),
        pytest.param(lambda: build_settings(Recipe, language="fr"), "--language: must be 'en' or 'zh'.", id="choice"),
        pytest.param(
            lambda: Endpoint(base_url=URL, model="m", headers={"Host": SecretStr("secret-1")}),
            "headers: Host is set by the client itself.",
            id="own header",
        ),
        pytest.param(
            lambda: Endpoint(base_url=URL, model="m", headers={"api-key": SecretStr("secret-1\nX: y")}),
            "headers: the value is empty, or contains a line break or a non-ASCII character.",
            id="two headers in one",
        ),
    ],
)
def test_invalid_settings_in_python_are_reported_in_plain_words(make: Callable[[], Settings], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make()
    assert str(caught.value) == says
    assert caught.value.__context__ is None, "it would show the values"


@pytest.mark.parametrize(
    ("given", "base_url", "query"),
    [
        (f"{URL}?api-version=2024-10-21", URL, "api-version=2024-10-21"),
        (f"{URL}/?a=1&b=%20x", URL, "a=1&b=%20x"),
        (f"{URL}?", URL, ""),
    ],
)
def test_the_query_of_a_base_url_is_kept_apart(given: str, base_url: str, query: str) -> None:
    endpoint = Endpoint(base_url=given, model="m")
    assert (endpoint.base_url, endpoint.query) == (base_url, query)
    assert endpoint.full_url == (f"{base_url}?{query}" if query else base_url)
    assert pickle.loads(pickle.dumps(endpoint)) == endpoint


def test_two_deployments_that_differ_in_their_query_are_two_endpoints() -> None:
    first, second = (Endpoint(base_url=f"{URL}?part={number}", model="m") for number in (1, 2))
    assert len(RunSettings(input=None, output=None, endpoint=first, further_endpoints=(second,)).endpoints) == 2


@each_case(
    ("fields", "says"),
    [
        *(({name: 1}, f"can't set {name}:") for name in ("model", "messages", "n", "seed")),
        pytest.param({"day": date(2020, 1, 31)}, "day", id="date"),
        pytest.param({"bias": float("nan")}, "bias", id="nan"),
        pytest.param({"call": print}, "JSON", id="function"),
        pytest.param({"top": {1: 2}}, "JSON", id="key that is no text"),
        pytest.param({"big": 2**70}, "JSON", id="number beyond 64 bits"),
    ],
)
def test_extra_body_is_sent_unchanged_or_rejected(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=f"^--extra-body: .*{says}"):
        build_settings(Sampling, extra_body=fields)


def test_extra_body_is_kept() -> None:
    fields = {"top_k": 5, "temperature": 0.1, "logit_bias": {"7": -1.5}, "stop": ["\n", None, True]}
    assert build_settings(Sampling, extra_body=fields).extra_body == fields


@pytest.mark.parametrize(("given", "kept"), [("auto", "auto"), ("16", 16), (1, 1), (4096, 4096)])
def test_concurrency_is_a_number_or_auto(given: object, kept: object) -> None:
    limits = build_settings(Limits, concurrency=given)
    assert limits.concurrency == kept
    assert limits.concurrency_cap == (512 if kept == "auto" else kept)


@each_case("given", ["many", "", 0, "0", 4097, 8.5, None, True])
def test_any_other_concurrency_is_rejected(given: object) -> None:
    with pytest.raises(SettingsError, match=r"^--concurrency: must be auto, or a number from 1 to 4096\.$"):
        build_settings(Limits, concurrency=given)


def test_concurrency_has_an_upper_bound() -> None:
    assert build_settings(Limits, max_concurrency=20).concurrency_cap == 20
    assert build_settings(Limits, concurrency=64, max_concurrency=20).concurrency_cap == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"image_key": "error"}, "failure file has its reasons in error", id="the failure file's"),
        pytest.param({"image_key": "question"}, "is the field of a row's question", id="a row's own"),
        pytest.param({"image_key": "a", "output_key": "a"}, "is a field of the input rows", id="both"),
        pytest.param({"image_key": "pers_qa_meta", "details": True}, "is what --details adds", id="the details'"),
    ],
)
def test_fields_with_two_meanings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_settings(Recipe, **fields)


@pytest.mark.parametrize("key", ["line", "pers_qa_meta", "conversation"])
def test_images_may_be_in_any_other_field(key: str) -> None:
    assert build_settings(Recipe, image_key=key).image_key == key


@pytest.mark.parametrize(
    "fields",
    [{"question": "What is {tag}?"}, {"question": "What is <mam>?"}, {"question": "What is <bo>?", "tag": "<bo>"}],
)
def test_a_question_for_all_rows_names_the_main_character(fields: dict[str, Any]) -> None:
    assert build_settings(Recipe, **fields).question == fields["question"]


@pytest.mark.parametrize(
    "fields",
    [{"question": "What is it?"}, {"question": "What is <bo>?"}, {"question": "<mam>?", "tag_from": "folder"}],
)
def test_a_question_for_all_rows_without_the_main_character_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"must have {tag} in it, which becomes <mam> or the row's own tag"):
        build_settings(Recipe, **fields)

"""Settings are validated when they are made, from Python and from the command line alike."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from persqa_client.config import Endpoint, Limits, Sampling, Settings, build_settings
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.errors import SettingsError

URL = "http://127.0.0.1:8000/v1"
OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("given", "kept"),
    [(f" {URL}\n", URL), (f"{URL}/", URL), ("https://[::1]:8000/v1", "https://[::1]:8000/v1")],
    ids=["white space", "slash", "IPv6"],
)
def test_a_base_url_is_normalised(given: str, kept: str) -> None:
    assert build_settings(Endpoint, base_url=given, model="m").base_url == kept


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("localhost:8000", "must look like http://HOST:PORT/v1", id="no scheme"),
        pytest.param("http://[::1/v1", "must look like http://HOST:PORT/v1", id="half an IPv6 address"),
        pytest.param("http://host:99999/v1", "must look like http://HOST:PORT/v1", id="port too high"),
        pytest.param(f"{URL}/chat/completions", f"must be the root of the API, {URL},", id="chat route"),
        pytest.param(f"{URL}/completions/", f"must be the root of the API, {URL},", id="older route"),
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


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk 1", "sk-1\nsk-2", "sk\x00"], ids=["letter", "space", "line", "NUL"])
@pytest.mark.parametrize("name", ["MINE", None])
def test_a_key_that_no_header_can_hold_is_rejected_and_not_shown(key: str, name: str | None) -> None:
    with pytest.raises(SettingsError, match=r"MINE|OPENAI_API_KEY") as caught:
        find_api_key(OPENAI, name, {"MINE": key, "OPENAI_API_KEY": key})
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        pytest.param(Limits, {"rps": float("inf")}, "--rps: input should be a finite number", id="infinite"),
        pytest.param(Limits, {"timeout": float("nan")}, "--timeout: input should be", id="nan"),
        pytest.param(Sampling, {"temperature": float("nan")}, "--temperature: input should be", id="nan temperature"),
        pytest.param(Sampling, {"max_tokens": 10_000_001}, "--max-tokens: input should be", id="tokens"),
        pytest.param(Sampling, {"seed": 2**63}, "--seed: input should be", id="seed too high"),
        pytest.param(Sampling, {"seed": -(2**63) - 1}, "--seed: input should be", id="seed too low"),
    ],
)
def test_numbers_have_bounds(kind: type[Settings], values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=f"^{says}"):
        build_settings(kind, **values)


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("given", ["many", "", 0, "0", 4097, 8.5, None, True])
def test_any_other_concurrency_is_rejected(given: object) -> None:
    with pytest.raises(SettingsError, match=r"^--concurrency: must be auto, or a number from 1 to 4096\.$"):
        build_settings(Limits, concurrency=given)


def test_concurrency_has_an_upper_bound() -> None:
    assert build_settings(Limits, max_concurrency=20).concurrency_cap == 20
    assert build_settings(Limits, concurrency=64, max_concurrency=20).concurrency_cap == 64

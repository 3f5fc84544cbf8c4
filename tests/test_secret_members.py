"""Members that may be secrets are found by their names or by their form."""

from __future__ import annotations

from typing import Any

from persqa_client.secret_members import hide_secrets, list_secrets, mask_secrets
from tests.support.cases import each_case

KEY = "sk-proj-4Fq81abc"


@each_case(
    "fields",
    [
        {"api_key": KEY},
        {"apiKey": "sesame"},
        {"X-API-KEY": "sesame"},
        {"auth": {"user": "sesame"}},
        {"access_token": "sesame"},
        {"clientSecret": "sesame"},
        {"password": 123456},
        {"extra": [{"headers": {"Authorization": "Basic c2VzYW1l"}}]},
        {"route": KEY},
        {"headers": ["x-route: Bearer 0a1b2c3d4e"]},
        {"tenant": "0123456789abcdef0123456789abcdef"},
    ],
)
def test_secrets_are_hidden_and_masked(fields: dict[str, Any]) -> None:
    hidden = hide_secrets(fields)
    for text in (str(hidden), str(mask_secrets(fields)), str(mask_secrets(hidden))):
        assert not [part for part in (KEY, "sesame", "123456", "c2VzYW1l", "0a1b2c3d", "789abcdef") if part in text]
    assert "digest:" in str(hidden)
    assert hide_secrets(hidden) == hidden
    assert mask_secrets(hidden) == mask_secrets(fields) != fields


@each_case(
    "fields",
    [
        {"top_k": 20, "repetition_penalty": 1.05, "min_tokens": 5, "stop_token_ids": [151645], "eos_token": 2},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"stop": ["</s>", "<|im_end|>"], "skip_special_tokens": True},
        {"guided_regex": r"<mam>[A-Z][a-z]{1,20}[\s\S]*"},
        {"lora": "org/Qwen2.5-VL-7B-lora-2025", "api_key": "", "auth": None},
        {"keyword": "cat", "tokenizer": "Qwen/Qwen2.5-VL-7B-Instruct"},
        {"monkey": "x", "provider": {"order": ["Fireworks"]}},
    ],
)
def test_other_members_stay(fields: dict[str, Any]) -> None:
    assert hide_secrets(fields) == mask_secrets(fields) == fields


def test_another_secret_has_another_digest() -> None:
    assert hide_secrets({"api_key": "a"}) != hide_secrets({"api_key": "b"})


def test_ordinary_words_are_not_looked_for_in_the_server_s_texts() -> None:
    assert list_secrets({"api_key": KEY, "cache_key": "sunflower", "password": 12, "n": 1}) == [KEY]
